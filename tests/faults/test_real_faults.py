"""Faults that the kernel makes: a full and a read-only disk, no descriptors left, a store that is held or hurt."""

import contextlib
import errno
import resource
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.core.control import NotRunningError, ask
from daemon.core.states import State
from daemon.core.store import DamagedStoreError, Store, StoreError
from tests.acceptance.house import CONFIG, House
from tests.faults.world import MERGED, World


def mount(*words: str | Path) -> None:
    """Mount something; a test that cannot is no test."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"mount {' '.join(map(str, words))}: {done.stderr}; pytest -m 'not root' leaves these tests out")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a root with a real daemon over it."""
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 2 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", path)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk: Path) -> Path:
    """Write until nothing fits any more."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as stream:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - the very error that is wanted
    return filler


def is_full(text: str) -> bool:
    """Whether a text says so, in the kernel's words or SQLite's."""
    return "No space left on device" in text or "disk is full" in text


@pytest.mark.root
def test_a_full_disk_holds_things_up_and_no_more(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drops wait in the inbox or in claims/, the status says why; with space again all end as they should."""
    # The check refuses a file for which there is no room when it looks, which is right, and not the point here.
    monkeypatch.setattr("handlers.validate.check.check_disk", lambda *_: None)
    with World(disk, monkeypatch) as world:
        world.drop("first.yaml")
        world.turn_until(lambda: world.are_over(1), "the first job")
        world.drop("good.yaml", (world.root.jobs / "0001-first" / "submitted.yaml").read_text() + "# again\n")
        world.drop("bad.yaml", "seed: [")
        filler = fill(disk)
        world.turn_until(lambda: is_full(world.service._headline), "the status to tell")
        assert world.left()
        for _ in range(20):
            world.service.turn()
        filler.unlink()
        world.turn_until(lambda: world.are_over(3), "all to be over")
        assert {name: state for name, (state, _) in world.jobs().items()} == {
            "first": State.FAILED,
            "good": State.FAILED,
            "bad": State.REJECTED,
        }
        assert world.jobs()["good"] == (State.FAILED, MERGED)
        assert not is_full(world.service._headline)
        world.agrees()


