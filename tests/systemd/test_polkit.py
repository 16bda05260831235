"""What the user glm may ask of systemd: its own jobs, nothing else."""

from collections.abc import Iterator

import pytest

from tests.systemd.box import Box

pytestmark = pytest.mark.systemd

JOB = "glmd-job@0099-1-train.service"
OTHER = "victim.service"


@pytest.fixture(autouse=True)
def plain_units(box: Box) -> Iterator[None]:
    """Make a job unit that only sleeps, and a unit that is none of glmd's business."""
    sleep = "[Service]\nExecStart=\nExecStart=/bin/sleep infinity\nExecStopPost=\n"
    box.write(f"/run/systemd/system/{JOB}.d/sleep.conf", sleep)
    box.write(f"/run/systemd/system/{OTHER}", sleep)
    box.run("systemctl", "daemon-reload")
    yield
    box.run("systemctl", "stop", JOB, OTHER)
    box.run("rm", "-r", f"/run/systemd/system/{JOB}.d", f"/run/systemd/system/{OTHER}")
    box.run("systemctl", "daemon-reload")


def may(box: Box, *argv: str, user: str = "glm") -> bool:
    """Whether `user` gets through with a command; a refusal must be one of authorization, not some other error."""
    done = box.run(*argv, user=user, check=False)
    if done.returncode != 0:
        assert "Access denied" in done.stderr or "authentication required" in done.stderr, done.stderr
    return done.returncode == 0


def test_glm_manages_its_jobs(box: Box) -> None:
    """Start, restart, kill, stop and reset-failed: all that glmd needs."""
    assert may(box, "systemctl", "start", "--no-block", JOB)
    box.until(lambda: box.shows(JOB, "ActiveState") == "active", "the job runs")
    assert may(box, "systemctl", "restart", JOB)
    assert may(box, "systemctl", "kill", "--signal=KILL", JOB)
    box.until(lambda: box.shows(JOB, "ActiveState") != "active", "the job is dead")
    may(box, "systemctl", "start", JOB)
    assert may(box, "systemctl", "stop", JOB)
    assert box.shows(JOB, "ActiveState") == "inactive"


@pytest.mark.parametrize("verb", ("start", "stop", "restart", "reload", "kill", "reset-failed"))
def test_no_other_unit_is_glms(box: Box, verb: str) -> None:
    """Glmd cannot touch a foreign service."""
    box.run("systemctl", "start", OTHER)
    assert not may(box, "systemctl", verb, OTHER)
    assert box.shows(OTHER, "ActiveState") == "active"


def test_the_daemons_own_unit_is_not_glms(box: Box) -> None:
    """What runs as glm cannot start or stop the daemon."""
    assert not may(box, "systemctl", "start", "glmd.service")
    assert not may(box, "systemctl", "stop", "glmd.service")


@pytest.mark.parametrize("instance", ("..", "a.b", "x" * 65, "a\\x2fb"))
def test_only_well_formed_instances_start(box: Box, instance: str) -> None:
    """An instance becomes a part of a path: no dots, no escapes, not endless."""
    assert not may(box, "systemctl", "start", f"glmd-job@{instance}.service")


@pytest.mark.parametrize(
    "argv",
    (
        ("systemctl", "set-property", "--runtime", JOB, "CPUWeight=1"),
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", "--runtime", OTHER),
        ("systemctl", "mask", "--runtime", JOB),
        ("systemctl", "set-environment", "A=B"),
        ("systemd-run", "--wait", "true"),
    ),
    ids=lambda argv: "-".join(argv[:2]),
)
def test_nothing_else_of_systemd_is_open_to_glm(box: Box, argv: tuple[str, ...]) -> None:
    """A transient unit or an environment would give root away."""
    box.run("systemctl", "start", JOB)
    assert not may(box, *argv)


def test_other_users_gain_nothing(box: Box) -> None:
    """The rule is for the user glm, not for the members of its group."""
    assert not may(box, "systemctl", "start", JOB, user="alice")
    assert not may(box, "systemctl", "start", JOB, user="bob")
