"""What the page costs: what a browser loads, how soon it is answered, and what it takes while it is looked at.

    GLMD_TRAINING_PYTHON=… python benchmarks/face.py [--jobs 10000] [--requests 200] [--seconds 15] [--pairs 8]
        [--json FILE]

A real `glmd web` over a root of that many finished jobs, of one that trains on eight ranks, and of one whose record has
100,000 steps. Sizes are those of what is sent, packed. Then eight streams look while a log grows once a second: what
that costs, and how soon a line of the log is an event. Memory is what it is after every page was shown. In the end real
trainings run in turns with as many streams open as there may be and with none: see benchmarks/looked_on.py.
"""

import argparse
import gzip
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from browsing import Page, Stream, begun
from looked_on import looked_on
from measuring import Report
from scale import fill

from daemon.core.states import Job, State
from daemon.face.web.app import ANSWERS, PAGES
from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.records.job_dir import Step
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header

RANKS, LONG = 8, 100_000
NOW_SIZE, JOB_SIZE = 20.0, 62.0
"""KB: the targets, of sizes and below."""
REQUESTS = 4
NOW_TIME, JOB_TIME, FIRST_STEPS, STEPS_AGAIN = 30.0, 50.0, 400.0, 20.0
"""Milliseconds."""
MEMORY, CPU, SOON = 64.0, 1.0, 2.5
"""MiB, percent of a core, seconds."""
LINE = (
    "2026-11-24 09:14:07,000 - mindformers - INFO - {{ Epoch:[{epoch:3d}/100000], step:[{step:5d}/    4], "
    "loss:[{loss:.4f}/{loss:.4f}], per_step_time: 500ms, overflow cond: False }}\n"
)


