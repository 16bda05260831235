"""Where systemd or polkit is too old: the plain unit, whose jobs are children of glmd and outlive it all the same."""

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.house import CONFIG, STANDIN
from tests.systemd.box import CHECKOUT, PREFIX, PYTHON, Box

pytestmark = pytest.mark.systemd

GLMD = f"{PREFIX}/bin/glmd"
UNIT = "/run/systemd/system/glmd.service"
"""In front of the one that is installed."""
DATA = "/srv/plain"
SETTINGS = {
    "devices": "[0,2)",
    "inbox": {"settle": 0.1},
    "training": {
        "python": PYTHON,
        "checkout": str(STANDIN),
        "mindformers": "0.8",
        "environment": {"STANDIN_GATE": f"{DATA}/gate"},
    },
    "rank_table": {"server_ip": "192.168.1.196", "hccn_tool": "no-hccn_tool-here", "hccn_conf": f"{DATA}/hccn.conf"},
}


@pytest.fixture(autouse=True)
def plain(box: Box) -> Iterator[None]:
    """Install it as `make install RUNNER=spawn` does, with settings that say nothing of the runner."""
    before = box.say("cat", "/etc/glmd/glmd.yaml")
    box.write(UNIT, (CHECKOUT / "systemd/glmd-plain.service").read_text().replace("@PREFIX@", str(PREFIX)))
    box.write(f"{DATA}/base.ckpt", "weights")
    box.write(f"{DATA}/train.json", "{}\n")
    box.write(f"{DATA}/hccn.conf", "address_0=192.168.100.100\naddress_1=192.168.100.101\n")
    box.write("/etc/glmd/glmd.yaml", json.dumps(SETTINGS))
    box.run("systemctl", "daemon-reload")
    yield
    box.run("systemctl", "kill", "--kill-who=all", "--signal=KILL", "glmd", check=False)
    box.run("systemctl", "stop", "glmd")
    box.write("/etc/glmd/glmd.yaml", before)
    box.run("rm", "-r", UNIT, DATA)
    box.run("sh", "-c", "rm -rf /var/glm/jobs/*-plain")
    box.run("systemctl", "daemon-reload")


def state(box: Box) -> str:
    """Return state and reason of the job."""
    jobs = json.loads(box.say(GLMD, "status", "--json"))["jobs"]
    return next((f"{job['state']} {job['reason']}".strip() for job in jobs if job["name"] == "plain"), "")


def shims(box: Box) -> str:
    """Return the pids of shims."""
    return box.run("pgrep", "-u", "glm", "-f", "handlers.shim").stdout


def test_jobs_live_on_when_it_is_restarted(box: Box) -> None:
    """A training is the same before and after, and its end is seen; the settings need not say `runner: spawn`."""
    box.run("systemctl", "start", "glmd")
    box.write("/var/glm/inbox/plain.yaml", CONFIG.format(data=DATA, devices="0-1"), user="alice")
    box.until(lambda: state(box).startswith("training"), "it trains")
    daemon, before = box.shows("glmd", "MainPID"), shims(box)
    assert before
    assert box.shows("glmd-job@*", "ActiveState") == ""
    box.run("systemctl", "restart", "glmd")
    assert box.shows("glmd", "MainPID") not in {daemon, "0"}
    assert shims(box) == before
    box.run("systemctl", "stop", "glmd")
    assert shims(box) == before
    box.run("systemctl", "start", "glmd")
    box.run("touch", f"{DATA}/gate")
    box.until(lambda: state(box).startswith(("done", "failed")), "it ends", seconds=60)
    assert state(box).startswith("done"), state(box)


def test_it_says_nothing_that_systemd_does_not_know(box: Box) -> None:
    """Nothing to say about it, and no word is unknown."""
    done = box.run("systemd-analyze", "verify", "--man=no", "glmd.service")
    assert [line for line in (done.stdout + done.stderr).splitlines() if "glmd" in line] == []
