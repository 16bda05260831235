"""glmd's merge beside MindSpore's own way and beside `cp` of the output, in one run: wall time and peak memory.

    python benchmarks/merge.py [--training-python PYTHON] [--hidden N … as make_shards.py] [--json FILE]

Each is a process of its own, timed from its start to its end, output on the disk (fsync) included; inputs are in the
page cache. glmd and `cp` are the medians of several rounds, taken in turn. Without a training environment MindSpore's
row is left out. That all outputs are the same bytes is checked.
"""

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import make_shards

ROUNDS = 5


# A process's peak memory counts what its parent held when it forked, so that a small one must start it.
STOPWATCH = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
process.returncode = os.waitstatus_to_exitcode(status)
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
sys.exit(process.returncode)
"""


@dataclass(frozen=True)
class Measured:
    """A process's cost: seconds from start to end, seconds of processor, peak resident memory in bytes."""

    name: str
    seconds: float
    processor: float
    peak: int


def measure(name: str, command: Sequence[str | Path]) -> Measured:
    """Run a command to its end; exits when it fails."""
    done = subprocess.run(
        [sys.executable, "-SE", "-c", STOPWATCH, *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    seconds, processor, peak = done.stdout.split()
    return Measured(name, float(seconds), float(processor), int(peak))


def median(rounds: Sequence[Measured]) -> Measured:
    """Return the round of median time."""
    return sorted(rounds, key=lambda each: each.seconds)[len(rounds) // 2]


def compare(source: Path, scratch: Path, training_python: Path | None) -> list[Measured]:
    """Measure all ways on the shards in `source`."""
    strategy = source / "strategy" / "ckpt_strategy_rank_0.ckpt"
    ours, copied = scratch / "glmd" / "filtered_transformed.ckpt", scratch / "copied.ckpt"
    merge = [sys.executable, "-m", "daemon.cli", "merge", "--src_postfix=31_4", f"--src_checkpoints_dir={source}"]
    merge += [f"--src_strategy_file={strategy}", f"--dst_checkpoints_dir={ours.parent}", "--force"]
    measure("reading the shards", ["cat", *source.rglob("*.ckpt")])  # into the page cache
    glmd_rounds, cp_rounds = [], []
    for _ in range(ROUNDS):
        for left in (ours, copied):
            left.unlink(missing_ok=True)
        os.sync()
        glmd_rounds.append(measure("glmd merge", merge))
        os.sync()
        cp_rounds.append(
            measure("cp and sync of the output", ["sh", "-c", 'cp "$1" "$2" && sync "$2"', "-", ours, copied])
        )
    measured = [median(glmd_rounds), median(cp_rounds)]
    measured.append(measure("of glmd: imports", [sys.executable, "-c", "import daemon.commands.merge"]))
    if training_python is not None:
        theirs = scratch / "mindspore.ckpt"
        flow = [training_python, Path(__file__).with_name("seed_flow.py"), source, strategy, theirs]
        measured.append(measure("MindSpore by hand", flow))
        if not filecmp.cmp(ours, theirs, shallow=False):
            sys.exit(f"{ours} is not what MindSpore made: {theirs}")
    return measured


def show(measured: Sequence[Measured], sizes: dict[str, int]) -> None:
    """Print the table; ratios are to glmd."""
    ours = measured[0]
    print(f"{sizes['shards'] / 1e9:.2f} GB of shards, {sizes['output'] / 1e9:.2f} GB of output")
    print(f"{'':28}{'seconds':>10}{'x glmd':>9}{'processor s':>13}{'peak MiB':>11}{'x glmd':>9}")
    for each in measured:
        time_ratio, peak_ratio = each.seconds / ours.seconds, each.peak / ours.peak
        print(
            f"{each.name:28}{each.seconds:10.2f}{time_ratio:9.2f}{each.processor:13.2f}"
            f"{each.peak / 2**20:11.1f}{peak_ratio:9.2f}"
        )


def main() -> None:
    """Make shards, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    make_shards.add_sizes(parser)
    default = os.environ.get("GLMD_TRAINING_PYTHON")
    parser.add_argument("--training-python", type=Path, default=Path(default) if default else None)
    parser.add_argument(
        "--directory", type=Path, help="where to work, about three times the shards' size; a new one if not given"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = vars(parser.parse_args())
    training_python, directory, json_file = (given.pop(name) for name in ("training_python", "directory", "json"))
    with tempfile.TemporaryDirectory(dir=directory, prefix="glmd-benchmark-") as scratch_name:
        scratch = Path(scratch_name)
        make_shards.make(scratch / "output", **given)
        measured = compare(scratch / "output", scratch, training_python)
        shards = sum(path.stat().st_size for path in (scratch / "output" / "checkpoint").rglob("*.ckpt"))
        sizes = {"shards": shards, "output": (scratch / "glmd" / "filtered_transformed.ckpt").stat().st_size}
    show(measured, sizes)
    if json_file is not None:
        figures = {"sizes": sizes, "network": given, "rounds": ROUNDS, "measured": [asdict(each) for each in measured]}
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
