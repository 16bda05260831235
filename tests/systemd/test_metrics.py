"""glmd-metrics under systemd: it writes a file for node_exporter, nothing else, and reaches nothing."""

from collections.abc import Iterator

import pytest

from tests.systemd.box import PROBE, Box, comes_last, probe

pytestmark = pytest.mark.systemd

TIMER, UNIT = "glmd-metrics.timer", "glmd-metrics.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d/probe.conf"
SETTINGS = "/etc/glmd/glmd.yaml"
DIRECTORY = "/var/lib/node_exporter"
FILE = f"{DIRECTORY}/glmd.prom"


@pytest.fixture(scope="module", autouse=True)
def textfile(box: Box) -> Iterator[None]:
    """Do what docs/metrics.md says."""
    before = box.say("cat", SETTINGS)
    box.run("install", "-d", "-m", "2775", "-g", "glm", DIRECTORY)
    box.write(SETTINGS, f"metrics:\n  textfile: {FILE}\n")
    box.run("systemctl", "start", "glmd")
    yield
    box.run("systemctl", "stop", TIMER, UNIT, "glmd")
    box.write(SETTINGS, before)


@pytest.fixture
def probed(box: Box) -> Iterator[None]:
    """Let the unit run the probe instead."""
    box.run("systemctl", "stop", TIMER, UNIT)
    box.write(DROP_IN, f"[Service]\n{PROBE}")
    box.run("systemctl", "daemon-reload")
    yield
    box.run("rm", DROP_IN)
    box.run("systemctl", "daemon-reload")


def test_it_writes_again_and_again(box: Box) -> None:
    """Whole files that everybody may read, by a timer alone; the page does not run."""
    box.run("systemctl", "start", TIMER)
    box.until(lambda: "glmd_up 1" in box.run("cat", FILE, user="bob", check=False).stdout, "the daemon is told of")
    assert "glmd_collector_success{" in box.say("cat", FILE)
    assert "} 0" not in "".join(line for line in box.say("cat", FILE).splitlines() if "collector_success{" in line)
    assert box.say("ls", "-A", DIRECTORY) == "glmd.prom"
    box.run("systemctl", "stop", "glmd")
    box.run("rm", FILE)
    box.until(lambda: "glmd_up 0" in box.run("cat", FILE, check=False).stdout, "it is seen to be gone", seconds=60)
    box.run("systemctl", "start", "glmd")


@pytest.mark.usefixtures("probed")
def test_it_can_write_nothing_else_and_reaches_nothing(box: Box) -> None:
    """Neither the root nor a socket."""
    probe(
        box,
        UNIT,
        """
        import errno, pathlib, socket
        assert pathlib.Path("/var/glm/glmd.db").read_bytes()[:6] == b"SQLite"
        for path in ("/var/glm", "/var/glm/inbox", "/var/glm/jobs", "/etc", "/usr", "/run", "/var/lib"):
            try:
                pathlib.Path(path, "probe").touch()
            except OSError as error:
                assert error.errno in (errno.EROFS, errno.EACCES), error
            else:
                raise AssertionError(path)
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            try:
                socket.socket(family).close()
            except OSError:
                continue
            raise AssertionError(family)
        """,
    )


@pytest.mark.usefixtures("probed")
def test_trainings_come_first(box: Box) -> None:
    """It yields the processor to them, is the first to go when memory runs out, and has little of both."""
    comes_last(box, UNIT)
