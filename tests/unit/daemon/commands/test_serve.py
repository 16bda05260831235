"""Promises of `glmd serve`."""

import os
import resource
import signal
import subprocess

import pytest

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
