"""What every source of work keeps: daemon.serve.intake.source.WorkSource says it."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from daemon.core.checking import rules
from daemon.core.root import Root
from daemon.core.setting_sections import NightlySettings, WatchSettings
from daemon.core.settings import Settings
from daemon.core.states import State
from daemon.core.store import Store
from daemon.core.temporaries import sweep
from daemon.face.audit import check_state
from daemon.serve.intake.drops import Intake
from daemon.serve.intake.inbox import Inbox
from daemon.serve.intake.nightly import AGAIN, Cycles
from daemon.serve.intake.source import Moment, WorkSource
from daemon.serve.intake.trees import WatchedTrees
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.workers import Lane, Workers
from tests.acceptance.house import CONFIG, House
from tests.elsewhere import InThread
from tests.faults.injection import Call, Injection
from tests.unit.daemon.serve.intake.test_trees import shard

Result = TypeVar("Result")
PATIENCE = 30.0
HANGS = "hangs"
"""What has this in its name is on storage that does not answer."""
EVENING = datetime(2026, 11, 24, 1, tzinfo=UTC)


class Elsewhere(InThread):
    """Does work in the thread that waits for it; what is about HANGS waits until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()

    def run(self, key: Hashable, work: Callable[[], Result], told: Callable[[object], None] | None = None) -> Result:
        """Do `work`."""
        if HANGS in repr(work):
            self.answers.wait()
        return super().run(key, work, told)


class Stand:
    """A root, and a source of work over it that is turned as the daemon's loop does. `names` are what may come."""

    def __init__(self, path: Path, *names: str) -> None:
        self.house = House(path)
        self.path, self.names = path, names
        self.root = Root(self.house.root)
        self.root.create()
        self.settings = Settings.model_validate({**self.house.settings, "root": self.root.path})
        self.open()

    def open(self) -> None:
        """Begin as a daemon does that has just been started."""
        self.store = Store.open(self.root.store)
        sweep(self.root, [job.directory(self.root.path).path for job in self.store.jobs()])
        self.woken = threading.Event()
        self.elsewhere = Elsewhere()
        self.workers = Workers(self.woken.set, elsewhere=self.elsewhere)
        self.faults = Faults(first_pause=0.01, longest_pause=0.01)
        inbox = Inbox(self.root.inbox, settle=0.0, open_settle=0.0)
        rules_of_now = partial(rules, self.settings, self.root)
        self.intake = Intake(inbox, self.root, self.store, self.workers, rules_of_now, self.faults)
        self.sources = self.made()

    def made(self) -> tuple[WorkSource, ...]:
        """Return the source, and what takes in what it drops."""
        raise NotImplementedError

    def offer(self, name: str) -> None:
        """Let there be this piece of work."""
        raise NotImplementedError

    def spoil(self, name: str) -> None:
        """Keep this piece of work from becoming a job, by something that may pass."""
        for number in (1, 2):  # a file, where the job's directory is to be
            (self.root.jobs / f"{number:04}-{name}").touch()

    def mend(self, name: str) -> None:
        """Take away what keeps it."""
        for number in (1, 2):
            (self.root.jobs / f"{number:04}-{name}").unlink()

    def now(self) -> Moment:
        """Return this moment."""
        return Moment.now()

    def close(self) -> None:
        """End as a daemon does."""
        self.elsewhere.answers.set()
        self.elsewhere.close()
        self.store.close()

    def turn(self) -> None:
        """Turn once, with a look at everything, as after a rescan."""
        self.woken.clear()
        self.workers.deliver()
        self.intake.inbox.start_scan()
        self.intake.finish_leftovers()
        for source in self.sources:
            source.turn(self.now())
            due = source.next_due(self.now())
            assert due is None or due >= 0

    def turn_until(self, *names: str) -> None:
        """Turn until each of these is a job."""
        deadline = time.monotonic() + PATIENCE
        while not all(map(self.is_there, names)):
            assert time.monotonic() < deadline, f"no job of {names}: {self.jobs()}; {self.faults.summary}"
            self.turn()
            self.woken.wait(0.01)

    def jobs(self) -> list[str]:
        """Return the names of all jobs, as far as they are called by what they were made of."""
        return sorted(job.name.split("-")[0] for job in self.store.jobs())

    def is_there(self, name: str) -> bool:
        """Say whether `name` has become a job that can be run, and nothing of it is left."""
        left = [*self.root.inbox.glob(f"[!.]*{name}*"), *self.root.claims.glob(f"*/{name}*")]
        queued = [job for job in self.store.jobs() if job.state is State.QUEUED and job.name.startswith(name)]
        directories = [job.directory(self.root.path) for job in queued]
        return not left and any(one.submitted.is_file() or one.plan.is_file() for one in directories)

    def text(self, name: str) -> str:
        """Return a YAML that can run, another one for each name."""
        return CONFIG.format(data=self.house.data, devices="[0,2)") + f"# {name}\n"


