"""With glmd-slurm.conf the daemon reaches slurmctld, and is hardly more exposed than without."""

import re
import sys
from collections.abc import Iterator

import pytest

from tests.systemd.box import ADDRESS, CHECKOUT, PREFIX, PROBE, Box, probe

pytestmark = pytest.mark.systemd

DAEMON = "glmd.service"
DIRECTORY = f"/etc/systemd/system/{DAEMON}.d"
LIMIT = 1.5
"""As in test_units.py, of the unit without it."""
CLUSTER = """
import pathlib, signal
from tests.slurm.cluster import Cluster
place = pathlib.Path("/run/slurm-test")
place.mkdir()
with Cluster(place) as cluster:
    place.joinpath("ready").touch()
    signal.sigwait([signal.SIGTERM])
"""


@pytest.fixture
def allowed(box: Box) -> Iterator[Box]:
    """Copy the drop-in as its first lines say."""
    box.run("install", "-Dm644", f"{PREFIX}/share/doc/glmd/glmd-slurm.conf", f"{DIRECTORY}/slurm.conf")
    box.run("systemctl", "daemon-reload")
    yield box
    box.run("rm", f"{DIRECTORY}/slurm.conf")
    box.run("systemctl", "daemon-reload")


def test_systemd_finds_no_fault_and_little_exposure(allowed: Box) -> None:
    """In the unit with it, also not a word that it does not know."""
    done = allowed.run("systemd-analyze", "verify", "--man=no", DAEMON)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "glmd" in line] == []
    assert "slurm.conf" in allowed.shows(DAEMON, "DropInPaths")
    report = allowed.say("systemd-analyze", "security", "--no-pager", DAEMON)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure is not None
    assert float(exposure[1]) <= LIMIT


def test_slurms_programs_answer_within_the_sandbox(allowed: Box) -> None:
    """Over MUNGE and the network, with nothing on their standard error: that would be no answer."""
    allowed.write("/run/cluster.py", CLUSTER)
    unit = ["--unit=slurm-test", f"--setenv=PYTHONPATH={CHECKOUT}", "--property=KillMode=mixed"]
    allowed.run("systemd-run", *unit, sys.executable, "/run/cluster.py")
    drop_in = f"{DIRECTORY}/probe.conf"
    settings = "[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\nExecReload=\n"
    allowed.write(drop_in, f"{settings}{PROBE}Environment=SLURM_CONF=/run/slurm-test/slurm.conf\n")
    try:
        allowed.run("systemctl", "daemon-reload")
        allowed.until(lambda: allowed.run("test", "-e", "/run/slurm-test/ready", check=False).returncode == 0, "Slurm")
        probe(
            allowed,
            DAEMON,
            f"""
            import errno, pathlib, socket
            from handlers.slurm.client import SlurmClient
            client = SlurmClient()
            assert client.jobs() == () and client.up_for() >= 0
            script = pathlib.Path("/var/glm/script.sh")
            script.write_text("#!/bin/sh\\nexec sleep 60\\n")
            number = client.submit(["--job-name=glmd-test", "--output=/dev/null", "--propagate=NONE"], script)
            client.cancel("glmd-test", number)
            assert [row.id for row in client.jobs_called("glmd-test")] == [number]
            script.unlink()
            # Another host of a private network: glmd.service alone may not even ask whether somebody listens there.
            assert socket.socket().connect_ex(("{ADDRESS}", 6817)) == errno.ECONNREFUSED
            """,
        )
    finally:
        allowed.run("systemctl", "stop", "slurm-test")
        allowed.run("rm", drop_in)
        allowed.run("systemctl", "daemon-reload")
