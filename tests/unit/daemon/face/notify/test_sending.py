"""Each destination's rules: quiet hours, one message for what comes together, limits, tries. By an injected clock."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import chain
from multiprocessing.connection import wait
from pathlib import Path
from threading import Event

import pytest

from daemon.core.daemon_record import DaemonRecord
from daemon.core.event_kinds import DEFAULT, EventKind
from daemon.core.night_hours import NightHours
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.face.notify import sending
from daemon.face.notify.message import MessageState
from daemon.face.notify.outbox import Outbox
from daemon.face.notify.plan import Destination, Files, Limit, Plan
from daemon.face.notify.process import Notifier
from daemon.face.notify.standing import Counts, read_standing
from daemon.face.words.language import Language
from handlers.codes import Code
from handlers.records.process import ProcessIdentity
from tests.listening import Request, listening, says

# The notifier has one thread; here there is the server's beside it, of which a forked child has nothing.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 29, 12, 0, 30).astimezone()
HOOK = Destination(
    name="hook",
    credential="hook",
    secret="",
    language=Language.EN,
    is_webhook=True,
    kinds=DEFAULT | {EventKind.JOB_CANCELLED},
    jobs="*",
    quiet=None,
    group=0.0,
    most=None,
)


class World:
    """A root with a store, a server that is told, and a notifier whose clock stands still until it is set."""

    def __init__(self, path: Path, stack: ExitStack, morning: time | None = None) -> None:
        self.root = path / "root"
        self.root.mkdir()
        self.status = "204 No Content"
        server = stack.enter_context(listening(self._answer))
        self.requests: list[Request] = server.requests
        credential = path / "hook"
        credential.touch(mode=0o600)
        credential.write_text(f"http://127.0.0.1:{server.port}/hook")
        self._store = stack.enter_context(Store.open(self.root / "glmd.db"))
        self._outbox = stack.enter_context(Outbox.open(path))
        self.now = NOON.astimezone(UTC)
        self.plan = Plan(self.root, "npu01", "18:00-08:00", morning, "", (HOOK,), "json", "error")
        self._files = Files(None, self.root, path, path, path)
        self.start()

    def _answer(self, link: socket.socket, ends: Event) -> None:
        says(self.status)(link, ends)

    def start(self) -> None:
        """Start the notifier, as after a restart."""
        self._notifier = Notifier(self.plan, self._outbox, self._files, clock=lambda: self.now)
        self.settle()

    def rule(self, **rules: object) -> None:
        """Let the destination have other rules."""
        self.plan = replace(self.plan, destinations=(replace(HOOK, **rules),))  # type: ignore[arg-type]
        self.start()

    def settle(self) -> None:
        """Turn until nothing can be done at this time."""
        assert self._notifier.turn()
        while links := self._notifier._children.links:
            wait(links, timeout=0.05)
            assert self._notifier.turn()

    def at(self, later: timedelta) -> None:
        """Let it be so long after noon, and turn."""
        self.now = NOON.astimezone(UTC) + later
        self._notifier._looking._due = 0.0
        self.settle()

    def cancelled(self, name: str) -> None:
        """Let a job have been cancelled, and turn."""
        job = self._store.add(NewJob(f"claim {name}", name, prefix="glm"))
        self._store.move(job, State.CANCELLED, "somebody asked", Code.JOB_CANCELLED)
        self.settle()

    def stuck(self, name: str) -> None:
        """Let processes of a job have been left that cannot be ended, and turn."""
        job = self._store.add(NewJob(f"claim {name}", name, devices=(0,), prefix="glm"))
        for state in (State.PREPARING, State.TRAINING):
            job = self._store.move(job, state)
        self._store.move(job, State.FAILED, "pid 7 is left", Code.SHIM_SURVIVORS, keep_devices=True)
        self.settle()

    def daemon_says(self, process: ProcessIdentity) -> None:
        """Let that be the daemon."""
        record = DaemonRecord("0.1", process, self.now, self.now, (0,))
        (self.root / "daemon.json").write_bytes(record.content())

    def has_nights(self) -> None:
        """Let there be a cycle, so that there is something to say in the morning."""
        self._store.set_last_due("glm-6b", self.now, "0 2 * * *", "")

    @property
    def told(self) -> list[list[str]]:
        """What each message that came tells of, in order: names of jobs, kinds of what has none."""
        return [[_name(event) for event in _events(json.loads(request.body))] for request in self.requests]


def _events(document: dict[str, dict[str, list[dict[str, object]]]]) -> list[dict[str, object]]:
    return document["data"]["events"] if document["type"] == "batch" else [document]  # type: ignore[comparison-overlap, list-item]


def _name(event: dict[str, object]) -> str:
    data = event["data"]
    assert isinstance(data, dict)
    job = data.get("job")
    kind = str(event["type"])
    if not job:
        return kind
    return str(job["name"]) if kind.startswith("job.") else f"{job['name']} {kind}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return one in which nothing was told yet."""
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def test_the_first_is_told_at_once_and_what_comes_within_is_one_message(world: World) -> None:
    """A failure is not held back for others that may come."""
    world.rule(group=60.0)
    world.cancelled("a")
    world.cancelled("b")
    world.at(MINUTE / 2)
    world.cancelled("c")
    assert world.told == [["a"]]
    world.at(1.1 * MINUTE)
    assert world.told == [["a"], ["b", "c"]]


