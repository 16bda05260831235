"""Half a minute of benchmarks/chaos.py; an hour of it is run by hand, and its figures are in docs/reliability.md."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.acts import Act, wrong_reason
from daemon.core.states import Job, State

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


@pytest.mark.root  # mounts a small disk
def test_nothing_is_lost_while_everything_is_killed() -> None:
    """Each act is done at least once; all jobs are accounted for, and nothing is left."""
    done = subprocess.run(
        [sys.executable, CHAOS, "--minutes", "0.4", "--seed", "21", "--json"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["faults"] == [], done.stderr
    assert figures["left_out"] == []
    assert all(figures["acts"][act] for act in Act)
    over = figures["done"] + figures["failed"] + figures["rejected"] + figures["lost_with_both"]
    assert figures["dropped"] == over
    assert figures["failed"] == figures["done_after_retry"] + figures["failed_for_good"]


@pytest.mark.parametrize("reason", ("", "rank 1 on device 1 was killed by SIGTERM", "loss is not a number"))
def test_a_reason_that_does_not_name_what_was_done_is_a_fault(reason: str) -> None:
    """The soak's own reckoning can fail."""
    now = datetime.now(UTC)
    job = Job(1, "run", State.FAILED, reason, 1, 0, (0, 1), "glm-6b", cancel=False, submitted=now, changed=now)
    assert wrong_reason(job, set(Act) - {Act.ABSURD_VALUES})
    assert not wrong_reason(replace(job, reason="the shim of train ended without a record (killed)"), {Act.SHIM_KILLED})
    assert wrong_reason(replace(job, reason="the shim of train ended without a record (killed)"), {Act.RANK_KILLED})