@dataclass
class Training:
    """A job that trains: its logs and its record grow."""

    job: Job
    root: Path
    number: int = 0

    def __post_init__(self) -> None:
        directory = self.job.directory(self.root)
        self._logs = [directory.rank_log(rank) for rank in range(RANKS)]
        path = directory.step(1, Step.TRAIN).path
        path.mkdir(parents=True)
        self._record = RecordWriter(path, Header(self.job.id, 1, RANKS - 1, RANKS, "npu01", 100_000, 4))
        for log in self._logs:
            log.parent.mkdir(parents=True)

    def go_on(self, steps: int = 1) -> float:
        """Do some steps, and return the last one's loss."""
        done = range(self.number + 1, self.number + steps + 1)
        losses = {number: 9.0 - number / 1000 for number in done}  # four digits tell each from the next
        text = "".join(
            LINE.format(epoch=(number - 1) // 4 + 1, step=(number - 1) % 4 + 1, loss=loss)
            for number, loss in losses.items()
        )
        for log in self._logs:
            with log.open("a") as stream:
                stream.write(text)
        rows = [
            StepLine(
                time=1.79e9 + n,
                epoch=(n - 1) // 4 + 1,
                epochs=100_000,
                step=(n - 1) % 4 + 1,
                steps=4,
                loss=loss,
                milliseconds=500 + n % 50,
                learning_rate=5e-5 * (1 - n / 1e6),
                overflow=n < 4,
                loss_scale=65536.0,
                samples=7 + n % 100 / 100,
            )
            for n, loss in losses.items()
        ]
        self._record.append([LoggedStep(row, 200 * row.number) for row in rows], RANKS - 1)
        self.number += steps
        return losses[self.number]


def sizes(page: Page, job: Job, report: Report) -> None:
    """Report what a browser loads."""
    requests, size = page.loads("/")
    report.figure("Now, requests", requests, f"<= {REQUESTS}", met=requests <= REQUESTS)
    report.figure("Now, KB", size, f"<= {NOW_SIZE}", met=size <= NOW_SIZE)
    requests, size = page.loads(f"/jobs/{job.id}", f"/api/v1/jobs/{job.id}/steps")
    report.figure("a job that trains, requests", requests)
    report.figure("a job that trains, KB", size, f"<= {JOB_SIZE}", met=size <= JOB_SIZE)


def times(page: Page, trains: Job, long: Job, requests: int, report: Report) -> None:
    """Report how soon answers come."""
    began = time.perf_counter()
    content, first = page.get(f"/api/v1/jobs/{long.id}/steps")
    while not json.loads(gzip.decompress(content))["whole"]:
        content, _ = page.get(f"/api/v1/jobs/{long.id}/steps")
    report.figure(f"steps of {LONG}, the first answer, ms", first, f"<= {FIRST_STEPS}", met=first <= FIRST_STEPS)
    report.figure(f"steps of {LONG}, until all are there, ms", 1000 * (time.perf_counter() - began))
    for name, path, target in (
        ("steps again", f"/api/v1/jobs/{long.id}/steps", STEPS_AGAIN),
        ("Now", "/", NOW_TIME),
        ("a job that trains", f"/jobs/{trains.id}", JOB_TIME),
        ("a job that is done", "/jobs/7", JOB_TIME),
    ):
        found = page.p95(path, requests)
        report.figure(f"{name}, ms, p95", found, f"<= {target}", met=found <= target)


def every_page(page: Page, *jobs: Job) -> None:
    """Ask for every page and answer of these jobs, and for those that are of none, some times."""
    for number in (*(job.id for job in jobs), 7):
        for pattern in (*PAGES, *ANSWERS):
            path = pattern.format(job=number, night="2026-11-28", file="filtered.ckpt")
            others = f"?jobs={number},7,8" if path.startswith("/compare") else ""
            for _ in range(3):
                page.ask(f"{path}{others}")


def looked_at(page: Page, training: Training, seconds: float, report: Report) -> None:
    """Report what eight streams cost, and how soon they hear."""
    streams = [Stream(page, about) for about in ("now", f"job:{training.job.id}") for _ in range(4)]
    streams[0].until("data")
    before, began = page.processor, time.monotonic()
    time.sleep(seconds)
    quiet = 100 * (page.processor - before) / (time.monotonic() - began)
    report.figure("8 streams, nothing changes, % of a core", quiet, f"<= {CPU}", met=quiet <= CPU)
    before, began, heard = page.processor, time.monotonic(), list[float]()
    while time.monotonic() - began < seconds:
        loss, changed = training.go_on(), time.monotonic()
        for stream in streams:
            stream.until(f'"{loss:.4g}"')
        heard.append(time.monotonic() - changed)
        time.sleep(max(0.0, 1.1 - heard[-1]))
    busy = 100 * (page.processor - before) / (time.monotonic() - began)
    report.figure("8 streams, a step a second, % of a core", busy, f"<= {CPU}", met=busy <= CPU)
    report.figure(
        "a line of the log to the last stream's event, s, most", max(heard), f"<= {SOON}", met=max(heard) <= SOON
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to look with and without changes")
    parser.add_argument("--pairs", type=int, default=8, help="of trainings with streams and without; 0 for none")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    asked = parser.parse_args()
    if asked.pairs and not os.environ.get("GLMD_TRAINING_PYTHON"):
        parser.error("GLMD_TRAINING_PYTHON is not set: trainings need it; --pairs 0 leaves them out")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="glmd-benchmark-") as name:
        root = Path(name, "root")
        fill(root, asked.jobs, 0)
        long = Training(begun(root, "long", (9,), State.PREPARING, State.TRAINING, State.MERGING, State.DONE), root)
        long.go_on(LONG)
        training = Training(begun(root, "trains", tuple(range(RANKS)), State.PREPARING, State.TRAINING), root)
        training.go_on(1000)
        page = Page(root)
        try:
            report.part(f"glmd web over {asked.jobs} jobs")
            report.figure("resident at its start, MiB", page.memory)
            sizes(page, training.job, report)
            times(page, training.job, long.job, asked.requests, report)
            every_page(page, training.job, long.job)
            looked_at(page, training, asked.seconds, report)
            report.figure("resident in the end, MiB", page.memory, f"<= {MEMORY}", met=page.memory <= MEMORY)
            report.figure("of that its share, where pages are shared, MiB", page.share)
        finally:
            page.close()
    if asked.pairs:
        looked_on(asked.pairs, report)
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
