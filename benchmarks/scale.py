"""What glmd costs on a root with many jobs, and how soon the next job's ranks run.

    python benchmarks/scale.py [--finished 50000] [--queued 5000] [--jobs 6] [--json FILE]

A root of that many finished jobs, each with its directory, its records and a published output, and of jobs that wait.
On it: the start of a real `glmd serve`, until it answers; `glmd status` beside `glmd --help`, `status --all` and its
first line, `doctor --state`, and their memory beside that on a small root. Then, on the same root, trainings of the
tests' stand-in for one pair of devices: from the end of the last rank of one to the first instruction of a rank of the
next. And, in a tree that is watched: from the close of the last shard, left writable, to the job that merges it.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

from measuring import Measured, Report, measure, median

from daemon.core.control import NotRunningError, ask
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.store import Store
from handlers.merging import merge
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from tests.acceptance.house import CONFIG, House

WAY = (State.QUEUED, State.PREPARING, State.TRAINING, State.MERGING, State.DONE)
NOW = datetime.now(UTC)
SMALL = 500
"""Finished jobs of the root that memory is held against."""
START, STATUS, DOCTOR, NEXT, CLOSED = 2.0, 0.2, 10.0, 1.0, 2.0
"""Seconds: the targets."""
MEMORY = 16.0
"""MiB that a hundred times the jobs may add."""
FIRST = "import os, time; open('started', 'w').write(str(time.time_ns()))\n"
LAST = "\nopen('ended', 'w').write(str(time.time_ns()))\n"
"""What a rank does first and last, in its own directory."""
GLMD = [sys.executable, "-m", "daemon.cli"]


def shard(path: Path) -> None:
    """Write a rank's shard of one weight."""
    tensor = b"\x08\x01" + b"\x12\x07Float32" + b"\x1a\x04" + struct.pack("<f", 1.0)
    value = b"\x0a\x01w" + b"\x12" + bytes([len(tensor)]) + tensor
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x0a" + bytes([len(value)]) + value)


def finished_job(directory: JobDir) -> None:
    """Leave what a job leaves that is done."""
    directory.path.mkdir(parents=True)
    directory.submitted.write_text(CONFIG)
    directory.config.write_text(CONFIG)
    directory.events.write_text('{"event": "job_moved"}\n' * 20)
    shard(directory.output / "checkpoint" / "rank_0" / "glm-6b_rank_0-1_4.ckpt")
    plan = MergePlan(source=directory.output, destination=directory.merged, needs_strategy=False)
    merge.run(plan)
    JobPlan(job=1, name="run", train=TrainPlan(processes=(), limits=TimeLimits()), merge=plan).publish(directory.plan)
    shim = ShimRecord.of_this_process(NOW).model_copy(update={"boot_id": "of before"})
    for step in Step:
        records = directory.step(1, step)
        records.path.mkdir(parents=True)
        records.lock.touch()
        shim.publish(records.shim)
        StepExit(step=step, outcome=Outcome.COMPLETED, reason="", started=NOW, ended=NOW).publish(records.exit)


def fill(root: Path, finished: int, queued: int) -> None:
    """Let `root` have had that many jobs. Their files are links to those of one job."""
    Root(root).create()
    Store.open(root / "glmd.db").close()
    template = root / "template"
    finished_job(JobDir(template))
    content = [(Path(parent).relative_to(template), names) for parent, _, names in os.walk(template)]
    for number in range(1, finished + 1):
        job = root / "jobs" / f"{number:04d}-run"
        for inner, names in content:
            (job / inner).mkdir()
            for name in names:
                (job / inner / name).hardlink_to(template / inner / name)
    for number in range(finished + 1, finished + queued + 1):
        job = JobDir(root / "jobs" / f"{number:04d}-run")
        job.path.mkdir()
        for name in ("submitted.yaml", "config.yaml"):
            (job.path / name).hardlink_to(template / name)
    shutil.rmtree(template)
    _rows(root / "glmd.db", finished, queued)


