"""Some seconds of `benchmarks/chaos.py --slurm`; more is run by hand, and the figures are in docs/reliability.md."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.slurm_storm import Act, wrong_reason
from daemon.core.states import Job, State

pytestmark = pytest.mark.slurm

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_while_slurm_and_all_else_is_killed() -> None:
    """Each act is done at least once; all jobs come to their ends, and nothing is left."""
    done = subprocess.run(
        [sys.executable, CHAOS, "--slurm", "--minutes", "0.5", "--seed", "5", "--json"],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["faults"] == [], done.stderr
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert all(figures["acts"][act] for act in Act)
    assert figures["dropped"] == figures["done"] + figures["done_after_retry"]


def test_a_reason_that_does_not_name_what_was_done_is_a_fault() -> None:
    """The soak's own reckoning can fail."""
    now = datetime.now(UTC)
    reason = "rank 3 on device 1 of n2 was killed by SIGKILL first"
    job = Job(1, "run", State.FAILED, reason, 1, 0, (), "glm-6b", cancel=False, submitted=now, changed=now)
    assert not wrong_reason(job, {Act.RANK_KILLED})
    assert wrong_reason(job, set())
    assert wrong_reason(replace(job, reason="loss is not a number"), set(Act))
