"""How a step on nodes of Slurm ended: by its own record first, then by Slurm's word, then by those of its nodes."""

from collections.abc import Iterable
from dataclasses import replace

from daemon.serve.jobs.endings import Finished
from daemon.serve.jobs.nodes_looks import Seen
from daemon.serve.steps.slurm.states import UNSAID, CancelledByWish, Phase, Word, ending, forgotten
from handlers.codes import Code
from handlers.records.nodes import NodeState
from handlers.records.slurm import Verdict
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import MOST_IN_VAIN, Ending, Failure
from handlers.shim.blame import blame


def by_record(record: StepExit, word: Word | None, *, cancel: bool) -> Finished | Failure | None:
    """Return how an attempt ended by its exit.json; None where Slurm's word is yet to say what that means.

    `word` is that of Slurm, where it is known; `cancel` where glmd was asked to end the job.
    """
    if record.outcome is Outcome.COMPLETED:
        return Finished(is_cancelled=False, reason=record.reason)
    if record.outcome is Outcome.CANCELLED and cancel:
        return Finished(is_cancelled=True, reason=record.reason)
    if record.outcome is Outcome.ENDED_OUTSIDE:
        return _ended_outside(record, word, cancel=cancel)
    is_the_nodes = bool(record.nodes_without_record or record.nodes_unfit) or record.code == Code.SLURM_NODE_LOST
    if record.outcome is Outcome.CANCELLED or (is_the_nodes and record.first is None):
        return Failure(Ending.TAKEN, record.reason, code=record.code)
    return Failure.of(record, record.reason, lost=False)


def _ended_outside(record: StepExit, word: Word | None, *, cancel: bool) -> Finished | Failure | None:
    """Return what a TERM of Slurm's meant: from inside the job all of its ways to end one look the same."""
    if word is None or (word != UNSAID and word.phase is not Phase.OVER and not word.has_lost_a_node):
        return None
    if word == UNSAID or word.state in {"FAILED", "COMPLETED"}:  # the shim's own code: no signal of Slurm's
        reason = f"{record.step} was {record.reason}, and not by glmd cancel"
        return Failure(Ending.STOPPED, reason, code=Code.SHIM_STOPPED)
    return by_word(word, (), has_begun=True, cancel=cancel)


def by_verdict(verdict: Verdict, seen: Seen, *, cancel: bool) -> Finished | Failure | None:
    """Return how an attempt ended that a daemon before found to be over by Slurm's word, and left no exit.json."""
    if verdict.state:
        word = Word(verdict.state, verdict.reason)
        return by_word(word, seen.states, has_begun=seen.owner is not None, cancel=cancel)
    if seen.owner is not None:
        return forgotten()
    tries = 0 if seen.intent is None else seen.intent.tries
    reason = f"Slurm was asked for the job {tries} times, and does not know it any more"
    return Failure(Ending.FAILED, reason, code=Code.SLURM_FORGOTTEN)


def by_word(
    word: Word, nodes: Iterable[NodeState], *, has_begun: bool, cancel: bool
) -> Finished | Failure | None:  # fmt: skip
    """Return how an attempt ended that has left no exit.json; None where Slurm does not say that it has ended."""
    found = ending(word, has_begun=has_begun, asked=cancel)
    if isinstance(found, CancelledByWish):
        return Finished(is_cancelled=True, reason=found.reason)
    if found is None or found.code is not Code.SHIM_DIED:
        return found
    witnesses = [witness for node in nodes for witness in node.failed]
    if not any(witness.exit for witness in witnesses):
        return found
    blamed = blame((*(one for one in witnesses if one.exit), *(one for one in witnesses if not one.exit)))
    may_pass = None if blamed.diagnosis is None else blamed.diagnosis.may_pass
    return Failure(Ending.FAILED, f"{blamed.reason}; {found.reason}", may_pass, blamed.code)


def of_merge(end: Finished | Failure, merges: int) -> Finished | Failure:
    """Return how a merge ended, the last of so many in a row: one that was killed is done again, as what Slurm took is.

    Nothing of it is lost but time; where that comes again and again, it may be the merge that its node dies of.
    """
    if not isinstance(end, Failure) or not (end.ending is Ending.TAKEN or end.code == Code.SHIM_DIED):
        return end
    if merges < MOST_IN_VAIN:
        return replace(end, ending=Ending.TAKEN)
    return replace(
        end, ending=Ending.FAILED, reason=f"{end.reason}; not merged again: {merges} in a row ended this way"
    )