def _rows(store: Path, finished: int, queued: int) -> None:
    told = [(NOW - timedelta(days=100) + timedelta(seconds=second)).isoformat() for second in range(len(WAY))]
    with closing(sqlite3.connect(store)) as connection, connection:
        for number in range(1, finished + queued + 1):
            way = WAY if number <= finished else WAY[:1]
            connection.execute(
                "INSERT INTO jobs (claim, digest, name, state, reason, attempt, priority, devices, prefix, submitted,"
                " changed) VALUES (?, ?, 'run', ?, ?, 1, 0, '[62,63]', 'glm-6b', ?, ?)",
                (
                    f"claim{number}",
                    f"{number:064x}",
                    way[-1],
                    "tag 1_4: 1 of 1 entries kept",
                    told[0],
                    told[len(way) - 1],
                ),
            )
            connection.executemany(
                "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, 1, '')",
                [(number, at, state) for at, state in zip(told, way, strict=False)],
            )


def wall(*command: str) -> Measured:
    """Return the median cost of a command."""
    return median([measure([*GLMD, *command]) for _ in range(3)])


def costs(root: Path, report: Report) -> dict[str, Measured]:
    """Measure the commands on one root."""
    words = {"status": ("status",), "status --all": ("status", "--all"), "doctor --state": ("doctor", "--state")}
    found = {name: wall(*command, "--root", str(root)) for name, command in words.items()}
    found["status --all --json"] = wall("status", "--all", "--json", "--root", str(root))
    for name, cost in found.items():
        report.cost(f"glmd {name}", cost)
    return found


def first_line(root: Path) -> float:
    """Return after how many seconds `status --all` has written its first line."""
    began = time.monotonic()
    with subprocess.Popen([*GLMD, "status", "--all", "--root", str(root)], stdout=subprocess.PIPE) as status:
        lines = iter(status.stdout or ())
        next(lines)
        took = time.monotonic() - began
        for _ in lines:
            pass
    return took


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for `condition`."""
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.002)


def answers(root: Path) -> bool:
    """Tell whether a daemon does."""
    try:
        ask(root, "ping", timeout=5.0)
    except NotRunningError:
        return False
    return True


def start_up(house: House) -> float:
    """Start a daemon, and return after how many seconds it answers. It is left running."""
    (house.root / "glmd.yaml").write_text(json.dumps(house.settings))
    began = time.monotonic()
    with house.log.open("ab") as log:
        command = [*GLMD, "serve", "--allow-root", "--root", str(house.root)]
        house.daemon = subprocess.Popen(command, stdout=log, stderr=log)
    until(partial(answers, house.root), "the daemon")
    return time.monotonic() - began


def marked_checkout(house: House, path: Path) -> None:
    """Let the ranks be the stand-in's, and say when they begin and end."""
    path.mkdir()
    script = Path(str(house.training["checkout"])) / "run_mindformer.py"
    (path / script.name).write_text(FIRST + script.read_text() + LAST)
    house.training["checkout"] = str(path)
    house.environment(STANDIN_DATA="1,4")


