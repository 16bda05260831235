"""Reading plan.json, and saying what is wrong with one that cannot be run."""

from pathlib import Path

from pydantic import ValidationError

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
        raise BadInputError(
            f"{name}: not a plan that this version can run: {where}: {first['msg']}", Code.SHIM_PLAN
        ) from error


def read_nodes_plan(job_dir: JobDir, environment: Path) -> NodesPlan:
    """Return the training on nodes that is planned in `job_dir`, with its `environment`. Raises as `read_plan`."""
    plan = read_plan(job_dir, job_dir.plan).train
    if not isinstance(plan, NodesPlan):
        raise BadInputError(f"{job_dir.plan}: plans no training on nodes", Code.SHIM_PLAN)
    try:
        return plan.with_environments(environment)
    except ValueError as error:  # its text may quote a secret
        raise BadInputError(
            f"{environment}: not the environment of this plan; glmd retry writes it anew", Code.SHIM_ENVIRONMENT
        ) from error
