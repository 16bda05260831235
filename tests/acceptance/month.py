"""Nights in seconds: a daemon whose wall clock the test sets, real shims, the light stand-in for ranks."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from daemon.core.read_store import ReadStore
from daemon.core.retention import plan
from daemon.core.root import Root
from daemon.core.settings import load_settings
from daemon.core.states import Job, State
from daemon.face.nights import Run, runs_since
from daemon.serve.intake.source import Moment
from handlers.ckpt.publishing.manifest import read_manifest
from tests.acceptance.house import STANDIN
from tests.crash.stage import PATIENCE, Stage

CYCLES = {"big": 2, "small": 1}
"""The cycles, and how many ranks train for each."""


@dataclass(frozen=True)
class SetClock:
    """A wall clock that the test sets, in whichever process: it is a file."""

    path: Path

    def set(self, wall: datetime) -> None:
        """Let it be that time, until it is set again."""
        new = self.path.with_suffix(".new")
        new.write_text(wall.isoformat())
        new.rename(self.path)

    def __call__(self) -> Moment:
        """Read it."""
        return Moment(time.monotonic(), datetime.fromisoformat(self.path.read_text()))


class Month:
    """A root with two cycles, and a daemon over it."""

    def __init__(self, path: Path, before: datetime, more: Mapping[str, object] | None = None) -> None:
        self.before = before
        """The day before the first night."""
        self._more = dict(more or {})
        self.clock = SetClock(path / "clock")
        self.stage = Stage(path, clock=self.clock, is_hasty=False)
        self.root = Root(self.stage.root)
        self.stage.furnish(b"")
        self.gate = self.stage.data / "gate"
        first = self.stage.data / "first" / "rank_0"
        first.mkdir(parents=True)
        (self.stage.data / "base.ckpt").rename(first / "base.ckpt")

    def at(self, night: int, hour: int = 2) -> datetime:
        """Return a time of a night, from 1; runs are due at two."""
        return self.before + timedelta(days=night, hours=hour)

    def play(self, *, lost: bool = False, **environment: str) -> None:
        """Let the trainings to come go so, as the settings and the templates say."""
        nightly, first = [], 0
        for name, ranks in CYCLES.items():
            template = self.stage.data / f"{name}.yaml"
            rate = 0.5 if lost and name == "small" else 5.0e-5
            text = self.stage.config(devices=f"[{first},{first + ranks})")
            text = text.replace("data_parallel: 2", f"data_parallel: {ranks}").replace("base.ckpt", "first")
            text = text.replace('prefix: "glm-6b"', f'prefix: "{name}"')
            template.write_text(f"auto_trans_ckpt: True\noptimizer:\n  learning_rate: {rate}\n{text}")
            cycle = {"name": name, "cron": "0 2 * * *", "timezone": "UTC", "template": str(template)}
            nightly.append(cycle | {"continue_from": "latest"})
            first += ranks
        training = {"python": sys.executable, "checkout": str(STANDIN), "mindformers": "0.8", "grace": 2}
        self.stage.settings = {"nightly": nightly, "training": training | {"environment": environment}, **self._more}
        self.stage.write_settings()

    def let_it_be(self, now: datetime, condition: Callable[[], bool], what: str) -> None:
        """Let it be `now`, with the settings of now, until `condition` holds."""
        self.clock.set(now)
        deadline = time.monotonic() + PATIENCE
        self.until(lambda: self.stage.ask("reload") is not None, deadline, "the daemon answers")
        self.until(condition, deadline, what)

    def until(self, condition: Callable[[], bool], deadline: float, what: str) -> None:
        """Keep the processes going until `condition` holds, which is asked now and then."""
        self.stage.tick()
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}\n{self.stage.tail()}"
            for _ in range(5):
                self.stage.tick()
                time.sleep(0.01)

    def store(self) -> ReadStore:
        """Open the store as it is now."""
        return ReadStore.open(self.root.store)

    def runs(self, night: int) -> dict[str, Run]:
        """Return what is known of a night, by cycle."""
        with self.store() as store:
            found = runs_since(store, self.before)
        return {name: run for name, runs in found.items() for run in runs if run.due == self.at(night)}

    def are_over(self, night: int) -> bool:
        """Say whether both cycles have a job for a night, and that is over."""
        runs = self.runs(night).values()
        return len(runs) == len(CYCLES) and all(run.job and run.job.state.is_over for run in runs)

    def are_done(self, count: int) -> bool:
        """Say whether so many jobs that people dropped are done."""
        return sum(job.state is State.DONE and not job.cycle for job in self.stage.jobs()) == count

    def are_counted(self, night: int) -> bool:
        """Say whether the daemon is done with a night of both cycles."""
        if not self.root.store.exists():
            return False
        with self.store() as store:
            counted = store.counted()
        return len(counted) == len(CYCLES) and all(each.last >= self.at(night) for each in counted)

    def latest(self) -> list[Job]:
        """Return whose outputs `latest` leads to, after a look at each."""
        places = [link.resolve(strict=True) for link in self.root.latest.iterdir()]
        for merged in places:
            assert read_manifest(merged / "manifest.json").not_finite == {}, merged
        return [job for job in self.stage.jobs() if job.directory(self.root.path).merged in places]

    def until_pruned(self) -> None:
        """Keep the processes going until nothing is being removed any more."""
        settings = load_settings(self.root.path / "glmd.yaml", self.root.path)

        def is_pruned() -> bool:
            with self.store() as store:
                busy = store.unended_prunings()
            return not busy and not plan(self.root, settings, self.clock().wall, is_asked=False).going

        self.until(is_pruned, time.monotonic() + PATIENCE, "nothing is to be removed any more")


@contextmanager
def known_month(path: Path, before: datetime, more: Mapping[str, object] | None = None) -> Iterator[Month]:
    """Yield a root with two cycles of which the daemon knows, and no night yet."""
    month = Month(path, before, more)
    try:
        month.play()
        month.let_it_be(month.at(0), lambda: month.are_counted(0), "the cycles are known")
        yield month
    finally:
        month.gate.touch()
        month.stage.close()
