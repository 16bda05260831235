"""Promises of daemon.face.notify.commands: what to type fits what has happened, and what has become of it."""

import pytest

from daemon.core.event_kinds import EventKind
from daemon.core.states import State
from daemon.face.needs import need_of_job
from daemon.face.notify.texts.commands import commands_of
from daemon.face.notify.texts.facts import NOTHING, Facts
from tests.unit.daemon.face.notify.texts.telling import event, job


def test_a_failure_can_be_looked_at_retried_and_explained() -> None:
    """With what `glmd night` proposes, also where the store says nothing."""
    told, failed = event(code="rank.EI0006"), job(code="rank.EI0006")
    need = need_of_job(failed)
    assert need is not None
    assert commands_of(told, Facts(failed)) == ("glmd status 41", *need.commands)
    assert commands_of(told, NOTHING) == ("glmd status 41", "glmd retry 41", "glmd explain rank.EI0006")


def test_what_has_moved_on_is_only_looked_at() -> None:
    """Somebody has retried it while the message waited for the end of quiet hours."""
    assert commands_of(event(), Facts(job(State.TRAINING))) == ("glmd status 41",)
    assert commands_of(event(is_over=True), Facts(job())) == ("glmd status 41",)


@pytest.mark.parametrize(
    ("kind", "code", "commands"),
    (
        (EventKind.JOB_DONE, "", ("glmd status 41",)),
        (EventKind.JOB_WAITING, "device.in-use", ("glmd status 41",)),
        (EventKind.JOB_REJECTED, "config.path", ("glmd status 41", "glmd explain config.path")),
        (EventKind.OPERATOR_NEEDED, "shim.survivors", ("glmd status 41", "glmd explain shim.survivors")),
        (
            EventKind.JOB_NOT_PROMOTED,
            "gate.loss",
            ("glmd status 41", "glmd promote 41 --force", "glmd explain gate.loss"),
        ),
    ),
)
def test_of_a_job(kind: EventKind, code: str, commands: tuple[str, ...]) -> None:
    """Each has what somebody would do next."""
    assert commands_of(event(kind, code=code), NOTHING) == commands


@pytest.mark.parametrize(
    ("kind", "code", "commands"),
    (
        (EventKind.NIGHTLY_MISSED, "", ("glmd night",)),
        (EventKind.DISK_LOW, "", ("glmd prune --dry-run",)),
        (EventKind.FAULT_LASTING, "host.disk-full", ("glmd status", "glmd explain host.disk-full")),
        (EventKind.DAEMON_DOWN, "daemon.not-running", ("systemctl status glmd", "glmd explain daemon.not-running")),
        (EventKind.TEST, "", ()),
    ),
)
def test_of_no_job(kind: EventKind, code: str, commands: tuple[str, ...]) -> None:
    """What passed needs nothing."""
    assert commands_of(event(kind, job=None, code=code), NOTHING) == commands
    assert commands_of(event(kind, job=None, code=code, is_over=True), NOTHING) == ()
