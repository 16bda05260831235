"""What is made of Slurm's silence: since when it lasts is told, and no more happens."""

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest

from daemon.core.root import Root
from daemon.core.slurm_settings import SlurmCommands, SlurmSettings
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.serve.jobs import slurm_work
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.jobs.slurm_work import SlurmWork
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Lane
from daemon.serve.steps.slurm.queue import Answer
from handlers.slurm.calling import UnclearError
from tests.unit.daemon.at_once import at_once
from tests.unit.handlers.slurm.tools import NAMES, Tools

Result = TypeVar("Result")
DOWN = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
CONFIG = "BOOT_TIME               = 2026-11-30T03:30:25\n"


class AtOnce:
    """Workers that have done their work when they get it."""

    def submit(
        self, lane: Lane, key: Hashable, work: Callable[[], Result], then: Callable[[Future[Result]], None]
    ) -> None:  # fmt: skip
        """Do it."""
        del lane
        at_once(key, work, then)


class Asking:
    """Asks a Slurm that a test lets speak."""

    def __init__(self, place: Path, store: Store, waiting: Waiting) -> None:
        (place / "tools").mkdir()
        self.root, self.store, self.faults, self.tools = Root(place), store, Faults(), Tools(place / "tools")
        self.slurm = SlurmSettings(commands=SlurmCommands(**{name: str(place / "tools" / name) for name in NAMES}))
        moves = Moves(self.root, store, waiting)
        aside = SetAside(self.root, store, waiting)
        self.work = SlurmWork(self.root, store, moves, AtOnce(), self.faults, aside)  # type: ignore[arg-type]

    def answer(self) -> Answer:
        """Return what is made of what Slurm says now."""
        self.work.ask(self.slurm)
        assert self.work.answer is not None
        return self.work.answer

    def job(self) -> Job:
        """Return a job that is to be submitted, and has no intent yet."""
        job = self.store.add(NewJob("claim", "run", nodes=2, ranks=4))
        return self.store.move(self.store.move(job, State.PREPARING), State.SUBMITTED)


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    """Return who asks, of a root of its own, as often as a test wants."""
    monkeypatch.setattr(slurm_work, "next_question", lambda *_: 0.0)
    root = Root(tmp_path)
    root.create()
    with Store.open(root.store) as store, Waiting() as waiting:
        yield Asking(tmp_path, store, waiting)


def test_silence_is_told_since_when_it_lasts(asking: Asking) -> None:
    """Not since the last question; in glmd's headline, too. It is over with the first answer."""
    asking.tools.say("squeue", "", DOWN, 1)
    asking.tools.say("scontrol", CONFIG)
    first = asking.answer()
    assert first.silent_since is not None
    now = datetime.now()  # noqa: DTZ005 - as people read it
    assert f"since {first.silent_since:%H:%M} (squeue: {DOWN})" in first.silence
    again = asking.answer()
    assert abs((again.silent_since or now) - first.silent_since).total_seconds() < 0.01
    (fault,) = asking.faults.present(besides="")
    assert (fault.what, fault.reason.startswith("does not answer since ")) == ("Slurm", True)
    asking.tools.say("squeue", "")
    assert asking.answer().silent_since is None
    assert asking.faults.present(besides="") == []


def test_an_unclear_submission_is_told_since_when(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the job that waits for it."""
    asking.tools.say("squeue", "", DOWN, 1)

    def unclear(*_: object) -> None:
        raise UnclearError("sbatch: Socket timed out")

    monkeypatch.setattr(slurm_work, "submit", unclear)
    job = asking.job()
    asking.work.submit(job, asking.slurm)
    now = asking.store.job(job.id)
    since = f"{asking.faults.since(f'submitting job {job.id} to Slurm'):%H:%M}"
    assert now.reason == f"Slurm gives no clear answer since {since}: sbatch: Socket timed out"
    assert (now.code, now.state) == ("slurm.no-answer", State.SUBMITTED)
