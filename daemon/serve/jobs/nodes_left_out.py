"""Which nodes the next attempt of a job is not to have, by what the attempts before it have left behind."""

import re

from daemon.serve.steps.slurm.states import Word
from daemon.serve.steps.slurm.submission import SlurmRecords, read
from handlers.codes import Code
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir, NodeState
from handlers.records.slurm import Intent, Verdict
from handlers.records.step_exit import StepExit
from handlers.resume.decision import TakenUp
from handlers.units.host_lists import hosts

_OF_NODES = frozenset({Code.SLURM_NODE_LOST, Code.SLURM_NODE_UNFIT})
"""Ends by which a node that has written no end is to blame: after others even a healthy one may have had no time."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}", re.ASCII)


def nodes_to_leave_out(directory: JobDir, attempt: int) -> dict[str, str]:
    """Return which nodes `attempt` is not to have, with why. Raises OSError, and ValidationError for a bad resume.json.

    They are those of the attempts in a row that glmd has begun by itself: `glmd retry` says that somebody has seen to
    things, and begins with all.
    """
    if TakenUp.read(directory.resume_record(attempt)).resumes == 0:
        return {}
    before = read(Intent, SlurmRecords(directory, attempt - 1).intent)
    return {**({} if before is None else before.left_out), **_bad_nodes(directory, attempt - 1)}


def _bad_nodes(directory: JobDir, attempt: int) -> dict[str, str]:
    """Return which nodes an attempt failed for; none where all of several are: no other nodes would be better."""
    step = directory.step(attempt, Step.TRAIN)
    records = SlurmRecords(directory, attempt)
    verdict, owner = read(Verdict, records.verdict), records.owner()
    listed = "" if verdict is None else verdict.nodes
    names = hosts(listed if owner is None else owner.nodelist or listed)
    found = {}
    if (exit_ := read(StepExit, step.exit)) is not None:
        lost = exit_.nodes_without_record if exit_.code in _OF_NODES else ()
        found = dict.fromkeys(lost, f"lost in attempt {attempt}")
        found |= dict.fromkeys(exit_.nodes_unfit, f"unfit in attempt {attempt}")
    if verdict is not None:
        found |= _by_word(verdict, attempt, names, NodesDir(step), has_begun=owner is not None)
    found = {node: why for node, why in found.items() if _NAME.fullmatch(node)}
    return found if len(found) < max(len(names), 2) else {}


def _by_word(
    verdict: Verdict, attempt: int, names: tuple[str, ...], nodes: NodesDir, *, has_begun: bool
) -> dict[str, str]:  # fmt: skip
    """Return which nodes Slurm's word says it was."""
    word = Word(verdict.state, verdict.reason)
    if word.has_lost_a_node and verdict.down:
        return {node: f"lost in attempt {attempt}: {why}" for node, why in verdict.down.items() if node in names}
    if word.has_lost_a_node:  # the node is up again: it could not record how it ended
        states = (NodeState.now(nodes.state(number)) for number in range(len(names)))
        ended = {state.node for state in states if state is not None and state.exit is not None}
        return {node: f"lost in attempt {attempt}" for node in names if node not in ended}
    if word.state == "FAILED" and not has_begun and names:
        return {names[0]: f"the batch step did not start on it in attempt {attempt}"}
    return {}
