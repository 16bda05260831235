"""Real processes for the tests of launch and supervision, none of which may outlive its test."""

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan, ProcessPlan, RankPlan, Role, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan

PATIENCE = 30.0
"""Seconds until a condition that should come true at once is given up: the machine may be busy."""


class Workshop:
    """Plans trainings whose ranks are small Python scripts, and knows all processes that came of them."""

    def __init__(self, root: Path) -> None:
        self.job_dir = JobDir(root / "jobs" / "0042-demo")
        self.job_dir.path.mkdir(parents=True)
        self.mark = f"GLMD_TEST={root}"
        self.environment = {**os.environ, "GLMD_TEST": str(root)}

    def process(self, script: str, rank: int | None) -> ProcessPlan:
        """Plan a rank, or with None a scheduler. Scripts see os, sys, signal, time, subprocess and Path."""
        name = "scheduler" if rank is None else f"rank_{rank}"
        imports = "import os, signal, subprocess, sys, time; from pathlib import Path\n"
        log = self.job_dir.output / "log" / "scheduler.log" if rank is None else self.job_dir.rank_log(rank)
        return ProcessPlan(
            role=Role.SCHEDULER if rank is None else Role.RANK,
            ranks=() if rank is None else (RankPlan(number=rank, device=rank + 4, log=log),),
            argv=(sys.executable, "-SE", "-u", "-c", imports + textwrap.dedent(script)),
            environment=self.environment,
            directory=self.job_dir.output / "work" / name,
            log=log,
        )

    def rank(self, number: int) -> RankPlan:
        """Plan a rank alone, without its process."""
        (rank,) = self.process("", number).ranks
        return rank

    def train(
        self, *ranks: str, scheduler: str | None = None, grace: float = 10.0, limits: TimeLimits | None = None
    ) -> TrainPlan:
        """Plan a training of `ranks`."""
        schedulers = [] if scheduler is None else [self.process(scheduler, None)]
        return TrainPlan(
            processes=(*schedulers, *(self.process(script, rank) for rank, script in enumerate(ranks))),
            limits=limits or TimeLimits(silence=None, first_step=None),
            grace=grace,
        )

    def publish(self, train: TrainPlan | None, *, attempts: tuple[int, ...] = (1,)) -> None:
        """Write plan.json, the environments of `attempts`, and a shard, without which no training is completed."""
        for attempt in attempts if train else ():
            environment = self.job_dir.step(attempt, Step.TRAIN).environment
            environment.parent.mkdir(parents=True, exist_ok=True)
            train.environments.publish(environment)
        if train is not None:
            self.save("demo_rank_0-1_1.ckpt")
        merge = MergePlan(source=self.job_dir.output, destination=self.job_dir.merged)
        JobPlan(job=42, name="demo", train=train, merge=merge).publish(self.job_dir.plan)

    def save(self, name: str) -> None:
        """Put a file beside the shards of rank 0."""
        directory = self.job_dir.output / "checkpoint" / "rank_0"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()

    def log(self, rank: int) -> str:
        """Return what a rank has printed so far."""
        path = self.job_dir.rank_log(rank)
        return path.read_text() if path.exists() else ""

    def until_printed(self, rank: int, text: str) -> None:
        """Wait until a rank has printed `text`."""
        self.eventually(lambda: text in self.log(rank), f"rank {rank} printed {text!r}")

    @staticmethod
    def eventually(condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` is true; fail when it stays false."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"still not true: {what}"
            time.sleep(0.02)

    def living(self) -> list[psutil.Process]:
        """Return all processes of this test, found by the mark in their environment."""
        return [process for process in psutil.process_iter() if self._is_marked(process)]

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            return self.mark.encode() in environment.split(b"\0") and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.NoSuchProcess):
            return False


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A workshop; the test fails when a process of it is left."""
    workshop = Workshop(tmp_path)
    yield workshop
    left = workshop.living()
    for process in left:
        process.kill()
    assert left == []
