"""What it costs to prune: seconds, the longest turn of the daemon's loop, and what a training's step takes meanwhile.

    python benchmarks/prune.py [--gb 20] [--jobs 20] [--rounds 2] [--place DIRECTORY] [--json FILE]

Jobs that were promoted, with shards that are written out in full; those of all but the newest are to go. In each round
a daemon over a root of its own is asked to prune; its clock is two hours ahead, so that nothing is too young. Beside it
a process takes steps: it hashes some MiB, writes a line, and each tenth time saves 8 MiB with an fsync, on the same
disk. First that goes on for a while without pruning, then with it; told is the median of the rounds' ratios.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

from measuring import Report
from scale import answers, until
from turns import within

from daemon.core.control import Request, ask_for
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.store import Store
from tests import past_jobs
from tests.acceptance.house import House
from tests.unit.handlers.ckpt.ckpt_writer import record

TIMED_DAEMON = Path(__file__).with_name("turns.py")
TURN = 50.0
"""Milliseconds: the target."""
SHARD = record("w", (1,), "Float32", bytes(4))
MIB = os.urandom(1 << 20)
HASHED, SAVED, SAVES = 8, 8, 10
"""MiB that a step hashes, and that each so many save."""
ALONE = 5.0
"""Seconds for which steps are taken without pruning."""


@dataclass(frozen=True)
class Round:
    """What was measured in one round."""

    seconds: float
    turn_alone: float
    turn: float
    """Milliseconds of the longest turn, without and with pruning."""
    step: float
    """How much longer a step took with pruning: a ratio."""
    save: float
    """And one that saves."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=20, help="that lose their shards, of two ranks each")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--place", type=Path, help="where the files are written; by default where temporary ones are")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--steps", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.steps is not None:
        take_steps(asked.steps)
    report, rounds = Report(), []
    report.part(f"{asked.gb:g} GB in {2 * asked.jobs} shards of {asked.jobs} jobs")
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="glmd-benchmark-", dir=asked.place) as name:
            rounds.append(one_round(Path(name), int(asked.gb * 1e9), asked.jobs))
        report.say(str(rounds[-1]))
    tell(rounds, report)
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.rows, indent=2) + "\n")


def tell(rounds: list[Round], report: Report) -> None:
    """Add the figures to the report."""
    turn = max(each.turn for each in rounds)
    report.figure("pruning, seconds", statistics.median(each.seconds for each in rounds))
    report.figure("longest turn without pruning, ms", max(each.turn_alone for each in rounds))
    report.figure("longest turn with pruning, ms", turn, f"<= {TURN:g}", met=turn <= TURN)
    report.figure("a step with pruning, times one without", statistics.median(each.step for each in rounds))
    report.figure("one that saves, the same", statistics.median(each.save for each in rounds))


def one_round(place: Path, size: int, jobs: int) -> Round:
    """Prune once."""
    house = House(place)
    keep = {"last": jobs + 1, "daily": 0, "weekly": 0, "monthly": 0, "best": 0}
    (house.root / "glmd.yaml").write_text(json.dumps(house.settings | {"retention": {"keep": keep}}))
    write_shards(Root(house.root), size, jobs)
    os.sync()
    turns, steps = place / "turns.json", place / "steps.json"
    with house.log.open("ab") as log:
        daemon = subprocess.Popen([sys.executable, TIMED_DAEMON, place, "2"], stdout=log, stderr=log)
        training = subprocess.Popen([sys.executable, __file__, "--steps", steps])
    try:
        until(lambda: answers(house.root), "the daemon")
        began = time.monotonic()
        time.sleep(ALONE)
        asked = time.monotonic()
        told = ask_for(house.root, Request("prune"))
        until(lambda: is_pruned(house.root, jobs), told)
        ended = time.monotonic()
    finally:
        for process in (training, daemon):
            process.send_signal(signal.SIGTERM)
            process.wait()
    if left := len([*(house.root / "jobs").glob("*/output/checkpoint/*/*.ckpt")]) - 2:
        sys.exit(f"{left} shards are left:\n{house.log.read_text()[-4000:]}")
    alone, meanwhile = (began, asked), (asked, ended)
    longest = [1000 * max(within(turns, *times)) for times in (alone, meanwhile)]
    step, saving = (
        statistics.fmean(within(file, *meanwhile)) / statistics.fmean(within(file, *alone))
        for file in (steps, saving_steps(steps))
    )
    return Round(ended - asked, *longest, step, saving)


def write_shards(root: Root, size: int, jobs: int) -> None:
    """Let so many jobs have been promoted, all but the newest with a share of `size` bytes of shards."""
    root.create()
    with Store.open(root.store) as store:
        for number in range(jobs + 1):
            job = past_jobs.add_done(root, store, {"31_4": SHARD})
            for path in job.directory(root.path).output.glob("checkpoint/*/*.ckpt") if number < jobs else ():
                path.chmod(0o600)
                with path.open("ab", buffering=0) as stream:
                    for _ in range(size // (2 * jobs) // len(MIB)):
                        stream.write(MIB)


def is_pruned(root: Path, parts: int) -> bool:
    """Say whether so many parts of jobs are gone."""
    time.sleep(0.05)
    with ReadStore.open(root / "glmd.db") as store:
        done = [one for job in store.jobs() for one in store.prunings_of(job) if one.ended]
    return len(done) == parts


# What runs in processes of their own


def take_steps(file: Path) -> None:
    """Be the training, until told to stop; of ten steps the last one saves."""
    told, steps, saves = list[bool](), list[tuple[float, float]](), list[tuple[float, float]]()
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    with file.with_suffix(".log").open("a", buffering=1) as log:
        for number in count(1):
            began = time.monotonic()
            for _ in range(HASHED):
                sha256(MIB).digest()
            log.write(f"step {number}\n")
            if is_saving := number % SAVES == 0:
                save(file.with_suffix(".ckpt"))
            (saves if is_saving else steps).append((began, time.monotonic() - began))
            if told:
                break
    file.write_text(json.dumps(steps))
    saving_steps(file).write_text(json.dumps(saves))
    sys.exit()


def saving_steps(file: Path) -> Path:
    """Return where those are that save, beside the others."""
    return file.with_name("saves.json")


def save(path: Path) -> None:
    """Write a file anew, durably."""
    with path.open("wb", buffering=0) as stream:
        for _ in range(SAVED):
            stream.write(MIB)
        os.fsync(stream.fileno())


if __name__ == "__main__":
    main()