def test_it_says_how_its_outbox_stands(world: World, tmp_path: Path) -> None:
    """For whoever may not read it: what waits since when, and what was sent."""
    world.status = "500 Not Now"
    world.cancelled("a")
    standing = read_standing(tmp_path)
    assert standing is not None
    assert standing.root == world.root
    assert standing.destinations["hook"] == Counts({"pending": 1}, NOON.astimezone(UTC))
    world.status = "204 No Content"
    world.at(MINUTE)
    standing = read_standing(tmp_path)
    assert standing is not None
    assert standing.destinations["hook"] == Counts({"sent": 1})


def test_no_more_messages_than_its_limit(world: World) -> None:
    """What is more waits, in order, and is one message then."""
    world.rule(most=Limit(2, 3600.0))
    for name in "abcde":
        world.cancelled(name)
    assert world.told == [["a"], ["b"]]
    world.at(61 * MINUTE)
    assert world.told == [["a"], ["b"], ["c", "d", "e"]]


def test_quiet_hours_hold_back_all_but_what_is_urgent(world: World) -> None:
    """Processes that cannot be ended hold devices: that is told at three; the rest waits for the morning."""
    world.rule(quiet=NightHours.parse("11:00-13:00"))
    world.cancelled("a")
    world.stuck("b")
    assert world.told == [["b operator.needed"]]
    world.at(59 * MINUTE)
    assert len(world.told) == 1
    world.at(60 * MINUTE)
    assert world.told[1:] == [["a", "b"]]


def test_what_waits_when_quiet_hours_begin_is_not_tried_in_them(world: World) -> None:
    """A server that comes back at three wakes nobody either."""
    world.rule(quiet=NightHours.parse("12:10-13:00"))
    world.status = "503 Service Unavailable"
    world.cancelled("a")
    world.status = "204 No Content"
    world.at(20 * MINUTE)
    assert len(world.requests) == 1
    world.at(61 * MINUTE)
    assert [request.headers["webhook-id"] for request in world.requests] == [
        world.requests[0].headers["webhook-id"]
    ] * 2


def test_tries_are_made_after_growing_pauses_until_it_is_given_up(world: World) -> None:
    """Always with the same id; after four days `glmd notify list` has it as failed, and the next message is sent."""
    world.status = "500 Internal Server Error"
    world.cancelled("a")
    for minutes in (0.1, 0.25, 2, 8, 45, 90):
        world.at(minutes * MINUTE)
    assert len(world.requests) == 6  # not after 6 s
    world.at(timedelta(days=4, hours=1))
    world.status = "204 No Content"
    world.cancelled("b")
    assert len({request.headers["webhook-id"] for request in world.requests[:-1]}) == 1
    assert world.told[-1] == ["b"]
    assert [message.state for message in world._outbox.messages(*MessageState)] == ["failed", "sent"]


def test_in_order_also_when_the_first_has_to_wait(world: World) -> None:
    """A later message does not overtake one that is tried again."""
    world.status = "500 Internal Server Error"
    world.cancelled("a")
    world.status = "204 No Content"
    world.cancelled("b")
    assert world.told == [["a"]]
    world.at(MINUTE / 2)
    assert world.told == [["a"], ["a"], ["b"]]


@pytest.mark.parametrize("jump", (timedelta(days=-400), timedelta(days=400)), ids=("back", "ahead"))
def test_a_clock_that_jumps_loses_nothing_and_tells_nothing_twice(world: World, jump: timedelta) -> None:
    """Whatever was due when, by which clock: each is told once, at the latest after its pauses."""
    world.rule(group=60.0, most=Limit(3, 3600.0))
    world.cancelled("a")
    world.cancelled("b")
    world.at(jump)
    world.at(jump + 2 * MINUTE)
    world.cancelled("c")
    world.at(jump + 4 * MINUTE)
    world.at(jump + 120 * MINUTE)
    assert list(chain(*world.told)) == ["a", "b", "c"]


