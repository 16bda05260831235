"""Warnings of saves that a training could not be resumed from; see handlers.resume.resumable."""

from handlers.codes import Code
from handlers.mindformers.dialect import Dialect
from handlers.validate.document import Place
from handlers.validate.mindformers_rules import Parallel, sinks
from handlers.validate.problem import Findings
from handlers.validate.saving_rules import Saving


def check_shared_out(saving: Saving, parallel: Parallel, findings: Findings) -> None:
    """Warn of shards that lack what others save where MindFormers loads none: into a network that is not cut."""
    if saving.is_shared_out and not saving.is_iteration and not parallel.by_strategy:
        hint = "MindFormers loads shards without replicas into a cut network only: set remove_redundancy to False"
        findings.warnings.append(
            saving.place.key_problem(
                Code.CONFIG_NOT_RESUMABLE, "saves without replicas of a data parallel run cannot be resumed from", hint
            )
        )


def check_resuming(root: Place, steps: Place, parallel: Parallel, dialect: Dialect, findings: Findings) -> None:
    """Warn where a failure may cost more than what was trained since the last save; `steps` is save_checkpoint_steps.

    How many steps an epoch has depends on the rows of the data set, so that the file alone does not tell it.
    """
    if sinks(root, dialect):
        return
    if parallel.by_strategy and parallel.target == "Ascend":
        message = "without data sinking no save can be resumed from"
        hint = "MindFormers loads weights into a cut network in sink mode only: set it to True"
        sink = root.get("runner_config", "sink_mode")
        findings.warnings.append(
            (sink or root.get("runner_config") or root).problem(Code.CONFIG_NOT_RESUMABLE, message, hint)
        )
    elif not dialect.resumes_inside_epoch:
        message = "a save inside an epoch cannot be resumed from"
        hint = (
            f"without data sinking MindFormers ({dialect.name}) goes on at the beginning of an epoch only: set "
            "runner_config.sink_mode to True, or this to the steps of a whole epoch (which this file does not tell)"
        )
        findings.warnings.append(steps.problem(Code.CONFIG_NOT_RESUMABLE, message, hint))
