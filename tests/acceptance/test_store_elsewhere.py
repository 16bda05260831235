"""A root whose store is not in it, and all that wants the store: on its host, and on another."""

import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.core.owner import read_owner
from daemon.core.states import State
from tests.acceptance.house import GLMD, PATIENCE, House


@pytest.fixture
def kept(house: House, tmp_path: Path) -> Path:
    """Return where the store of `house` is to be."""
    house.settings["store"] = str(tmp_path / "kept")
    return tmp_path / "kept"


def test_all_that_wants_the_store_finds_it(house: House, kept: Path, tmp_path: Path) -> None:
    """While the daemon runs, and after; one that was killed is followed by the next at once, with the same store."""
    house.start()
    house.drop()
    house.until(State.DONE)
    assert {path.name for path in kept.iterdir()} >= {"glmd.db", "glmd.lock", "glmd.sock", "glmd.root"}
    assert not [path.name for path in house.root.iterdir() if path.name in {"glmd.db", "glmd.lock", "glmd.sock"}]
    (tmp_path / "backups").mkdir()
    for words in (
        ("status", "1"), ("status", "--json"), ("doctor", "--state"), ("metrics",), ("prune", "--dry-run"),
        ("backup", "--to", str(tmp_path / "backups")), ("steps", "1"), ("logs", "1"), ("reload",), ("night",),
    ):  # fmt: skip
        done = house.run(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert 'glmd_jobs{state="done"} 1' in house.run("metrics").stdout
    house.stop(signal.SIGKILL)
    house.start()
    assert house.job().state is State.DONE
    house.stop()
    (backup,) = (tmp_path / "backups").iterdir()
    checked = house.run("restore", "--check", str(backup)).stdout
    assert f"sudo mv {house.root}/glmd.db {kept}/" in checked
    assert house.run("restore", str(backup), "--to", str(tmp_path / "again")).returncode == 0
    again = [*GLMD, "status", "--json", "--root", str(tmp_path / "again")]
    assert '"done"' in subprocess.run(again, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


def test_a_second_daemon_is_refused(house: House, kept: Path) -> None:
    """By the lock, which is beside the store."""
    house.start()
    done = subprocess.run(
        [*GLMD, "serve", "--allow-root", "--root", str(house.root)],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 3
    assert f"{kept}/glmd.lock: another glmd (pid {house.pid})" in done.stderr


def test_on_another_host_all_say_where_the_daemon_runs(house: House, kept: Path, tmp_path: Path) -> None:
    """Nothing there is taken for an empty root; a daemon is refused when the other one has given a sign of life."""
    house.start()
    house.drop()
    house.until(State.DONE)
    (tmp_path / "next.yaml").write_bytes(house.directory().submitted.read_bytes())
    house.stop()
    mine = read_owner(house.root)
    assert mine is not None
    assert mine.stopped
    theirs = replace(mine, host="login1", boot_id="another", stopped=False)
    (house.root / "glmd.owner").write_bytes(theirs.content())
    told = f"the daemon runs on login1, and its store is there ({kept}): do this on login1"
    (tmp_path / "backups").mkdir()
    for words in (
        ("status",), ("status", "1"), ("cancel", "1"), ("retry", "1"), ("reload",), ("logs", "1"), ("steps", "1"),
        ("top", "--once"), ("metrics",), ("web", "--listen", str(tmp_path / "web.sock")), ("night",), ("prune",),
        ("prune", "--dry-run"), ("backup", "--to", str(tmp_path / "backups")), ("doctor", "--state"),
        ("notify", "serve", "--state", str(tmp_path / "backups")), ("promote", "1", "--reason", "x"),
    ):  # fmt: skip
        done = house.run(*words)
        assert (done.returncode in {1, 3}, told in done.stderr, "[daemon.elsewhere]" in done.stderr) == (True,) * 3, (
            words, done.returncode, done.stdout, done.stderr,
        )  # fmt: skip
    assert told in house.run("doctor").stdout
    submitted = house.run("submit", str(tmp_path / "next.yaml"))
    assert "dropped: " in submitted.stdout
    assert told in submitted.stderr
    house.launch()
    house.wait(lambda: "waiting_for_silence" in house.log.read_text(), "the look at the other's signs")
    (house.root / "glmd.owner").write_bytes(replace(theirs, seq=theirs.seq + 1).content())
    assert house.daemon is not None
    assert house.daemon.wait(PATIENCE) == 3
    house.daemon = None
    assert "the daemon runs on login1 (pid" in house.log.read_text()
