"""What Slurm's word means for an attempt: every row of the table, and what is in none."""

import pytest

from daemon.serve.steps.slurm.states import CancelledByWish, Phase, Word, ending, forgotten, needs_somebody
from handlers.resume.decision import Ending, Failure

GOES_ON = (
    ("PENDING", "Resources", Phase.WAITS),
    ("PENDING", "JobHeldUser", Phase.WAITS),
    ("CONFIGURING", "None", Phase.WAITS),
    ("REQUEUED", "None", Phase.WAITS),
    ("RESV_DEL_HOLD", "None", Phase.WAITS),
    ("RUNNING", "None", Phase.RUNS),
    ("SUSPENDED", "None", Phase.RUNS),
    ("STOPPED", "None", Phase.RUNS),
    ("SIGNALING", "None", Phase.RUNS),
    ("STAGE_OUT", "None", Phase.RUNS),
    ("RESIZING", "None", Phase.RUNS),
    ("COMPLETING", "None", Phase.RUNS),
    ("COMPLETING", "TimeLimit", Phase.RUNS),
)
ENDED = (
    ("NODE_FAIL", "None", Ending.TAKEN, "slurm.node-lost", None),
    ("COMPLETING", "NodeDown", Ending.TAKEN, "slurm.node-lost", None),
    ("BOOT_FAIL", "None", Ending.TAKEN, "slurm.node-lost", None),
    ("REVOKED", "None", Ending.TAKEN, "slurm.node-lost", None),
    ("PREEMPTED", "None", Ending.TAKEN, "slurm.preempted", None),
    ("TIMEOUT", "TimeLimit", Ending.TIME, "slurm.time", None),
    ("DEADLINE", "None", Ending.OVERTIME, "slurm.time", None),
    ("CANCELLED", "None", Ending.STOPPED, "slurm.cancelled", None),
    ("OUT_OF_MEMORY", "OutOfMemory", Ending.FAILED, "slurm.memory", False),
    ("FAILED", "NonZeroExitCode", Ending.FAILED, "shim.died", None),
    ("COMPLETED", "None", Ending.FAILED, "shim.died", None),
)
UNKNOWN = ("", "PENDING2", "pending", "NODE FAIL", "COMPLETED+", "0", "squeue: error")


@pytest.mark.parametrize(("state", "reason", "phase"), GOES_ON)
@pytest.mark.parametrize("asked", (True, False))
def test_what_is_there_has_not_ended(state: str, reason: str, phase: Phase, asked: bool) -> None:  # noqa: FBT001 - a parameter
    """Whatever glmd was asked."""
    assert Word(state, reason).phase is phase
    assert ending(Word(state, reason), has_begun=True, asked=asked) is None


@pytest.mark.parametrize(("state", "reason", "kind", "code", "may_pass"), ENDED)
def test_each_final_state_has_its_ending(
    state: str, reason: str, kind: Ending, code: str, may_pass: bool | None  # noqa: FBT001 - likewise
) -> None:  # fmt: skip
    """Of a training that had begun and left no exit.json; Slurm's word is told."""
    found = ending(Word(state, reason), has_begun=True, asked=False)
    assert isinstance(found, Failure)
    assert (found.ending, found.code, found.may_pass) == (kind, code, may_pass)
    assert state in found.reason


@pytest.mark.parametrize("state", ("FAILED", "COMPLETED"))
def test_a_batch_step_that_did_not_start(state: str) -> None:
    """Nobody has made owner.json: its output directory is not there, or its interpreter."""
    found = ending(Word(state, "JobLaunchFailure"), has_begun=False, asked=False)
    assert isinstance(found, Failure)
    assert (found.ending, found.code) == (Ending.TAKEN, "slurm.not-begun")
    assert found.reason.startswith(f"Slurm says {state} (JobLaunchFailure): the batch step did not start")


@pytest.mark.parametrize("has_begun", (True, False))
def test_a_wish_of_glmds_is_no_failure(has_begun: bool) -> None:  # noqa: FBT001 - likewise
    """Only where it was asked; a node that is lost then is still lost."""
    found = ending(Word("CANCELLED", "None"), has_begun=has_begun, asked=True)
    assert isinstance(found, CancelledByWish)
    lost = ending(Word("NODE_FAIL", "None"), has_begun=has_begun, asked=True)
    assert isinstance(lost, Failure)


@pytest.mark.parametrize("state", UNKNOWN)
@pytest.mark.parametrize("has_begun", (True, False))
def test_a_word_that_is_not_known_is_no_answer(state: str, has_begun: bool) -> None:  # noqa: FBT001 - likewise
    """A new Slurm's, or rubbish: neither over, nor not."""
    assert Word(state, "None").phase is None
    assert ending(Word(state, "None"), has_begun=has_begun, asked=False) is None


def test_every_state_that_is_known_is_tried() -> None:
    """A new row needs a line above."""
    from daemon.serve.steps.slurm.states import _PHASES  # noqa: PLC0415 - the test's own look inside

    tried = {state for state, *_ in (*GOES_ON, *ENDED)}
    assert _PHASES.keys() - tried == {
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "SPECIAL_EXIT",
    }  # of requeueing, which glmd forbids


@pytest.mark.parametrize(
    ("reason", "waits_for_ever"),
    (
        ("Resources", False),
        ("Priority", False),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", False),
        ("PartitionNodeLimit", True),
        ("JobHeldUser", True),
        ("InvalidQOS", True),
    ),
)
def test_reasons_that_do_not_pass_by_themselves(reason: str, waits_for_ever: bool) -> None:  # noqa: FBT001 - likewise
    """They need somebody, and are told as such."""
    assert needs_somebody(reason) is waits_for_ever


def test_a_job_that_slurm_forgot_is_lost() -> None:
    """That says nothing about the training: it goes on from its newest save."""
    assert forgotten().ending is Ending.TAKEN


def test_memory_that_ran_out_is_named() -> None:
    """As Slurm tells it of a job of which the kernel has killed something: a cluster of tests has no cgroup."""
    found = ending(Word("OUT_OF_MEMORY", "OutOfMemory"), has_begun=True, asked=False)
    assert isinstance(found, Failure)
    assert (found.ending, found.code, found.may_pass) == (Ending.FAILED, "slurm.memory", False)
    assert found.reason.startswith("Slurm says OUT_OF_MEMORY (OutOfMemory): more than the memory of the Slurm job")
