"""Promises of `glmd submit`."""

import subprocess
from pathlib import Path

import pytest

from daemon.core.control import Control
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from tests.unit.daemon.commands.conftest import Site, environment


def test_a_bad_file_is_not_dropped(site: Site, tmp_path: Path) -> None:
    """The same checks as the daemon's: exit code 2, the inbox stays empty."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("seed: 0\n")
    done = site.glmd("submit", bad)
    assert done.returncode == 2
    assert f"{bad}:1:1" in done.stderr
    assert not list(site.root.inbox.iterdir())


def test_without_a_daemon_the_file_waits(site: Site, good_yaml: Path) -> None:
    """Byte for byte, readable for the group, under its own name; it is said that nobody takes it yet."""
    done = site.glmd("submit", good_yaml)
    assert done.returncode == 0
    (dropped,) = site.root.inbox.iterdir()
    assert done.stdout == f"dropped: {dropped}\n"
    assert "does not run" in done.stderr
    assert dropped.name == good_yaml.name
    assert dropped.read_bytes() == good_yaml.read_bytes()
    assert dropped.stat().st_mode & 0o777 == 0o640


def test_waiting_without_a_daemon_fails_at_once(site: Site, good_yaml: Path) -> None:
    """`--wait` does not wait for what may never come."""
    assert site.glmd("submit", good_yaml, "--wait").returncode == 1
    assert len(list(site.root.inbox.iterdir())) == 1


def test_a_waiting_drop_is_never_overwritten(site: Site, good_yaml: Path) -> None:
    """A second file of the same name gets a number."""
    first = site.root.inbox / good_yaml.name
    first.write_text("somebody else's")
    site.glmd("submit", good_yaml)
    assert first.read_text() == "somebody else's"
    assert (site.root.inbox / "run_glm_6b-2.yaml").read_bytes() == good_yaml.read_bytes()


def test_a_name_can_be_given(site: Site, good_yaml: Path) -> None:
    """`--name` names the job; one that the daemon would pass over is bad input."""
    site.glmd("submit", good_yaml, "--name", "night")
    assert (site.root.inbox / "night.yaml").exists()
    assert site.glmd("submit", good_yaml, "--name", ".hidden").returncode == 2
    assert len(list(site.root.inbox.iterdir())) == 1


def test_a_root_without_inbox_is_bad_input(site: Site, good_yaml: Path) -> None:
    """A mistyped root does not get an inbox that nobody watches."""
    site.root.inbox.rmdir()
    done = site.glmd("submit", good_yaml)
    assert done.returncode == 2
    assert "no inbox there" in done.stderr
    assert not site.root.inbox.exists()


def test_a_running_daemon_answers_with_the_job_and_its_end(site: Site, good_yaml: Path) -> None:
    """`--wait` prints the job, waits, and gives the job's end as exit code: here there is no interpreter."""
    conf = good_yaml.with_name("hccn.conf")
    conf.write_text("address_0=192.168.100.101\naddress_1=192.168.101.101\n")
    with site.daemon(
        GLMD_TRAINING__PYTHON="/nowhere/python",
        GLMD_RANK_TABLE__SERVER_IP="192.168.1.196",
        GLMD_RANK_TABLE__HCCN_CONF=str(conf),
    ):
        done = site.glmd("submit", good_yaml, "--wait")
    assert done.returncode == 1
    assert f"job 1: {site.root.jobs}/0001-run_glm_6b" in done.stdout
    assert "job 1 failed: /nowhere/python: the training interpreter is not there" in done.stderr
    with ReadStore.open(site.root.store) as store:
        assert store.job(1).state is State.FAILED


def test_waiting_does_not_give_up_on_a_busy_daemon(site: Site, good_yaml: Path) -> None:
    """It says that nothing was taken yet, and ends when the daemon does."""
    words = site.command("submit", good_yaml, "--wait")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment()) as waits:
        assert waits.stderr is not None
        with Control(site.root.path, lambda _: ""):
            assert any("not taken yet" in line for line in iter(waits.stderr.readline, ""))
            with pytest.raises(subprocess.TimeoutExpired):
                waits.wait(timeout=2)
        assert waits.wait(timeout=60) == 1
