"""What Slurm does to a training in its own time: its limit, counted in minutes, and a job of a higher priority."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.step_exit import Outcome
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.house import section
from tests.slurm.test_training import drop, exit_of, gated, reasons, until_gate, waits

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PREEMPTS = """\
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
PartitionName=urgent Nodes=n1,n2 PriorityTier=2 MaxTime=INFINITE State=UP
"""
LIMIT = 180.0
"""Seconds in which a limit has come: Slurm looks now and then only."""
DEAF = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])"


class Preempting(Cluster):
    """One whose jobs of the partition `urgent` take away the nodes of others."""

    def _settings(self, user: str, host: str, ports: list[int]) -> str:
        return super()._settings(user, host, ports) + PREEMPTS


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return such a cluster."""
    place = tmp_path / "slurm"
    place.mkdir()
    with Preempting(place) as cluster:
        yield cluster


def limited(house: House, time: str) -> None:
    """Let the job train until that limit comes; it saves before."""
    gated(house, STANDIN_SAVE="17")
    section(house)["time"] = time
    house.start()
    drop(house)
    until_gate(house)


def resumed(house: House) -> str:
    """Wait for the second attempt, let it train to its end, and return why it was begun."""
    house.wait(lambda: house.job().attempt == 2, "the second attempt", LIMIT)
    house.gate.touch()
    house.until(State.DONE)
    return next(one for one in reasons(house) if one.startswith("resumed from "))


def test_a_time_limit_of_which_the_job_is_told_ends_it_in_order(house: House) -> None:
    """By USR1, before Slurm ends all; it goes on from its newest save, as another job."""
    limited(house, "2m")
    why = resumed(house)
    assert why == "resumed from 17_4 after: the Slurm job reaches its time limit (slurm.time)"
    ended = exit_of(house)
    assert (ended.outcome, ended.limit, ended.code) == (Outcome.TIMED_OUT, "slurm.time", "slurm.time")
    assert ended.nodes_without_record == ()


def test_a_time_limit_of_which_the_job_is_not_told_is_slurms_word(house: House, tmp_path: Path) -> None:
    """All are ended by TERM, which may mean anything; Slurm says what it was."""
    (tmp_path / "sitecustomize.py").write_text(DEAF)
    section(house)["prologue"] = f"export PYTHONPATH={tmp_path}"
    limited(house, "1m")
    why = resumed(house)
    told = "resumed from 17_4 after: Slurm says TIMEOUT (TimeLimit): the Slurm job came to its time limit"
    assert why == told
    assert exit_of(house).outcome is Outcome.ENDED_OUTSIDE


def test_a_training_that_is_preempted_goes_on_when_there_is_room_again(house: House, cluster: Cluster) -> None:
    """It is no fault of the job's, and waits in the queue meanwhile."""
    gated(house, STANDIN_SAVE="17")
    house.start()
    drop(house)
    until_gate(house)
    holds = ("--partition=urgent", "--nodes=2", "--gres=npu:8", "--output=/dev/null", "--wrap", "sleep 600")
    urgent = cluster.run("sbatch", "--parsable", *holds).strip()
    house.wait(lambda: house.job().attempt == 2 and waits(house), "the second attempt in the queue")
    assert exit_of(house).outcome is Outcome.ENDED_OUTSIDE
    cluster.run("scancel", urgent)
    why = resumed(house)
    assert why == "resumed from 17_4 after: Slurm says PREEMPTED: another job has its nodes"