def gaps(house: House, jobs: int) -> list[float]:
    """Let trainings queue for one pair of devices; return the seconds between the ranks of one and of the next."""
    first = ReadStore.open(house.root / "glmd.db")
    with first as store:
        before = store.highest()
    for number in range(jobs):
        house.drop(f"next{number}.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + f"# {number}\n")
    until(lambda: _is_over(house, before, jobs), "the trainings")
    directories = sorted((house.root / "jobs").glob("*-next*"))
    marks = [(_mark(job, "started", min), _mark(job, "ended", max)) for job in directories]
    marks.sort()
    return [(later[0] - earlier[1]) / 1e9 for earlier, later in pairwise(marks)]


def _is_over(house: House, before: int, jobs: int) -> bool:
    with ReadStore.open(house.root / "glmd.db") as store:
        page = store.page(before, jobs + 1).jobs
    failed = [job for job in page if job.state.is_over and job.state is not State.DONE]
    if failed:
        sys.exit(f"job {failed[0].id} is {failed[0].state}: {failed[0].reason}")
    return sum(job.state is State.DONE for job in page) == jobs


def _mark(job: Path, name: str, which: Callable[[Iterator[int]], int]) -> int:
    return which(int(path.read_text()) for path in (job / "output").rglob(name))


def closed(house: House, tree: Path) -> tuple[float, float]:
    """Write shards into a watched tree, the last one open for long; return the seconds until a job, and its output."""
    with ReadStore.open(house.root / "glmd.db") as store:
        before = store.highest()
    for rank in (0, 1):
        path = tree / "checkpoint" / f"rank_{rank}" / f"glm-6b_rank_{rank}-1_4.ckpt"
        shard(path)
        path.chmod(0o640)
        if rank:
            with path.open("ab"):
                time.sleep(3.0)
    began = time.monotonic()

    def merged() -> list[State]:
        with ReadStore.open(house.root / "glmd.db") as store:
            return [job.state for job in store.page(before, 2).jobs]

    if merged():
        sys.exit("a job was made of a shard that was open")
    until(lambda: bool(merged()), "the tree's job")
    ready = time.monotonic() - began
    until(lambda: merged() == [State.DONE], "the tree's output")
    return ready, time.monotonic() - began


def without_queue(root: Path, finished: int) -> None:
    """Take the jobs that wait away: a daemon would begin them."""
    with closing(sqlite3.connect(root / "glmd.db")) as connection, connection:
        connection.execute("DELETE FROM transitions WHERE job > ?", (finished,))
        connection.execute("DELETE FROM jobs WHERE id > ?", (finished,))
    for path in (root / "jobs").iterdir():
        if int(path.name.partition("-")[0]) > finished:
            shutil.rmtree(path)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, default=50_000)
    parser.add_argument("--queued", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=6, help="trainings that follow each other")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    asked = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="glmd-benchmark-") as name:
        small, house, tree = Path(name, "small"), House(Path(name)), Path(name, "tree")
        tree.mkdir()
        fill(small, SMALL, 0)
        fill(house.root, asked.finished, asked.queued)
        report.part(f"{SMALL} finished jobs")
        before = costs(small, report)
        report.part(f"{asked.finished} finished jobs, {asked.queued} wait")
        after = costs(house.root, report)
        plain = wall("--help")
        report.cost("glmd --help", plain)
        beyond = after["status"].seconds - plain.seconds
        report.figure("glmd status, seconds above --help", beyond, f"<= {STATUS}", met=beyond <= STATUS)
        report.figure("glmd status --all, seconds to its first line", first_line(house.root))
        doctor = after["doctor --state"].seconds
        report.figure("glmd doctor --state, seconds", doctor, f"<= {DOCTOR}", met=doctor <= DOCTOR)
        for command in ("status --all", "status --all --json", "doctor --state"):
            grown = (after[command].peak - before[command].peak) / 2**20
            report.figure(f"glmd {command}, MiB more", grown, f"<= {MEMORY}", met=grown <= MEMORY)
        without_queue(house.root, asked.finished)
        house.settings["watch"] = [{"path": str(tree), "tag": "1_4", "needs_strategy": False, "ranks": 2}]
        marked_checkout(house, Path(name, "checkout"))
        try:
            report.part("a daemon on that root")
            started = start_up(house)
            report.figure("from its start to its first answer, seconds", started, f"<= {START}", met=started <= START)
            between = gaps(house, asked.jobs)
            report.figure(
                "next job's ranks: seconds, median", statistics.median(between), f"<= {NEXT}",
                met=statistics.median(between) <= NEXT,
            )  # fmt: skip
            report.figure("next job's ranks: seconds, longest", max(between))
            ready, done = closed(house, tree)
            report.figure("last shard closed to its job, seconds", ready, f"<= {CLOSED}", met=ready <= CLOSED)
            report.figure("last shard closed to the output, seconds", done)
        finally:
            house.close()
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
