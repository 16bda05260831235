"""Promises of `glmd serve`."""

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from daemon.core.migrations import VERSION
from tests.unit.daemon.commands.conftest import PATIENCE, Site


def test_it_serves_until_told_to_end(site: Site) -> None:
    """TERM is a good end: exit code 0."""
    with site.daemon() as daemon:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0


def test_a_second_daemon_for_a_root_is_refused(site: Site) -> None:
    """Two would start every job twice: an error, no traceback."""
    with site.daemon():
        second = site.glmd("serve", "--allow-root")
        assert second.returncode in {1, 3}
        assert "Traceback" not in second.stderr
        assert str(site.root.path) in second.stderr


@pytest.mark.root
def test_root_is_refused_unless_asked_for(site: Site) -> None:
    """Whoever may write to the inbox would have root read files and run programs."""
    assert os.geteuid() == 0, "this test needs root; pytest -m 'not root' leaves it out"
    refused = site.glmd("serve")
    assert refused.returncode == 2
    assert "does not serve as root" in refused.stderr
    assert "--allow-root" in refused.stderr
    assert not site.root.socket.exists()


def test_too_few_open_files_are_told_at_the_start(site: Site) -> None:
    """Not one by one, as faults of everything that it does."""
    refused = subprocess.run(
        site.command("serve", "--allow-root"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)),
    )
    assert refused.returncode == 2
    assert "ulimit -n 1024" in refused.stderr


@pytest.mark.parametrize(
    "command", ("serve --allow-root", "status", "status 1", "cancel 1", "logs 1", "doctor --state")
)
def test_a_newer_glmds_store_is_refused_with_both_versions(site: Site, command: str) -> None:
    """By the daemon and by every command that reads it: in one line, with what to do."""
    with contextlib.closing(sqlite3.connect(site.root.store)) as store:
        store.execute("PRAGMA user_version=99")
    refused = site.glmd(*command.split())
    assert (refused.returncode, refused.stdout) == (3, "")
    told = refused.stderr.splitlines()[-1]
    assert "made by a newer glmd: its schema has version 99" in told
    assert f"knows versions up to {VERSION}; install the newer glmd again" in told


def test_the_diagnosis_tells_of_a_newer_glmds_store(site: Site) -> None:
    """Among what the host has and lacks."""
    with contextlib.closing(sqlite3.connect(site.root.store)) as store:
        store.execute("PRAGMA user_version=99")
    told = site.glmd("doctor")
    assert told.returncode == 1
    assert f"version 99, and this glmd knows versions up to {VERSION}" in " ".join(told.stdout.split())


def test_an_older_glmds_store_is_served(site: Site) -> None:
    """It is copied before it is changed, which the log says; meanwhile whoever reads sees its jobs as ever."""
    for path in site.root.path.glob("glmd.db*"):
        path.unlink()
    with contextlib.closing(sqlite3.connect(site.root.store)) as store:
        store.executescript((Path(__file__).parents[1] / "core" / "store_0_1.sql").read_text())
    before = site.glmd("status", "--json", "--all")
    assert [job["name"] for job in json.loads(before.stdout)["jobs"]][:2] == ["run_glm_6b", "run_glm_6b_lora"]
    with site.daemon():
        told = (site.root.path / "serve.log").read_text()
    assert "store_migrated" in told
    assert site.root.path.joinpath("glmd.db.1").exists()
    assert site.glmd("status", "2").returncode == 0
