"""The whole way as on a server: a user drops a YAML, a real training goes on through a restart, the merge appears."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.box import PREFIX, Box

pytestmark = [pytest.mark.systemd, pytest.mark.rehearsal]

DATA = "/srv/rehearsal"
SETTINGS = """\
devices: "[0,2)"
training:
  python: {python}
  checkout: {checkout}
rank_table:
  hccn_tool: no-hccn_tool-here
  hccn_conf: /etc/hccn.conf
"""
HCCN_CONF = "address_0=192.168.100.101\naddress_1=192.168.101.101\n"


@pytest.fixture(scope="module", autouse=True)
def running(box: Box, training_python: Path) -> Iterator[None]:
    """Set glmd up as an administrator does, with the rehearsal for a MindFormers checkout, and start it."""
    library = f"{PREFIX}/lib/glmd/venv/lib"
    rehearsal = box.say("sh", "-c", f"echo {library}/python3.*/site-packages/configs/rehearsal")
    box.run(str(training_python), f"{rehearsal}/make_data.py", DATA)
    yaml = box.say("cat", f"{rehearsal}/rehearsal.yaml").replace("{data}", DATA)
    box.write(f"{DATA}/rehearsal.yaml", yaml)
    box.run("chmod", "-R", "a+rX", DATA)
    box.write("/etc/hccn.conf", HCCN_CONF)
    box.write("/etc/glmd/glmd.yaml", SETTINGS.format(python=training_python, checkout=rehearsal))
    # A hang is noticed in 30 s on a server, and ended in 10 more; a test need not wait for so long.
    box.write("/run/systemd/system/glmd.service.d/watchdog.conf", "[Service]\nWatchdogSec=4s\nTimeoutAbortSec=1s\n")
    box.run("systemctl", "daemon-reload")
    box.run("sh", "-c", "rm -rf /var/glm/jobs/*")  # of other tests here: a new job would get a number above theirs
    box.run("systemctl", "start", "glmd")
    yield
    box.run("systemctl", "stop", "glmd")
    box.run("rm", "/run/systemd/system/glmd.service.d/watchdog.conf")
    box.run("systemctl", "daemon-reload")


def headline(box: Box) -> str:
    """Return the line that `systemctl status glmd` shows."""
    found = re.search(r'Status: "(.*)"', box.run("systemctl", "status", "glmd", check=False).stdout)
    return found[1] if found else ""


def processes(box: Box, unit: str) -> set[str]:
    """Return the pids of a unit: for a training, the shim, the scheduler and the ranks."""
    return set(box.say("cat", f"/sys/fs/cgroup{box.shows(unit, 'ControlGroup')}/cgroup.procs").split())


def state(box: Box, number: int) -> str:
    """Return state and reason of a job as a member of the group sees them; empty when there is no such job yet."""
    shown = box.run(f"{PREFIX}/bin/glmd", "status", str(number), "--json", user="alice", check=False)
    if shown.returncode != 0:
        return ""
    job = json.loads(shown.stdout)
    return f"{job['state']} {job['reason']}".strip()


def over(box: Box, number: int) -> bool:
    """Whether nothing more will happen to a job."""
    return state(box, number).startswith(("done", "failed", "cancelled"))


def taken(box: Box, name: str) -> int:
    """Wait until the dropped file of that name is a job's; return its number. Other tests here have had jobs, too."""
    found: list[int] = []

    def is_there() -> bool:
        jobs = json.loads(box.say(f"{PREFIX}/bin/glmd", "status", "--json"))["jobs"]
        found[:] = [job["id"] for job in jobs if job["name"] == name]
        return bool(found)

    box.until(is_there, f"{name} is a job")
    return found[-1]


def account(box: Box, number: int) -> str:
    """Return what a job has to say for itself."""
    said = f"tail -n 30 /var/glm/jobs/{number:04}-*/events.jsonl /var/glm/jobs/{number:04}-*/output/log/*/*.log"
    return state(box, number) + "\n" + box.run("sh", "-c", said, check=False).stdout


def under_way(box: Box, number: int) -> int:
    """Wait until a job trains; return the number of its attempt.

    It is tried once more when the ranks missed each other at the start, which MindSpore 2.0's ranks do now and then on
    a busy CPU (handlers/training/launchers/cpu_cluster.py).
    """
    box.until(lambda: "training, epoch" in headline(box) or over(box, number), "the training is under way", seconds=180)
    if "The state of the cluster is error" not in state(box, number):
        return 1
    box.run(f"{PREFIX}/bin/glmd", "retry", str(number), user="alice")
    box.until(lambda: "training, epoch" in headline(box) or over(box, number), "the training is under way", seconds=180)
    return 2


