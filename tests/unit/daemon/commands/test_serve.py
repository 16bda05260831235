"""Promises of `glmd serve`."""

import os
import signal

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