@pytest.mark.root
def test_a_cancel_needs_no_space(disk: Path) -> None:
    """A training that has filled the disk is ended at once, one that waits starts no more, and both are told later."""
    house = House(disk)
    house.log = disk.parent / "daemon.log"
    house.environment(STANDIN_HANG="1")
    house.settings["preflight"] = "off"
    house.start()
    try:
        house.drop("runs.yaml")
        house.until(State.TRAINING)
        shim = psutil.Process(house.shim().pid)
        house.wait(lambda: len(shim.children()) == 2, "the ranks")
        house.drop("waits.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + "# another\n")
        house.until(State.QUEUED, 2)
        filler = fill(disk)
        for number in (1, 2):
            assert "cannot record this yet" in ask(house.root, "cancel", number)
        house.wait(lambda: not shim.children(), "the ranks to end")
        assert {job.state for job in house.jobs()} == {State.TRAINING, State.QUEUED}
        filler.unlink()
        ask(house.root, "reload")  # not to wait for the next try
        for number in (1, 2):
            assert house.until(State.CANCELLED, number).reason.startswith("cancelled by root")
    finally:
        house.close()


@pytest.mark.root
def test_a_directory_that_becomes_read_only_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ext4 does after an error of the disk; when it can be written again, the job is taken."""
    with World(tmp_path, monkeypatch) as world:
        jobs = world.root.jobs
        mount("--bind", jobs, jobs)
        try:
            mount("-o", "remount,bind,ro", jobs)
            world.drop("good.yaml")
            world.turn_until(lambda: "Read-only file system" in world.service._headline, "the status to tell")
            assert [path.name for path in world.left()] != []
            mount("-o", "remount,bind,rw", jobs)
            world.turn_until(lambda: world.are_over(1), "the job to be over")
        finally:
            subprocess.run(["umount", "--lazy", jobs], check=True)
        assert world.jobs() == {"good": (State.FAILED, MERGED)}
        world.agrees()


@pytest.mark.root
def test_a_read_only_root_is_refused_with_the_reason(disk: Path) -> None:
    """At start-up there is nothing that could be served; systemd tries again."""
    house = House(disk)
    Store.open(house.root / "glmd.db").close()
    mount("-o", "remount,ro", disk)
    refused = house.run("serve", "--allow-root")
    assert refused.returncode == 1
    assert "ead-only" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_descriptors_the_daemon_lives_on(house: House) -> None:
    """It takes no drop, hangs up on clients, does not spin, and goes on when there are descriptors again."""
    house.start()
    daemon = psutil.Process(house.pid)
    soft, hard = resource.prlimit(house.pid, resource.RLIMIT_NOFILE)

    def is_starved() -> bool:
        """Take away what is free: again, where one of those in use was a client's just now."""
        highest = max(int(path.name) for path in Path(f"/proc/{house.pid}/fd").iterdir())
        resource.prlimit(house.pid, resource.RLIMIT_NOFILE, (highest + 1, hard))
        with contextlib.suppress(NotRunningError):
            return not ask(house.root, "ping", timeout=5.0)
        return True

    house.wait(is_starved, "clients to be hung up on")
    house.drop()
    house.wait(lambda: "Too many open files" in house.log.read_text(), "the daemon to say so")
    before, started = sum(daemon.cpu_times()[:2]), time.monotonic()
    house.wait(lambda: house.log.read_text().count("Too many open files") >= 3, "the daemon to try again")
    assert sum(daemon.cpu_times()[:2]) - before < 0.5 * (time.monotonic() - started) + 0.5
    assert house.is_up
    resource.prlimit(house.pid, resource.RLIMIT_NOFILE, (soft, hard))
    house.until(State.DONE)


def test_a_store_that_another_process_locks_for_long_is_waited_for(house: House) -> None:
    """For 15 s nothing can be written: the daemon answers all the same, well within the watchdog's 30 s."""
    house.start()
    with sqlite3.connect(house.root / "glmd.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        locked, slowest = time.monotonic(), 0.0
        house.drop()
        while time.monotonic() < locked + 15:
            asked = time.monotonic()
            answer = ask(house.root, "ping", timeout=20.0)
            slowest = max(slowest, time.monotonic() - asked)
        other.execute("ROLLBACK")
    other.close()
    assert "store: database is locked" in answer
    assert slowest < 10
    house.until(State.DONE)


def test_a_drop_is_taken_though_its_event_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's queue overflows: the inbox is looked through at once, not with the next rescan in an hour."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with World(tmp_path, monkeypatch) as world:
        world.service.turn()
        inotify = world.service._watch._inotify
        assert inotify is not None
        (world.root.inbox / ".busy").touch()
        with inotify._descriptor._lock:  # the reader takes it before each read
            for _ in range(limit):  # two events each: the queue twice over, for a first read is under way already
                (world.root.inbox / ".other").hardlink_to(world.root.inbox / ".busy")
                (world.root.inbox / ".other").unlink()
            world.drop("good.yaml")
        (world.root.inbox / ".busy").unlink()
        world.turn_until(lambda: world.are_over(1), "the job to be over")
        assert world.jobs() == {"good": (State.FAILED, MERGED)}
        world.agrees()


def hurt(path: Path) -> None:
    """Overwrite all pages but the first."""
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * (size - 4096))


def test_a_damaged_store_is_refused_with_the_repair(house: House) -> None:
    """Glmd does not start on it, does not touch it, and says how to mend it."""
    house.start()
    house.drop("bad.yaml", text="seed: [")
    house.until(State.REJECTED)
    house.stop()
    path = house.root / "glmd.db"
    hurt(path)
    before = path.read_bytes()
    refused = house.run("serve", "--allow-root")
    assert refused.returncode == 3
    assert "«A damaged store»" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("how", ("missing", "empty"))
def test_a_store_that_is_gone_begins_anew_beside_the_old_jobs(
    quick: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """No new job gets the number, and with it the directory and the unit, of one that was."""
    world = World(quick, monkeypatch)
    (world.root.jobs / "0041-run").mkdir()
    (world.root.jobs / "notes").mkdir()
    if how == "empty":
        world.root.store.touch()
    with world:
        assert world.store.number_above(world.root.highest_number)
        assert not world.store.number_above(world.root.highest_number)
        world.drop("run.yaml")
        world.turn_until(lambda: world.are_over(1), "the job to be over")
        assert [job.id for job in world.store.jobs()] == [42]
    assert (world.root.jobs / "0042-run" / "submitted.yaml").exists()
    assert list((world.root.jobs / "0041-run").iterdir()) == []


def test_garbage_is_no_store(tmp_path: Path) -> None:
    """Whatever lies under its name is left as it is."""
    path = tmp_path / "glmd.db"
    path.write_bytes(b"PK\x03\x04" * 5000)
    with pytest.raises(DamagedStoreError, match="not a database"):
        Store.open(path)
    assert path.read_bytes() == b"PK\x03\x04" * 5000


def test_a_locked_store_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass must not lead an operator to move the store away."""
    monkeypatch.setattr("daemon.core.store.BUSY_SECONDS", 0.01)
    path = tmp_path / "glmd.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked") as error:
            Store.open(path)
        other.execute("ROLLBACK")
    other.close()
    assert not isinstance(error.value, DamagedStoreError)
    shutil.rmtree(tmp_path)