def test_a_try_that_a_clock_put_far_off_is_made_now(world: World) -> None:
    """The next try was due by a clock that was a year ahead."""
    world.at(timedelta(days=365))
    world.status = "500 Internal Server Error"
    world.cancelled("a")
    world.status = "204 No Content"
    world.at(MINUTE)
    assert world.told == [["a"], ["a"]]


def test_only_who_wants_it_is_told(world: World) -> None:
    """By the kinds of events, and by a pattern of names; what is about no job is for everybody."""
    world.rule(jobs="glm-*", kinds=frozenset({EventKind.JOB_CANCELLED, EventKind.OPERATOR_NEEDED}))
    world.cancelled("other")
    world.cancelled("glm-6b")
    world.stuck("glm-4")
    assert world.told == [["glm-6b"], ["glm-4 operator.needed"]]


def test_what_cannot_be_put_into_words_is_told_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of glmd's, or a record that cannot be read in time, keeps nobody from knowing of it."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sending, "compose_message", broken)
    world.cancelled("a")
    world.settle()
    assert world.told == [["a"]]
    monkeypatch.undo()
    world.cancelled("b")
    assert world.told == [["a"], ["b"]]


def test_a_daemon_that_is_gone_is_told_once_it_is_missed(world: World) -> None:
    """After five minutes, in quiet hours too, where nights are set; and that it is back."""
    world.has_nights()
    world.rule(quiet=NightHours.parse("11:00-14:00"))
    world.daemon_says(ProcessIdentity(1, 1, "another boot"))
    world.at(MINUTE)
    world.at(5 * MINUTE)
    assert world.told == []
    world.at(6.1 * MINUTE)
    world.at(30 * MINUTE)
    assert world.told == [["daemon.down"]]
    world.daemon_says(ProcessIdentity.of(os.getpid()))
    world.at(31 * MINUTE)
    assert world.told == [["daemon.down"]] * 2
    assert json.loads(world.requests[-1].body)["data"]["is_over"] is True


def test_the_heartbeat_goes_on_while_all_is_well(world: World) -> None:
    """It stays away while glmd is in trouble, and comes back: whoever listens knows by its absence."""
    world.plan = replace(world.plan, heartbeat="hook", destinations=())
    world.has_nights()
    world.start()
    assert [request.line for request in world.requests] == ["GET /hook HTTP/1.1"]
    world.daemon_says(ProcessIdentity(1, 1, "another boot"))
    world.at(MINUTE)
    world.at(7 * MINUTE)
    world.start()
    assert len(world.requests) == 1
    world.daemon_says(ProcessIdentity.of(os.getpid()))
    world.at(8 * MINUTE)
    assert len(world.requests) == 2


def test_what_is_stuck_is_told_again_while_it_lasts(world: World) -> None:
    """Every six hours, until somebody has ended it: that is told, too."""
    world.rule(kinds=frozenset({EventKind.OPERATOR_NEEDED}))
    world.stuck("a")
    for hours in range(1, 13):
        world.at(hours * HOUR)
    assert world.told == [["a operator.needed"]] * 3
    world._store.free_devices(world._store.job(1))
    world.at(13 * HOUR)
    assert json.loads(world.requests[-1].body)["data"]["is_over"] is True


def test_the_digest_comes_in_the_morning_once(world: World) -> None:
    """By itself, not again after a restart, and again on the next morning."""
    world.has_nights()
    world.now -= 5 * HOUR
    world.plan = replace(world.plan, morning=time(8))
    world.start()
    world.cancelled("a")
    world.at(-4.1 * HOUR)
    assert world.told == [["a"]]
    world.cancelled("b")
    world.at(-4 * HOUR)
    world.start()
    world.at(-3 * HOUR)
    assert world.told == [["a"], ["b"], ["digest"]]
    world.at(20 * HOUR)
    assert world.told == [["a"], ["b"], ["digest"], ["digest"]]


def test_who_begins_at_noon_gets_no_digest_of_a_night_that_nobody_watched(tmp_path: Path) -> None:
    """The first one is of the night to come."""
    with ExitStack() as stack:
        world = World(tmp_path, stack, morning=time(8))
        assert world.told == []
        world.has_nights()
        world.cancelled("a")
        world.at(20 * HOUR)
        assert world.told == [["a"], ["digest"]]
