"""Files of the root are removed under a running daemon: nothing is lost, and it is told."""

import shutil
import signal
from pathlib import Path

from daemon.core.control import ask
from daemon.core.states import State
from tests.acceptance.house import House


def turns(house: House, name: str) -> None:
    """Let the daemon's loop turn, and look that it still takes files."""
    house.drop(name, text="seed: [")
    house.wait((house.root / "rejected" / f"{name}.reason.txt").exists, f"{name} to be rejected")


def test_what_the_daemon_holds_in_its_root_is_made_again(house: House) -> None:
    """Store, lock and socket: a job that trains is known to the next daemon, and no second one starts beside it."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    house.drop("run.yaml")
    house.until(State.TRAINING)
    for name in ("glmd.db", "glmd.db-wal", "glmd.db-shm", "glmd.lock"):
        (house.root / name).unlink()
    refused = house.run("serve", "--allow-root")
    assert refused.returncode == 3
    assert "another glmd" in refused.stderr
    turns(house, "first.yaml")
    assert "glmd.db, glmd.db-wal, glmd.db-shm: removed while glmd runs, and written back" in ask(house.root, "ping")
    (house.root / "glmd.sock").unlink()
    turns(house, "second.yaml")
    assert house.run("status").returncode == 0
    refused = house.run("serve", "--allow-root")
    assert "another glmd" in refused.stderr
    house.stop(signal.SIGKILL)
    assert {job.name: job.state for job in house.jobs()} == {
        "run": State.TRAINING,
        "first": State.REJECTED,
        "second": State.REJECTED,
    }
    house.start()
    house.gate.touch()
    house.until(State.DONE)


def test_a_store_that_is_replaced_ends_the_daemon(house: House) -> None:
    """What it knew is saved; the next one begins with what is there, and says nothing of what it does not know."""
    house.start()
    house.stop()
    empty = house.root.parent / "empty.db"
    shutil.copy(house.root / "glmd.db", empty)
    house.start()
    turns(house, "first.yaml")
    empty.rename(house.root / "glmd.db")
    house.drop("second.yaml", text="seed: [")
    house.wait(lambda: not house.is_up, "the daemon to end")
    assert house.daemon is not None
    assert house.daemon.returncode == 1
    log = house.log.read_text()
    assert "another file is in its place, put there while glmd runs" in log
    assert "Traceback" not in log
    (saved,) = house.root.glob("glmd.db.was-*")
    for ending in ("-wal", "-shm"):
        Path(f"{house.root / 'glmd.db'}{ending}").unlink(missing_ok=True)
    saved.rename(house.root / "glmd.db")
    assert [job.name for job in house.jobs()] == ["first"]
    house.daemon = None


def test_a_root_that_is_moved_is_waited_for(house: House) -> None:
    """Nothing is written into a directory that has its name meanwhile."""
    house.start()
    turns(house, "first.yaml")
    away = house.root.with_name("away")
    house.root.rename(away)
    house.root.mkdir()
    house.send(signal.SIGHUP)  # a reason to turn
    house.wait(lambda: "moved or removed while glmd serves it" in house.log.read_text(), "the daemon to say so")
    assert list(house.root.iterdir()) == []
    house.root.rmdir()
    away.rename(house.root)
    turns(house, "second.yaml")
    assert house.is_up
