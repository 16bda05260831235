"""Promises of `glmd serve`."""

import signal

from tests.unit.daemon.commands.conftest import PATIENCE, Site


def test_it_serves_until_told_to_end(site: Site) -> None:
    """TERM is a good end: exit code 0."""
    with site.daemon() as daemon:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0


def test_a_second_daemon_for_a_root_is_refused(site: Site) -> None:
    """Two would start every job twice: an error, no traceback."""
    with site.daemon():
        second = site.glmd("serve")
        assert second.returncode in {1, 3}
        assert "Traceback" not in second.stderr
        assert str(site.root.path) in second.stderr