class Drops(Stand):
    """Files in the inbox."""

    def made(self) -> tuple[WorkSource, ...]:
        """Return what takes them."""
        return (self.intake,)

    def offer(self, name: str) -> None:
        """Drop one."""
        (self.root.inbox / f"{name}.yaml").write_text(self.text(name))


class Trees(Stand):
    """Output trees of others."""

    def made(self) -> tuple[WorkSource, ...]:
        """Return what follows them."""
        watched = [
            WatchSettings(path=self.path / name, needs_strategy=False, ranks=1, quiet=0.0) for name in self.names
        ]
        return (WatchedTrees(watched, self.root, self.store, self.workers, self.faults),)

    def offer(self, name: str) -> None:
        """Let one be complete."""
        shard(self.path / name, 0, "31_4", age=100)


class Nights(Stand):
    """Cycles, all at two, and the intake that takes what they drop. Their templates are there from the evening on."""

    def __init__(self, path: Path, *names: str) -> None:
        self.wall = EVENING
        super().__init__(path, *names)
        for name in names:
            self.template(name).write_text(self.text(name))
        self.turn()
        self.wall += timedelta(hours=1)

    def template(self, name: str) -> Path:
        """Return where it is."""
        return self.path / f"{name}.yaml"

    def made(self) -> tuple[WorkSource, ...]:
        """Return the cycles, and what takes in their drops."""
        cycles = [
            NightlySettings(name=name, cron="0 2 * * *", timezone="UTC", template=self.template(name), devices="[0,2)")
            for name in self.names
        ]
        apart = partial(self.workers.submit_apart, Lane.NIGHTS)
        return Cycles(cycles, self.root, self.store, self.faults, apart), self.intake

    def offer(self, name: str) -> None:
        """Do nothing: the hour has come."""

    def is_there(self, name: str) -> bool:
        """Say so only where the night is kept with its job, too."""
        night = self.store.night(name, EVENING + timedelta(hours=1))
        return super().is_there(name) and night is not None and night.outcome.has_file and night.job is not None

    def spoil(self, name: str) -> None:
        """Take its template away."""
        self.template(name).unlink()

    def mend(self, name: str) -> None:
        """Put the template back, and let the time pass after which it is looked for again."""
        self.template(name).write_text(self.text(name))
        self.wall += AGAIN

    def now(self) -> Moment:
        """Return this moment, of a night in November."""
        return replace(Moment.now(), wall=self.wall)


class Killed(BaseException):
    """The daemon was killed."""