def upgrade(box: Box) -> None:
    """Do to the program what an upgrade does while it runs: none of its files stays, new ones have their names."""
    packages = box.say("sh", "-c", f"echo {PREFIX}/lib/glmd/venv/lib/python3.*/site-packages")
    for room in ("daemon", "handlers", "configs"):
        box.run("cp", "-a", f"{packages}/{room}", f"{packages}/{room}.new")
        box.run("rm", "-r", f"{packages}/{room}")
        box.run("mv", f"{packages}/{room}.new", f"{packages}/{room}")
    box.run("systemctl", "restart", "glmd")


def hang(box: Box) -> None:
    """Stop the daemon's loop: the watchdog, which the loop itself feeds, lets systemd end it and start another."""
    daemon = box.shows("glmd", "MainPID")
    box.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", "glmd")
    box.until(lambda: box.shows("glmd", "MainPID") not in {daemon, "0"}, "another daemon runs", seconds=60)
    box.until(lambda: box.shows("glmd", "ActiveState") == "active", "it is ready")
    assert "Watchdog timeout" in box.say("journalctl", "--unit=glmd", "--output=cat", "--no-pager")


def kill(box: Box) -> None:
    """Kill the daemon with SIGKILL, as the kernel does for want of memory."""
    daemon = box.shows("glmd", "MainPID")
    box.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "glmd")
    box.until(lambda: box.shows("glmd", "MainPID") not in {daemon, "0"}, "another daemon runs")
    box.until(lambda: box.shows("glmd", "ActiveState") == "active", "it is ready")


def test_a_dropped_yaml_is_trained_whatever_becomes_of_the_daemon_and_merged(box: Box) -> None:
    """An upgrade, a hang and a kill of the daemon in mid-training touch no rank, and nothing of the job is lost."""
    box.run("cp", f"{DATA}/rehearsal.yaml", "/var/glm/inbox/tiny.yaml", user="alice")
    number = taken(box, "tiny")
    unit = f"glmd-job@{number:04}-{under_way(box, number)}-train.service"
    shown = headline(box)
    earlier = r"(?:.*: see glmd status(?: \d+)?; )?"  # files that other tests here have had rejected
    job = rf"{number:04}-tiny(?: \(attempt 2\))? training, epoch \d+/31, step \d+/4, loss [\d.]+, .* left"
    expected = rf"{earlier}{job}; 0 queued"
    assert re.fullmatch(expected, shown), f"{shown}\n{account(box, number)}"

    ranks = processes(box, unit)
    assert len(ranks) >= 4
    for befall in (upgrade, kill, hang):
        daemon = box.shows("glmd", "MainPID")
        befall(box)
        assert box.shows("glmd", "MainPID") != daemon
        assert processes(box, unit) == ranks, f"after: {befall.__name__}\n{account(box, number)}"

    box.until(lambda: over(box, number), "the job ends", seconds=300)
    assert state(box, number).startswith("done "), account(box, number)
    directory = box.say("sh", "-c", f"echo /var/glm/jobs/{number:04}-*")
    assert "manifest.json" in box.say("ls", f"{directory}/merged", user="alice")
    assert int(box.say("stat", "--format=%s", f"{directory}/merged/filtered_transformed.ckpt", user="alice")) > 0
    assert box.say("readlink", "-f", "/var/glm/latest/glm-6b") == f"{directory}/merged"
    assert box.say("ls", "/var/glm/inbox") == ""


def test_reload_takes_new_settings_and_refuses_wrong_ones(box: Box) -> None:
    """`systemctl reload` says whether it worked; the daemon stays the same."""
    daemon = box.shows("glmd", "MainPID")
    good = box.say("cat", "/etc/glmd/glmd.yaml")
    box.run("systemctl", "reload", "glmd")
    box.write("/etc/glmd/glmd.yaml", good + "\nno_such_setting: 1\n")
    assert box.run("systemctl", "reload", "glmd", check=False).returncode != 0
    assert "no_such_setting" in box.say("journalctl", "--unit=glmd", "--output=cat", "--lines=20", "--no-pager")
    box.write("/etc/glmd/glmd.yaml", good)
    box.run("systemctl", "reload", "glmd")
    assert box.shows("glmd", "MainPID") == daemon
    assert box.shows("glmd", "ActiveState") == "active"
