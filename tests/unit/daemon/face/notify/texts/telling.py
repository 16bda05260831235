"""Events and plans as tests of messages want them."""

from datetime import UTC, datetime
from pathlib import Path

from daemon.core.event_kinds import EventKind
from daemon.core.states import Job, State
from daemon.face.failure import Diagnosed
from daemon.face.notify.event import Event
from daemon.face.notify.plan import Plan
from daemon.face.notify.texts.facts import Facts

AT = datetime(2026, 11, 29, 2, 40, tzinfo=UTC)
PLAN = Plan(
    root=Path("/var/glm"),
    host="npu01",
    night="18:00-08:00",
    morning=None,
    heartbeat="",
    destinations=(),
    log_format="json",
    log_level="info",
)


def event(kind: EventKind = EventKind.JOB_FAILED, key: str = "transition:1", **changed: object) -> Event:
    """Return an event of job 41, in its first attempt; without a job where `job` is None."""
    told: dict[str, object] = {"job": 41, "attempt": 1, "name": "run_glm_6b_lora", "at": AT}
    return Event(kind, key, **{**told, **changed})  # type: ignore[arg-type] # a test's


def job(state: State = State.FAILED, **changed: object) -> Job:
    """Return job 41."""
    told: dict[str, object] = {
        "id": 41,
        "name": "run_glm_6b_lora",
        "state": state,
        "reason": "rank 3 on device 3 exited 1 first",
        "attempt": 1,
        "priority": 0,
        "devices": (0, 1),
        "prefix": "glm-6b",
        "cancel": False,
        "submitted": AT,
        "changed": AT,
    }
    return Job(**{**told, **changed})  # type: ignore[arg-type] # a test's


FAILED = Facts(
    job=job(),
    diagnosis=Diagnosed(
        rank=3,
        device=3,
        line="RuntimeError: EI0006: wait socket establish timeout",
        error="EI0006",
        cause="another rank did not connect in time",
        remedy="look at the rank that stopped printing first",
    ),
)
