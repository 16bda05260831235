"""Reading plan.json, and saying what is wrong with one that cannot be run."""

import json
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from handlers.ckpt.errors import CkptError
from handlers.ckpt.files.bounded import read_bounded
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.records.job_dir import JobDir
from handlers.records.job_plan import JobPlan
from handlers.records.nodes_plan import NodesPlan


def read_plan(job_dir: JobDir, name: Path) -> JobPlan:
    """Return the plan in `job_dir`, which people know by `name`. Raises OSError, and BadInputError for no such."""
    try:
        return JobPlan.read(job_dir.plan)
    except ValidationError as error:
        first = error.errors()[0]
        parts = [str(part) for part in first["loc"]]
        if parts[:1] == ["train"]:
            del parts[1:2]  # which kind of training it was read as
        where = ".".join(parts) or "the file"
        message = f"{name}: not a plan that this version can run: {where}: {first['msg']}"
        if (other := _written_by(job_dir.plan)) not in {"", version("glmd")}:
            message = (
                f"{name}: written by glmd {other}, and run by glmd {version('glmd')}: `glmd retry N` plans it again"
            )
        raise BadInputError(message, Code.SHIM_PLAN) from error


def _written_by(plan: Path) -> str:
    """Return which version of glmd has written a plan that this one cannot read; empty where it does not say."""
    try:
        content = json.loads(read_bounded(plan, JobPlan.MOST_BYTES))
    except (OSError, CkptError, ValueError, RecursionError):
        return ""
    other = content.get("glmd") if isinstance(content, dict) else None
    return other if isinstance(other, str) else ""


def read_nodes_plan(job_dir: JobDir, environment: Path) -> NodesPlan:
    """Return the training on nodes that is planned in `job_dir`, with its `environment`. Raises as `read_plan`."""
    plan = read_plan(job_dir, job_dir.plan).train
    if not isinstance(plan, NodesPlan):
        raise BadInputError(f"{job_dir.plan}: plans no training on nodes", Code.SHIM_PLAN)
    try:
        return plan.with_environments(environment)
    except ValueError as error:  # its text may quote a secret
        raise BadInputError(
            f"{environment}: not the environment of this plan; glmd retry writes it again", Code.SHIM_ENVIRONMENT
        ) from error
