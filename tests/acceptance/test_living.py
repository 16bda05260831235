"""Living ranks keep their devices, whatever becomes of files, directories, rows and stores.

The stand-in locks its device, and the house looks in the end whether two attempts were ever on one: see house.close.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.core.control import NotRunningError, ask
from daemon.core.states import Job, State
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity
from tests.acceptance.house import CONFIG, House
from tests.acceptance.test_adoption import hold_merging


def begin(house: House, **environment: str) -> list[ProcessIdentity]:
    """Let job 1 train until its ranks wait at the gate, on devices 0 and 1; return its ranks."""
    house.environment(STANDIN_GATE=str(house.gate), **environment)
    if not house.is_up:
        house.start()
    house.drop()
    house.until(State.TRAINING)
    return at_gate(house)


def at_gate(house: House) -> list[ProcessIdentity]:
    """Wait until both ranks wait at the gate, and return them."""
    logs = [house.directory().rank_log(rank) for rank in (0, 1)]
    house.wait(lambda: all(log.exists() and "Epoch:[ 30/" in log.read_text() for log in logs), "the gate")
    return [ProcessIdentity.of(int((house.devices / str(n)).read_text().rpartition(" ")[2][:-1])) for n in (0, 1)]


def rival(house: House) -> None:
    """Drop another job for the same devices, which is job 2."""
    house.drop("rival.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + "  priority: 1\n")
    place = house.root / "jobs" / "0002-rival" / "submitted.yaml"
    claims = house.root / "claims"
    house.wait(lambda: place.exists() and not any(claims.iterdir()), "the rival to be taken")


def next_one_trains(house: House) -> None:
    """Wait until the rival's ranks are on the devices."""
    log = house.directory(2).rank_log(0)
    house.wait(log.exists, "the next one's ranks")


def headline(house: House) -> str:
    """Let the daemon take a turn, and return what it says; empty while it does not answer."""
    with contextlib.suppress(NotRunningError, OSError):
        ask(house.root, "ping", timeout=5)
        return ask(house.root, "ping", timeout=5)
    return ""


def all_goes_on(house: House, ranks: list[ProcessIdentity], *, attempt: int = 1) -> None:
    """Assert that after some turns the job still trains, with the same ranks, and the rival waits."""
    for _ in range(3):
        headline(house)
    assert (house.job().state, house.job().attempt) == (State.TRAINING, attempt), house.log.read_text()
    assert all(rank.alive() for rank in ranks)
    waiting = [job for job in house.jobs() if job.id > 1]
    assert all(job.state is State.QUEUED for job in waiting), (waiting, house.log.read_text())


def over(house: House, number: int = 1) -> Job:
    """Wait until a job is over."""
    house.wait(lambda: house.job(number).state.is_over, f"job {number} to be over")
    return house.job(number)


def restart(house: House) -> None:
    """Kill the daemon, and start it."""
    house.stop(signal.SIGKILL)
    house.start()


def agree(house: House) -> None:
    """Assert that root and store agree."""
    checked = house.run("doctor", "--state")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def remove(path: Path) -> None:
    """Remove a directory though ranks write in it meanwhile: what comes into it after it was read goes too."""
    while path.exists():
        shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize("is_cancelled", (False, True))
def test_a_jobs_directory_is_removed_while_its_ranks_train(house: House, *, is_cancelled: bool) -> None:
    """The job trains on, and says so; when it has ended, it has failed for that, and its devices are the next one's."""
    ranks = begin(house)
    rival(house)
    remove(house.directory().path)
    house.wait(lambda: "0001-run" in headline(house), "the headline")
    all_goes_on(house, ranks)
    restart(house)
    all_goes_on(house, ranks)
    if is_cancelled:
        assert house.run("cancel", "1").returncode == 0
        assert over(house).state is State.CANCELLED
    house.gate.touch()
    job = over(house)
    assert "0001-run is not there" in job.reason
    assert job.state is (State.CANCELLED if is_cancelled else State.FAILED)
    next_one_trains(house)


