"""Which waiting jobs may start."""

from dataclasses import replace
from datetime import UTC, datetime

from daemon.core.states import Job, State
from daemon.serve.jobs.startable import in_order, startable

AT = datetime(2026, 11, 24, tzinfo=UTC)


def job(number: int, *devices: int) -> Job:
    """Return a waiting job."""
    return Job(number, "run", State.QUEUED, "", 1, 0, devices, "glm", False, AT, AT)


def test_jobs_with_disjoint_devices_start_side_by_side() -> None:
    """Two jobs on four devices each fill a server."""
    assert [j.id for j in startable([job(1, 0, 1), job(2, 2, 3)], {})] == [1, 2]


def test_a_held_device_is_waited_for() -> None:
    """A job whose device another one holds does not start."""
    assert list(startable([job(1, 0, 1)], {1: 9})) == []


def test_a_waiting_job_is_not_passed_on_its_devices() -> None:
    """A job for all devices is not starved by small ones that came later."""
    queue = [job(1, 0, 1, 2, 3), job(2, 3), job(3, 4)]
    assert [j.id for j in startable(queue, {0: 9})] == [3]


def test_a_merge_needs_no_device() -> None:
    """The merge of a watched tree starts at once."""
    assert [j.id for j in startable([job(1, 0), job(2)], {0: 9})] == [2]


def test_an_evaluation_waits_in_its_jobs_place() -> None:
    """Neither it nor those in the queue starve: by priority, then by number."""
    evaluation = replace(job(2, 0), state=State.EVALUATING)
    queue = [replace(job(4, 0), priority=1), job(1, 0), job(3, 0, 1), job(5, 2)]
    assert [j.id for j in in_order([*queue, evaluation])] == [4, 1, 2, 3, 5]
    assert [j.id for j in startable(in_order([job(3, 0, 1), evaluation]), {})] == [2]