class Kill(Injection):
    """Kills the daemon at its N-th step that lasts, of whatever kind: nothing that lasts is done from then on."""

    KINDS = (Call.FSYNC, Call.RENAME, Call.UNLINK, Call.MKDIR, Call.LINK, Call.COMMIT)

    def __init__(self, number: int, below: Path) -> None:
        super().__init__(Call.FSYNC, 0, number, below, count=1 << 30)
        self.is_armed = True

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put it into place, for all kinds."""
        for kind in self.KINDS:
            self.call = kind
            super().install(patch)

    def hit(self, path: object) -> bool:
        """Count a call, and end the daemon in place of the N-th one."""
        if super().hit(path):
            raise Killed
        return False


@pytest.fixture(params=(Drops, Trees, Nights))
def kind(request: pytest.FixtureRequest) -> type[Stand]:
    """Return each kind of source."""
    found: type[Stand] = request.param
    return found


@contextmanager
def standing(kind: type[Stand], path: Path, *names: str) -> Iterator[Stand]:
    """Give a stand of this kind, and close it."""
    stand = kind(path, *names)
    try:
        yield stand
    finally:
        stand.close()


def test_the_same_work_is_one_job(kind: type[Stand], tmp_path: Path) -> None:
    """However often it is seen, and by the next daemon, too; at rest nothing is due at once, so that the loop rests."""
    with standing(kind, tmp_path, "one") as stand:
        stand.offer("one")
        for _ in range(2):
            stand.turn_until("one")
            for _ in range(5):
                stand.turn()
                stand.woken.wait(0.02)
            assert all(source.next_due(stand.now()) != 0 for source in stand.sources)
            assert stand.jobs() == ["one"]
            stand.close()
            stand.open()
        assert list(check_state(stand.root)) == []


def test_a_kill_between_any_two_steps_loses_nothing_and_doubles_nothing(kind: type[Stand], tmp_path: Path) -> None:
    """The next daemon finds what is there, and goes on."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory in it has a name of its own; these are many syncs
    number, is_killed = 0, True
    while is_killed:
        number += 1
        with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
            is_killed = killed_at(number, kind, Path(name))
    assert number > 5, "hardly a step was seen"


def killed_at(number: int, kind: type[Stand], path: Path) -> bool:
    """Kill a daemon at its N-th step, and see that the next one is right; return whether there were so many steps."""
    kill = Kill(number, path / "root")
    with standing(kind, path, "one") as stand:
        stand.close()
        with pytest.MonkeyPatch.context() as patch:
            kill.install(patch)
            kill.is_armed = False
            stand.open()
            stand.offer("one")
            kill.is_armed = True
            with suppress(Killed):
                stand.turn_until("one")
            kill.is_armed = False
            stand.close()
        stand.open()
        stand.turn_until("one")
        stand.turn()  # for a claim's directory that is empty by now
        assert stand.jobs() == ["one"], number
        assert [str(one) for one in check_state(stand.root)] == [], number
    return kill.fired


def test_what_fails_holds_up_no_other(kind: type[Stand], tmp_path: Path) -> None:
    """And is a job as soon as nothing keeps it."""
    with standing(kind, tmp_path, "bad", "good") as stand:
        stand.spoil("bad")
        stand.offer("bad")
        stand.offer("good")
        stand.turn_until("good")
        assert not stand.is_there("bad")
        stand.mend("bad")
        stand.turn_until("bad")
        assert stand.jobs() == ["bad", "good"]


def test_storage_that_does_not_answer_holds_up_no_other(kind: type[Stand], tmp_path: Path) -> None:
    """No turn waits for it; when it answers, what is on it becomes a job."""
    with standing(kind, tmp_path, HANGS, "good") as stand:
        stand.offer(HANGS)
        stand.offer("good")
        stand.turn_until("good")
        assert not stand.is_there(HANGS)
        stand.elsewhere.answers.set()
        stand.turn_until(HANGS)


def test_a_store_that_fails_is_told_and_loses_nothing(kind: type[Stand], tmp_path: Path) -> None:
    """It is about every room, so the turn ends with it; the next one that can goes on."""
    fault = Injection(Call.COMMIT, 0, 1, tmp_path)
    with standing(kind, tmp_path, "one") as stand, pytest.MonkeyPatch.context() as patch:
        stand.close()
        fault.install(patch)
        stand.open()
        stand.offer("one")
        fault.is_armed = True
        with pytest.raises(Exception, match="full"):
            stand.turn_until("one")
        stand.turn_until("one")
        assert stand.jobs() == ["one"]
