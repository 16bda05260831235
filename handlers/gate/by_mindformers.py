"""MindFormers' own evaluation: `run_mode: eval` of the job's YAML, with the merged checkpoint loaded."""

from dataclasses import replace
from pathlib import Path

from handlers.ckpt import CkptError
from handlers.ckpt.planning.output import TRANSFORMED
from handlers.ckpt.publishing.manifest import NAME, read_manifest
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.gate.evaluation import Evaluation
from handlers.records.evaluation_plan import Telling
from handlers.training.plan import TrainRequest, evaluating_command


def by_mindformers(evaluation: Evaluation, request: TrainRequest, *, is_free: bool) -> Evaluation:
    """Return `evaluation` as MindFormers does it, in one process. Raises HandlerError and OSError.

    Where the settings leave the devices free (`is_free`), it is the first one of the training; a rehearsal needs none.
    """
    if not request.job_dir.config.exists():
        raise BadInputError(
            f"{request.job_dir.config} is not there: a watched tree has no YAML to evaluate by", Code.GATE_EVALUATION
        )
    request = replace(
        request, load_checkpoint=_weights(evaluation.merged), output=evaluation.records.path / "work" / "output"
    )
    command, environment = evaluating_command(request)
    devices = request.devices[:1] if is_free and request.device_target == "Ascend" else evaluation.devices
    return replace(
        evaluation, command=command, environment=environment, devices=devices, telling=Telling.MINDFORMERS
    )  # fmt: skip


def _weights(merged: Path) -> Path:
    """Return the one file of weights in `merged`, which is all that MindFormers takes for one process."""
    try:
        manifest = read_manifest(merged / NAME)
    except CkptError as error:
        raise BadInputError(str(error), Code.GATE_EVALUATION) from error
    names = [file.name for file in manifest.files if file.name != TRANSFORMED]
    if len(names) != 1 or not names[0].endswith(".ckpt"):
        raise BadInputError(
            f"{merged}: MindFormers' own evaluation loads one .ckpt, and this is {', '.join(names)}; "
            "say `merge: format: ckpt`",
            Code.GATE_EVALUATION,
        )
    return merged / names[0]
