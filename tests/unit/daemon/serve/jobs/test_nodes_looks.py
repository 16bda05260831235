"""What people are told of a job that waits in Slurm's queue."""

from datetime import UTC, datetime

import pytest

from daemon.core.states import Job, State
from daemon.serve.jobs.nodes_looks import record_of, why_it_waits
from handlers.records.slurm import SlurmStatus
from handlers.slurm.queue import Row

NOON = datetime(2026, 11, 30, 12, 0, 30)  # noqa: DTZ001 - Slurm tells local time
STAMP = datetime(2026, 11, 30, tzinfo=UTC)
JOB = Job(
    id=42, name="run", state=State.SUBMITTED, reason="", attempt=1, priority=0, devices=(), prefix="glm", cancel=False,
    submitted=STAMP, changed=STAMP, nodes=2, ranks_in_all=16,
)  # fmt: skip


def told(state: str, reason: str = "None", start: str = "N/A", nodes: str = "") -> str:
    """Return what is said of a row."""
    return why_it_waits(Row("4711", state, reason, start, nodes, "glmd-x"), JOB, NOON)


@pytest.mark.parametrize(
    ("start", "expected"),
    (
        ("2026-11-30T16:20:00", ", expected 16:20"),
        ("2026-11-30T16:18:31", ", expected 16:20"),
        ("2026-11-30T16:16:02", ", expected 16:20"),
        ("2026-12-02T09:00:00", ", expected 2026-12-02 09:00"),
        ("2026-11-30T11:00:00", ""),
        ("4068-06-09T00:00:00", ""),
        ("N/A", ""),
        ("soon", ""),
    ),
)
def test_the_expected_start_is_told_where_it_can_be(start: str, expected: str) -> None:
    """In steps of five minutes, for it moves every second; not what is past, nor a year off."""
    assert told("PENDING", "Resources", start) == f"Slurm job 4711 waits for Resources{expected} (2 nodes)"


def test_what_is_kept_has_the_start_as_a_moment() -> None:
    """In the same steps, and only while it is expected: once it runs Slurm tells when it began."""
    row = Row("4711", "PENDING", "Resources", "2026-11-30T16:18:31", "", "glmd-x", "npu")
    expected = datetime(2026, 11, 30, 16, 20).astimezone()
    assert record_of(row, NOON) == SlurmStatus(
        id="4711", state="PENDING", reason="Resources", partition="npu", expected=expected
    )
    runs = Row("4711", "RUNNING", "None", "2026-11-30T16:18:31", "n[1-2]", "glmd-x", "npu")
    assert record_of(runs, NOON) == SlurmStatus(id="4711", state="RUNNING", partition="npu", nodes="n[1-2]")


def test_what_does_not_pass_by_itself_is_told_as_such() -> None:
    """Somebody has to do something."""
    assert told("PENDING", "PartitionNodeLimit") == (
        "Slurm job 4711 waits for PartitionNodeLimit, which does not end by itself: see `scontrol show job 4711`"
    )


def test_other_states_are_told_by_their_names() -> None:
    """Also one that no Slurm has had so far."""
    assert told("CONFIGURING", nodes="n[1-2]") == "Slurm job 4711 is CONFIGURING on n[1-2]"
    assert told("DREAMING") == "Slurm job 4711 is DREAMING, which glmd does not know"
