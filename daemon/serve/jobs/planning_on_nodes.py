"""What a step on nodes of Slurm needs before it is submitted: plan, output tree, and the files that are polled."""

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from daemon.core.root import Root
from daemon.core.setting_sections import Preflight
from daemon.core.settings import Settings
from daemon.core.slurm_settings import MergeWhere, SlurmSettings
from daemon.core.states import Job
from daemon.serve.jobs.nodes_left_out import nodes_to_leave_out
from daemon.serve.steps.slurm.naming import called
from daemon.serve.steps.slurm.submission import SlurmRecords, Wanted, lay_out
from handlers.ckpt.files.durable import make_directory, publish_symlink
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.events import job_log
from handlers.rank_table.hccn import HccnLookup
from handlers.records.checked import Checked
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir
from handlers.records.nodes_plan import NodesPlan
from handlers.training.plan import OnNodes, TrainRequest, plan_nodes
from handlers.training.ways import choose
from handlers.validate.check import CheckedConfig
from handlers.validate.slurm_section import KEY as SLURM
from handlers.validate.slurm_section import SlurmWish, placed

_WARNING = 60.0
"""Seconds before its time limit, beside the grace, at which a job is told: Slurm may do so a minute early."""
SHARED_PATHS = "SHARED_PATHS"
"""By which MindFormers is told what all hosts see: on several hosts `auto_trans_ckpt: True` takes no other path.
Weights may lie elsewhere than below the root: then the settings say so in training.environment, which wins."""


def own_output(directory: JobDir, attempt: int) -> Path:
    """Return where an attempt writes, and let the job's output lead there. Raises OSError.

    It has a tree of its own from the beginning: ranks on a node that is given up may live on, and write there still.
    """
    output = directory.earlier_output(attempt)
    make_directory(output)
    if directory.output != output:
        publish_symlink(directory.output_link, output.relative_to(directory.path))
    return output


def planned_on_nodes(
    request: TrainRequest, checked: CheckedConfig, settings: Settings, job: Job, root: Root
) -> NodesPlan:
    """Return the plan, with its environment published, all that somebody will poll, and what Slurm is to be asked for.

    Raises OSError, and BadInputError where the settings know of no Slurm any more.
    """
    slurm, table = slurm_of(settings), settings.rank_table
    wished = checked.section.with_rank_table
    chosen = choose(
        checked.section.launcher,
        checked.dialect.since,
        checked.device_target,
        with_table=settings.training.with_rank_table if wished is None else wished,
    )
    nodes = OnNodes(
        nodes=checked.nodes,
        devices_per_node=checked.devices_per_node,
        devices_from=slurm.devices_from.value,
        gres=slurm.gres,
        has_table=chosen.has_table,
        address=slurm.address,
        hccn=HccnLookup(tool=table.hccn_tool, conf=table.hccn_conf),
        topology=table.topology,
        gather=slurm.gather,
        node_silence=slurm.node_silence,
        lease=slurm.lease,
        environment={SHARED_PATHS: str(root.path)} if checked.cuts_weights and checked.nodes > 1 else {},
        preflight=settings.preflight is not Preflight.OFF,
    )
    plan = plan_nodes(request, nodes)
    records = request.job_dir.step(job.attempt, Step.TRAIN)
    make_directory(records.path)
    plan.environments.publish(records.environment)
    NodesDir(records).lay_out(plan.nodes)
    left_out = nodes_to_leave_out(request.job_dir, job.attempt)
    for node, why in left_out.items():
        job_log(request.job_dir.events, job=job.id, attempt=job.attempt).info("node_left_out", node=node, reason=why)
    wanted = _wanted(plan, checked.section.slurm, slurm, called(root, job))
    lay_out(request.job_dir, job.attempt, replace(wanted, left_out=left_out))
    return plan


def slurm_of(settings: Settings) -> SlurmSettings:
    """Return the settings of Slurm. Raises BadInputError where there are none any more."""
    if settings.slurm is None:
        raise BadInputError(
            "the settings have no section `slurm:` any more, which this job needs; put it back, then glmd retry",
            Code.SETTINGS_UNUSABLE,
        )
    return settings.slurm


def _wanted(plan: NodesPlan, wish: SlurmWish | None, slurm: SlurmSettings, name: str) -> Wanted:
    """Return what Slurm is asked for: what the file says, and else the settings."""
    return Wanted(
        name=name,
        placement=placed(slurm.site, wish, plan.nodes, plan.devices_per_node),
        warning=plan.grace + _WARNING,
        python=slurm.interpreter,
        prologue=slurm.prologue,
        wait=wish.wait if wish else None,
    )


def merges_on_a_node(job: Job, settings: Settings, root: Root) -> bool:
    """Say whether the shards of `job` are merged by a job of Slurm's. What was begun counts before the settings."""
    if not job.nodes:
        return False
    directory = job.directory(root.path)
    if SlurmRecords(directory, job.attempt, Step.MERGE).intent.exists():
        return True
    begun = directory.step(job.attempt, Step.MERGE)
    is_here = begun.lock.exists() or begun.exit.exists()
    return not is_here and settings.slurm is not None and settings.slurm.merge.where is MergeWhere.JOB


def lay_out_merge(job: Job, slurm: SlurmSettings, root: Root) -> None:
    """Write down what Slurm is to be asked for, and all that somebody will poll, for the merge of `job`.

    Doing it again is harmless. Raises OSError.
    """
    directory, merge = job.directory(root.path), slurm.merge
    trained = placed(slurm.site, _wish(directory), nodes=1, devices_per_node=0)
    partition = merge.partition or trained.partition
    placement = replace(
        trained, cpus=merge.cpus, memory=merge.mem, time=merge.time, partition=partition, reservation="", extra=()
    )
    wanted = Wanted(
        name=called(root, job, Step.MERGE),
        placement=placement,
        python=slurm.interpreter,
        prologue=slurm.prologue,
    )
    NodesDir(directory.step(job.attempt, Step.MERGE)).lay_out(0)
    lay_out(directory, job.attempt, wanted, Step.MERGE)


def _wish(directory: JobDir) -> SlurmWish | None:
    """Return what the file of a job asks of Slurm; None where nothing tells that any more."""
    try:
        return SlurmWish.model_validate(Checked.read(directory.checked).section.get(SLURM))
    except (FileNotFoundError, ValidationError):
        return None