@pytest.mark.parametrize(("place", "is_killed"), (("", False), ("", True), ("jobs", True), ("jobs/0001-run", False)))
def test_what_is_moved_away_while_ranks_train_is_waited_for(house: House, place: str, *, is_killed: bool) -> None:
    """Root, jobs/ or the job's directory: it trains on, and is followed again when that is back."""
    ranks = begin(house)
    rival(house)
    there, away = house.root / place, house.root.parent / "away"
    there.rename(away)
    if is_killed:
        house.stop(signal.SIGKILL)
        house.launch()
    house.wait(
        lambda: (
            "put it back" in house.log.read_text() or "move it back" in house.log.read_text() in house.log.read_text()
        ),
        "the fault",
    )
    assert all(rank.alive() for rank in ranks)
    away.rename(there)
    house.wait(lambda: bool(headline(house)), "the daemon")
    all_goes_on(house, ranks)
    house.gate.touch()
    assert house.until(State.DONE).attempt == 1
    agree(house)


def test_a_training_that_ends_while_the_root_is_away_is_merged_when_it_is_back(house: House) -> None:
    """Its shim knows where the directory is now, and how it ended is written there."""
    begin(house, STANDIN_SAVE="17")
    shim, away = house.shim(), house.root.parent / "away"
    house.root.rename(away)
    for rank in (0, 1):  # else they would make the root anew, to save in it
        os.kill(int((house.devices / str(rank)).read_text().rpartition(" ")[2][:-1]), signal.SIGKILL)
    house.wait(lambda: not shim.alive(), "the shim to end")
    away.rename(house.root)
    house.gate.touch()
    assert house.until(State.DONE).attempt == 2
    agree(house)


def damage(house: House) -> None:
    """Remove and garble what the daemon could go by, bit by bit."""
    records = house.directory().step(1, Step.TRAIN)
    for path in (records.shim, records.lock, records.exit):
        path.write_bytes(b"\0{")
        headline(house)
        path.unlink()
        headline(house)
    records.exit.write_text(records.exit.name)


def test_records_are_damaged_while_ranks_train(house: House) -> None:
    """shim.json, lock, exit.json: none of them says that ranks are gone which are there, nor after a restart."""
    ranks = begin(house)
    rival(house)
    damage(house)
    all_goes_on(house, ranks)
    restart(house)
    all_goes_on(house, ranks)
    remove(house.directory().path / "attempts")
    all_goes_on(house, ranks)
    restart(house)
    all_goes_on(house, ranks)
    house.gate.touch()
    assert house.until(State.DONE).attempt == 1
    next_one_trains(house)


def copy_store(house: House, to: Path) -> None:
    """Copy the store as a backup does."""
    with (
        contextlib.closing(sqlite3.connect(house.root / "glmd.db")) as store,
        contextlib.closing(sqlite3.connect(to)) as copy,
    ):
        store.backup(copy)


def put_back(house: House, copy: Path) -> None:
    """Kill the daemon, and start it with an older store."""
    house.stop(signal.SIGKILL)
    for name in ("glmd.db-wal", "glmd.db-shm"):
        (house.root / name).unlink(missing_ok=True)
    shutil.copyfile(copy, house.root / "glmd.db")
    house.start()


def test_a_store_of_before_the_job_is_put_back(house: House, tmp_path: Path) -> None:
    """The job is taken in again from its directory, under its number, and followed to its end."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    copy_store(house, tmp_path / "copy.db")
    ranks = begin(house)
    put_back(house, tmp_path / "copy.db")
    assert house.until(State.TRAINING).name == "run"
    rival(house)
    all_goes_on(house, ranks)
    house.gate.touch()
    house.until(State.DONE)
    agree(house)


@pytest.mark.parametrize("what", ("store", "both"))
def test_what_is_put_back_is_of_before_the_present_attempt(house: House, tmp_path: Path, what: str) -> None:
    """An older store, an older copy of the job's directory: the attempt that lives is the one that counts."""
    first = begin(house, STANDIN_SAVE="17")
    copy_store(house, tmp_path / "copy.db")
    shutil.copytree(house.directory().path, tmp_path / "copy")
    first[0].signal(signal.SIGKILL)
    house.wait(lambda: (house.job().attempt, house.job().state) == (2, State.TRAINING), "attempt 2")
    ranks = at_gate(house)
    rival(house)
    if what != "store":
        remove(house.directory().path)
        (tmp_path / "copy").rename(house.root / "jobs" / "0001-run")
        all_goes_on(house, ranks, attempt=2)
        restart(house)
        all_goes_on(house, ranks, attempt=2)
    put_back(house, tmp_path / "copy.db")
    all_goes_on(house, ranks, attempt=2)
    house.gate.touch()
    job = over(house)
    assert job.attempt == 2
    assert what != "store" or job.state is State.DONE
    next_one_trains(house)


