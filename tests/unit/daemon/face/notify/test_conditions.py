"""What is so now, by the store, the disk and what the daemon says of itself; silence is no good news."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.daemon_record import DaemonRecord, PresentFault
from daemon.core.database import StoreError
from daemon.core.event_kinds import EventKind
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.face.notify import conditions
from daemon.face.notify.lasting import Condition, Lasting
from handlers.codes import Code
from handlers.records.process import ProcessIdentity

NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)
GONE = ProcessIdentity(os.getpid(), 1, "another boot")
FAULT = PresentFault("claims", Code.HOST_DISK_FULL, "No space left on device", NOW)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Return one with a store."""
    with Store.open(tmp_path / "glmd.db"):
        yield Root(tmp_path)


def says(root: Root, process: ProcessIdentity, *faults: PresentFault, stopped: datetime | None = None) -> None:
    """Let the daemon have said that."""
    root.daemon.write_bytes(DaemonRecord("0.1", process, NOW, NOW, (0,), faults=faults, stopped=stopped).content())


def of_daemon(root: Root, *known: Condition, has_work: bool = True) -> list[tuple[EventKind, str]]:
    """Return the conditions that the daemon's word makes, after those that were known."""
    lasting = {one.key: Lasting(one, NOW, 1, NOW) for one in known}
    return [(one.kind, one.key) for one in found(root, lasting, has_work=has_work)]


def found(root: Root, lasting: dict[str, Lasting], *, has_work: bool = True) -> list[Condition]:
    """Return the conditions themselves."""
    return list(conditions.of_daemon(root, lasting, has_work=has_work))


def test_a_daemon_that_lives_tells_its_faults(root: Root) -> None:
    """With their own beginning, code and reason; each is told when it has lasted five minutes."""
    says(root, ProcessIdentity.of(os.getpid()), FAULT)
    (condition,) = found(root, {})
    assert (condition.kind, condition.code, condition.since) == (EventKind.FAULT_LASTING, Code.HOST_DISK_FULL, NOW)
    assert condition.after == timedelta(minutes=5)
    assert "No space left" in condition.text


def test_a_daemon_that_is_gone_is_missed_where_there_is_work(root: Root) -> None:
    """Killed or stopped; of one that nobody needs nothing is said."""
    says(root, GONE)
    assert [kind for kind, _ in of_daemon(root)] == [EventKind.DAEMON_DOWN]
    assert of_daemon(root, has_work=False) == []
    says(root, ProcessIdentity.of(os.getpid()), stopped=NOW)
    (condition,) = found(root, {})
    assert "was stopped" in condition.text
    assert condition.since == NOW


def test_a_root_of_an_older_glmd_says_nothing(root: Root) -> None:
    """There is no daemon.json: whether the daemon lives is not known, and nothing is claimed."""
    assert of_daemon(root) == []


def test_what_a_dead_daemon_has_said_is_not_over(root: Root) -> None:
    """It died of the full disk: nobody is told that the disk is well."""
    says(root, ProcessIdentity.of(os.getpid()), FAULT)
    (fault,) = found(root, {})
    says(root, GONE)
    assert {key for _, key in of_daemon(root, fault)} == {fault.key, "daemon.down"}
    root.daemon.write_text("half a")
    kept = Condition("daemon.down", EventKind.DAEMON_DOWN, "")
    assert {key for _, key in of_daemon(root, fault, kept)} == {fault.key, "daemon.down", "fault.lasting:daemon.json"}


def test_a_store_that_cannot_be_read_lets_nothing_be_over() -> None:
    """Processes that hold devices still do."""
    stuck = Condition("operator.needed:7", EventKind.OPERATOR_NEEDED, "pid 7 is left")
    known = {stuck.key: Lasting(stuck, NOW, 1, NOW)}
    error = StoreError("glmd.db: damaged")
    told = list(conditions.of_unreadable_store(error, known))
    assert [one.key for one in told] == ["fault.lasting:store", stuck.key]
    assert list(conditions.of_no_store(known)) == [stuck]


def test_jobs_that_wait_for_more_than_their_devices(root: Root) -> None:
    """What stands in the queue behind others is as it should be; what something keeps out is told after a while."""
    with Store.open(root.store) as store:
        store.add(NewJob("a", "a", devices=(0,)))
        held = store.add(NewJob("b", "b", devices=(0,)))
        store.explain(held, "waits: device 0 is in use by pid 7", Code.DEVICE_IN_USE)
        with ReadStore.open(root.store) as reading:
            (condition,) = conditions.of_store(reading, {})
            assert conditions.has_work(reading)
    assert (condition.kind, condition.job, condition.code) == (EventKind.JOB_WAITING, 2, Code.DEVICE_IN_USE)
    assert condition.after == timedelta(minutes=30)


def test_nothing_is_missed_where_all_is_over_and_no_night_is_set(root: Root) -> None:
    """Who has tried glmd once and stopped it is left alone."""
    with Store.open(root.store) as store:
        store.move(store.add(NewJob("a", "a")), State.CANCELLED)
        with ReadStore.open(root.store) as reading:
            assert not conditions.has_work(reading)
        store.set_last_due("glm", NOW, "0 2 * * *", "")
        with ReadStore.open(root.store) as reading:
            assert conditions.has_work(reading)


def test_a_full_disk_is_seen_without_the_daemon(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon cannot write down that it cannot write."""
    assert list(conditions.of_disk(root.path)) == []
    monkeypatch.setattr(conditions, "LEAST_ROOM", 1 << 62)
    (condition,) = conditions.of_disk(root.path)
    assert condition.code == Code.HOST_DISK_FULL
    (away,) = conditions.of_disk(root.path / "nowhere")
    assert away.code == Code.HOST_NOT_THERE
