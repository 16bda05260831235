"""What the record of a training costs the training: the time of a step of the real rehearsal, with and without it.

    GLMD_TRAINING_PYTHON=… python benchmarks/step_time.py [--rounds 8]

One job is prepared by a real daemon; its plan is then run by shims alone, in turns with the record and without it. A
run's figure is the mean time of its steps behind the first, by MindFormers' own clock. Told is the mean difference of
the pairs, as a share of the time of a step, with its confidence interval of 95 % (bootstrap over the pairs).
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

from daemon.client import submission
from daemon.client.rehearsal import Stage, training_python
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from handlers.rank_log.step_reader import StepReader
from handlers.records.job_dir import JobDir, Step
from handlers.shim import finish, run

_RESAMPLED = 10_000
_COMPILING = 4
"""Steps that are left out at the beginning."""


def main() -> None:
    """Measure and print the figures, and the same as JSON in the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="pairs of trainings")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--unrecorded", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run is not None:
        sys.exit(shim(asked.run, recorded=not asked.unrecorded))
    with tempfile.TemporaryDirectory() as directory:
        stage = Stage(Path(directory), training_python(Path(os.environ.get("GLMD_TRAINING_PYTHON", ""))))
        stage.furnish()
        prepared = prepare(stage)

        def run(*, recorded: bool) -> float:
            return timed(prepared, JobDir(prepared.path.with_name("9000-timed")), recorded=recorded)

        pairs = [pair(number, lambda with_it: run(recorded=with_it)) for number in range(asked.rounds)]
    print(json.dumps(figures(pairs, "the record")))


def prepare(stage: Stage) -> JobDir:
    """Let a daemon take one job all its way, for its plan: a line a step, and a loss scale that fits."""
    yaml = stage.yaml().replace(b"sink_mode: True", b"sink_mode: False")
    yaml = yaml.replace(b"loss_scale_value: 4294967296", b"loss_scale_value: 1024")
    with stage:
        stage.start_daemon()
        found = submission.wait_for_job(submission.drop(yaml, "timed.yaml", stage.root), stage.root, 30.0)
        if found is None:
            sys.exit("the job was not taken")
        words = [sys.executable, "-m", "daemon.cli", "logs", "-f", "1", "--root", str(stage.root.path)]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)  # until the job is over
        with ReadStore.open(stage.root.store) as store:
            job = store.job(1)
        if job.state is not State.DONE:
            sys.exit(f"{job.state}: {job.reason}")
    return found.job.directory(stage.root.path)


def pair(number: int, train: Callable[[bool], float]) -> tuple[float, float]:
    """Train twice, with something and without, the first of them in turns; return the times of a step, in ms."""
    order = (True, False) if number % 2 else (False, True)
    found = {with_it: train(with_it) for with_it in order}
    print(f"pair {number}: {found[True]:.3f} ms with, {found[False]:.3f} ms without", flush=True)
    return found[True], found[False]


def timed(prepared: JobDir, directory: JobDir, *, recorded: bool = True) -> float:
    """Run the plan once more in a directory of its own, which goes then; return the mean time of a step, in ms."""
    records = directory.step(1, Step.TRAIN)
    records.path.mkdir(parents=True)
    for path in prepared.path.glob("*.*"):
        if path.suffix in {".yaml", ".json"}:
            moved(path, directory.path / path.name, prepared, directory)
    moved(prepared.step(1, Step.TRAIN).environment, records.environment, prepared, directory)
    words = [sys.executable, __file__, "--run", directory.path, *([] if recorded else ["--unrecorded"])]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    if (records.path / "steps.jsonl").exists() is not recorded:
        sys.exit(f"{records.path}: recorded is not {recorded}")
    reader = StepReader({0: directory.rank_log(0)})
    times = [logged.step.milliseconds for logged in reader.read() if logged.step.milliseconds is not None]
    shutil.rmtree(directory.path)
    return statistics.fmean(times[_COMPILING:])


def moved(path: Path, to: Path, prepared: JobDir, directory: JobDir) -> None:
    """Copy a file of a job's directory into another's, as if it had been made there."""
    to.write_text(path.read_text().replace(str(prepared.path), str(directory.path)))
    to.chmod(0o600)


def shim(directory: Path, *, recorded: bool) -> int:
    """Be the shim of the training."""
    words = [str(directory), "1", "train"]
    if recorded:
        return run.main(words)
    with patch.object(finish, "recorder_of", lambda *_: None):
        return run.main(words)


def figures(pairs: Sequence[tuple[float, float]], what: str) -> dict[str, float]:
    """Return and print what the pairs say of what the first of each was with."""
    step, *shares = longer(pairs)
    names = (f"longer with {what}, %", "95 % interval, from %", "95 % interval, to %")
    found = {
        f"ms a step, without {what}": step,
        **{name: 100 * share for name, share in zip(names, shares, strict=True)},
    }
    for name, value in found.items():
        print(f"{name:<40}{value:>10.3f}")
    return found


def longer(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return a step's time without, in ms, and which part of it is added with: in the mean, at least, and at most."""
    step = statistics.fmean(without for _, without in pairs)
    differences = [(recorded - without) / step for recorded, without in pairs]
    chance = random.Random(0)  # noqa: S311 - nothing secret
    means = sorted(statistics.fmean(chance.choices(differences, k=len(pairs))) for _ in range(_RESAMPLED))
    return step, statistics.fmean(differences), means[int(0.025 * _RESAMPLED)], means[int(0.975 * _RESAMPLED)]


if __name__ == "__main__":
    main()
