"""Warnings of saves that a training could not be resumed from; see handlers.resume.resumable."""

from handlers.codes import Code
from handlers.mindformers.dialect import Dialect
from handlers.validate.document import Place
from handlers.validate.mindformers_rules import Parallel, sinks
from handlers.validate.problem import Findings


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
            f"without data sinking MindFormers ({dialect.name}) resumes only at the beginning of an epoch: set "
            "runner_config.sink_mode to True, or this to the steps of a whole epoch (which this file does not tell)"
        )
        findings.warnings.append(steps.problem(Code.CONFIG_NOT_RESUMABLE, message, hint))
