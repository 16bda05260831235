"""How an attempt on nodes ended: what its record says counts before Slurm's word."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.serve.jobs.endings import Finished
from daemon.serve.jobs.nodes_ends import by_record, by_word, of_merge
from daemon.serve.steps.slurm.states import Word
from handlers.records.job_dir import Step
from handlers.records.nodes import NodeState
from handlers.records.step_exit import Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from handlers.records.witness import Witness
from handlers.resume.decision import Ending, Failure

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
KILLED = ProcessExit(
    role=Role.RANK, rank=3, device=1, pid=7, exit_code=None, signal="SIGKILL", ended=NOW, line="x", node="n2"
)  # fmt: skip


def record(outcome: Outcome, **more: object) -> StepExit:
    """Return what exit.json says."""
    given = {"step": Step.TRAIN, "outcome": outcome, "reason": "why", "started": NOW, "ended": NOW}
    return StepExit.model_validate({**given, **more})


def test_what_is_told_by_the_record_needs_no_slurm() -> None:
    """It was written by the one that knows."""
    assert by_record(record(Outcome.COMPLETED), None, cancel=False) == Finished(is_cancelled=False, reason="why")
    assert by_record(record(Outcome.CANCELLED), None, cancel=True) == Finished(is_cancelled=True, reason="why")
    failed = by_record(record(Outcome.FAILED, code="rank.SIGKILL", first=KILLED), Word("NODE_FAIL", ""), cancel=False)
    assert failed == Failure(Ending.FAILED, "why", code="rank.SIGKILL")


@pytest.mark.parametrize(
    ("more", "ending"),
    (
        ({"outcome": Outcome.TIMED_OUT, "limit": "slurm.time"}, Ending.TIME),
        ({"outcome": Outcome.TIMED_OUT, "limit": "total"}, Ending.OVERTIME),
        ({"outcome": Outcome.TIMED_OUT, "limit": "silence"}, Ending.HUNG),
        ({"outcome": Outcome.FAILED, "nodes_without_record": ("n2",)}, Ending.TAKEN),
        ({"outcome": Outcome.FAILED, "nodes_without_record": ("n2",), "first": KILLED}, Ending.FAILED),
        ({"outcome": Outcome.FAILED, "nodes_unfit": ("n2",)}, Ending.TAKEN),
        ({"outcome": Outcome.FAILED, "code": "slurm.node-lost"}, Ending.TAKEN),
        ({"outcome": Outcome.FAILED, "code": "slurm.node-lost", "first": KILLED}, Ending.FAILED),
        ({"outcome": Outcome.CANCELLED}, Ending.TAKEN),
    ),
)
def test_each_record_has_its_ending(more: dict[str, object], ending: Ending) -> None:
    """A node that is lost is no fault of the job's, unless a rank failed before; nor is having been given up."""
    found = by_record(record(**more), None, cancel=False)  # type: ignore[arg-type] # an outcome is among them
    assert isinstance(found, Failure)
    assert found.ending is ending


@pytest.mark.parametrize(
    ("word", "ending"),
    (
        (Word("PREEMPTED", "None"), Ending.TAKEN),
        (Word("COMPLETING", "NodeDown"), Ending.TAKEN),
        (Word("TIMEOUT", "TimeLimit"), Ending.TIME),
        (Word("CANCELLED", "None"), Ending.STOPPED),
        (Word("FAILED", "NonZeroExitCode"), Ending.STOPPED),
    ),
)
def test_a_term_of_slurms_means_what_slurm_says(word: Word, ending: Ending) -> None:
    """From inside all look the same; until Slurm has said it, nothing is decided."""
    told = record(Outcome.ENDED_OUTSIDE)
    for unsaid in (None, Word("RUNNING", "None"), Word("COMPLETING", "None"), Word("NEWWORD", "None")):
        assert by_record(told, unsaid, cancel=False) is None
    found = by_record(told, word, cancel=False)
    assert isinstance(found, Failure)
    assert found.ending is ending


def test_a_term_that_glmd_wanted_is_no_failure() -> None:
    """Where the shim did not end by itself, and scancel did it."""
    found = by_record(record(Outcome.ENDED_OUTSIDE), Word("CANCELLED", "None"), cancel=True)
    assert isinstance(found, Finished)
    assert found.is_cancelled


def test_without_a_record_nodes_tell_which_rank_failed() -> None:
    """The shim of the job was killed together with a rank."""
    who = {"role": Role.RANK, "rank": 3, "device": 1, "node": "n2", "pid": 7, "log": Path("/log"), "exit": KILLED}
    witness = Witness.model_validate({**who, "error": None, "said": "", "line": "x", "words": "x"})
    nodes = (NodeState(seq=3, node="n1"), NodeState(seq=4, node="n2", failed=(witness,)))
    found = by_word(Word("FAILED", "None"), nodes, has_begun=True, cancel=False)
    assert isinstance(found, Failure)
    assert found.reason.startswith("rank 3 on device 1 of n2 was killed by SIGKILL first")
    assert found.reason.endswith("the shim of the job ended without a record")
    assert by_word(Word("RUNNING", "None"), nodes, has_begun=True, cancel=False) is None
    told = by_word(Word("FAILED", "None"), nodes[:1], has_begun=True, cancel=False)
    assert isinstance(told, Failure)
    assert told.code == "shim.died"


@pytest.mark.parametrize(
    ("state", "has_begun", "again"),
    (
        ("NODE_FAIL", True, True),
        ("PREEMPTED", True, True),
        ("FAILED", True, True),
        ("FAILED", False, True),
        ("OUT_OF_MEMORY", True, False),
        ("TIMEOUT", True, False),
        ("CANCELLED", True, False),
    ),
)
def test_a_merge_is_done_again_where_the_next_may_come_to_its_end(state: str, *, has_begun: bool, again: bool) -> None:
    """With the same memory and the same time it would not; and not again and again."""
    end = by_word(Word(state, "None"), (), has_begun=has_begun, cancel=False)
    assert isinstance(end, Failure)
    first, third = of_merge(end, 1), of_merge(end, 3)
    assert isinstance(first, Failure)
    assert isinstance(third, Failure)
    assert (first.ending is Ending.TAKEN, first.reason, first.code) == (again, end.reason, end.code)
    assert third.ending is not Ending.TAKEN
    assert third.reason.endswith("not merged again: 3 in a row ended this way") is again
    done = Finished(is_cancelled=False, reason="")
    assert of_merge(done, 3) is done
