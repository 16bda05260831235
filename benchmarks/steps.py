"""What the record of a training costs its shim, and whoever reads it.

    python benchmarks/steps.py [--seconds 300] [--rows 200000]

A process imports what a shim has anyway, then judges and records steps as the shim does, with both kinds of divergence
looked for: a log grows by so many lines a second, and each second is one look. No second is waited for; what is
measured is processor time (getrusage), so a share of a core is that time by the seconds that were played. The steps
have all fields of MindFormers 1.5 and newer. The further figures: memory beyond what the shim has without the record;
bytes of disk by step; reading and making anew.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LINE = (
    "2026-11-28 14:{:02d}:{:02d},471 - mindformers/t1/output/log[mindformers/core/callback/callback.py:747] - INFO - "
    "{{ Epoch:[{:3d}/1000], step:[{:5d}/ 1000], loss:[2.{:06d}/2.500000], per_step_time: 123ms, lr: 0.00013425417, "
    "overflow cond: False, loss_scale: 65536.0, global_norm: [1.1446204], train_throughput_per_npu: 120.000T\n"
    "2026-11-28 14:38:36,472 - mindformers/t1/output/log[mindformers/core/callback/callback.py:764] - INFO - "
    "  12.5% |██████                                            | 10.14320 samples/s/p  0:00:01 }}\n"
)
RATES = (0, 1, 100)
"""Steps a second."""


class Silent:
    """A log that nobody reads."""

    def info(self, event: str, /, **fields: object) -> None:
        """Say it when something is wrong: a benchmark of what failed is none."""
        sys.exit(f"{event}: {fields}")

    warning = error = exception = info


def main() -> None:
    """Measure and print a table, and the same as JSON in the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="of each training that is played")
    parser.add_argument("--rows", type=int, default=200_000, help="of the record that is read")
    parser.add_argument("--play", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.play is not None:
        print(json.dumps(play(asked.play, asked.seconds)))
        return
    figures: dict[str, float] = {}
    for rate in RATES:
        command = [sys.executable, __file__, "--play", str(rate), "--seconds", str(asked.seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        figures |= {f"{name}, {rate} steps/s": value for name, value in json.loads(done.stdout).items()}
    figures |= reading(asked.rows)
    for name, value in figures.items():
        print(f"{name:<52}{value:>12.4f}")
    print(json.dumps(figures))


def play(rate: int, seconds: int) -> dict[str, float]:
    """Keep the record of a training of so many steps a second."""
    # What a shim has without the record.
    import handlers.rank_log.last_words  # noqa: PLC0415
    import handlers.records.job_plan  # noqa: PLC0415 - this and what follows: the order is what is measured
    import handlers.shim.begun  # noqa: PLC0415
    import handlers.shim.stacks  # noqa: F401, PLC0415

    before = memory()
    from handlers.records.train_plan import StopOn  # noqa: PLC0415
    from handlers.shim.step_recorder import StepRecorder  # noqa: PLC0415
    from handlers.training_record.rows import Header  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "mindformer.log"
        log.touch()
        header, stop_on = Header(1, 1, 0, 8, "host", 0, 0), StopOn(rise=3)
        recorder = StepRecorder(Path(directory), header, {0: log}, Silent(), stop_on)
        used = 0.0
        for second in range(seconds):
            with log.open("a") as stream:
                stream.writelines(map(line, range(second * rate, (second + 1) * rate)))
            began = processor()
            recorder.look()
            used += processor() - began
        grown = sum(path.stat().st_size for path in Path(directory).iterdir() if path != log)
        figures = {"share of a core, %": 100 * used / seconds, "memory more, MB": (memory() - before) / 1e6}
        return figures | ({"disk by step, B": grown / (rate * seconds)} if rate else {})


def reading(rows: int) -> dict[str, float]:
    """Return what a long record costs those who read it."""
    from daemon.face.training import GLANCE, training_of  # noqa: PLC0415 - as above
    from handlers.records.job_dir import JobDir, Step  # noqa: PLC0415
    from handlers.training_record.rebuilding import rebuild  # noqa: PLC0415
    from handlers.training_record.rows import Header  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        job = JobDir(Path(directory))
        log, step = job.rank_log(0), job.step(1, Step.TRAIN).path
        log.parent.mkdir(parents=True)
        step.mkdir(parents=True)
        with log.open("w") as stream:
            stream.writelines(map(line, range(rows - 1)))
        figures = {}
        for name, work in {
            f"rebuild of {rows} steps, s": lambda: rebuild({0: log}, step, Header(1, 1, 0, 8, "host", 0, 0)),
            f"a curve of {rows} steps, s": lambda: training_of(job, GLANCE),
            f"all of {rows} steps, s": lambda: training_of(job),
        }.items():
            began = time.perf_counter()
            work()
            figures[name] = time.perf_counter() - began
    return figures


def line(number: int) -> str:
    """Return what is logged of a step."""
    return LINE.format(*divmod(number % 3600, 60), number // 1000 + 1, number % 1000 + 1, number % 1_000_000)


def processor() -> float:
    """Return the processor time of this process so far, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