@pytest.mark.parametrize("tables", (("jobs",), ("jobs", "device_locks", "transitions")))
def test_the_row_of_a_job_that_trains_is_deleted(house: House, tables: tuple[str, ...]) -> None:
    """The daemon follows its shim, and makes the row anew."""
    ranks = begin(house)
    rival(house)
    with contextlib.closing(sqlite3.connect(house.root / "glmd.db", isolation_level=None)) as store:
        for table in tables:
            store.execute(f"DELETE FROM {table} WHERE {'id' if table == 'jobs' else 'job'} = 1")  # noqa: S608 - ours
    house.wait(lambda: bool(headline(house)) and any(job.id == 1 for job in house.jobs()), "the row")
    all_goes_on(house, ranks)
    house.gate.touch()
    house.until(State.DONE)
    agree(house)


def up(house: House) -> None:
    """Let the daemon see it."""
    house.shim().signal(signal.SIGKILL)


def down(house: House) -> None:
    """Let it happen while the daemon is down."""
    shim = house.shim()
    house.stop(signal.SIGKILL)
    shim.signal(signal.SIGKILL)
    house.wait(lambda: not shim.alive(), "the shim to be gone")
    house.start()


def forgotten(house: House) -> None:
    """Let it happen while the daemon is down, and the store know nothing of it."""
    shim = house.shim()
    house.stop(signal.SIGKILL)
    shim.signal(signal.SIGKILL)
    for path in house.root.glob("glmd.db*"):
        path.unlink()
    house.start()


@pytest.mark.parametrize(("child", "kill"), (("meek", up), ("deaf", down), ("deaf", forgotten)))
def test_what_a_killed_shim_leaves_is_ended_before_its_devices_are_free(
    house: House, child: str, kill: Callable[[House], None]
) -> None:
    """Children that forked twice outlive their ranks; the reason names them."""
    house.training["grace"] = 1
    begin(house, STANDIN_CHILD=child)
    children = [ProcessIdentity.of(int((house.devices / f"child-{rank}").read_text())) for rank in (0, 1)]
    rival(house)
    house.environment()
    kill(house)
    if kill is not forgotten:
        reason = over(house).reason
        assert "ended without a record" in reason
        assert all(str(one.pid) in reason for one in children), reason
    house.gate.touch()
    next_one_trains(house)
    assert not any(one.alive() for one in children)


def test_a_jobs_directory_is_renamed_while_its_ranks_train(house: House) -> None:
    """The reason says how it is called now; back under its name it can be merged."""
    ranks = begin(house)
    rival(house)
    path, other = house.directory().path, house.root / "jobs" / "0001-b"
    path.rename(other)
    house.wait(lambda: "0001-b" in headline(house), "the headline")
    restart(house)
    all_goes_on(house, ranks)
    house.gate.touch()
    assert "0001-b has its number" in over(house).reason
    next_one_trains(house)
    remove(path)  # what the ranks saved there
    other.rename(path)
    assert house.run("retry", "1").returncode == 0


def test_a_root_that_is_new_while_ranks_of_the_old_one_train(house: House) -> None:
    """Their devices are theirs, and their job's number is not given to another."""
    ranks = begin(house)
    house.stop(signal.SIGKILL)
    house.root.rename(house.root.parent / "away")
    house.root.mkdir()
    house.start()
    rival(house)
    all_goes_on(house, ranks)
    house.gate.touch()
    assert over(house).name == "run"
    next_one_trains(house)


def test_a_jobs_directory_is_removed_while_it_merges(house: House, tmp_path: Path) -> None:
    """It is noticed at once, and not with the end of the merge."""
    hold_merging(house, tmp_path / "held")
    house.start().drop()
    house.wait((tmp_path / "held").exists, "the merge to be held")
    remove(house.directory().path)
    assert "0001-run is not there" in over(house).reason
    assert over(house).state is State.FAILED
    assert not house.gate.exists()
