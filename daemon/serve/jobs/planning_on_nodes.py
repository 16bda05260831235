"""What an attempt on nodes of Slurm needs before it is submitted: plan, output tree, and the files that are polled."""

import math
import sys
from dataclasses import replace
from pathlib import Path

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.states import Job
from daemon.serve.steps.slurm.naming import called
from daemon.serve.steps.slurm.submission import Wanted, lay_out
from handlers.ckpt.files.durable import make_directory, publish_symlink
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.rank_table.hccn import HccnLookup
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir
from handlers.records.nodes_plan import NodesPlan
from handlers.training.plan import OnNodes, TrainRequest, plan_nodes
from handlers.training.ways import choose
from handlers.validate.check import CheckedConfig
from handlers.validate.slurm_section import SlurmWish

_WARNING = 60.0
"""Seconds before its time limit, beside the grace, at which a job is told: Slurm may do so a minute early."""


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
        has_table=chosen.has_table,
        address=slurm.address,
        hccn=HccnLookup(tool=table.hccn_tool, conf=table.hccn_conf),
        topology=table.topology,
        gather=slurm.gather,
        node_silence=slurm.node_silence,
        lease=slurm.lease,
    )
    plan = plan_nodes(request, nodes)
    records = request.job_dir.step(job.attempt, Step.TRAIN)
    make_directory(records.path)
    plan.environments.publish(records.environment)
    NodesDir(records).lay_out(plan.nodes)
    lay_out(request.job_dir, job.attempt, _wanted(plan, checked.section.slurm, slurm, called(root, job)))
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
    time = (wish.time if wish else None) or slurm.time
    asked = asked_for(wish, slurm, name, plan.nodes, plan.devices_per_node)
    return replace(asked, warning=plan.grace + _WARNING, time="" if time is None else str(math.ceil(time / 60)))


def asked_for(wish: SlurmWish | None, slurm: SlurmSettings, name: str, nodes: int, devices_per_node: int) -> Wanted:
    """Return what Slurm is asked for, but for the time: what the file says, and else the settings."""
    memory = "0" if slurm.memory == "all" else slurm.memory  # sbatch(1): --mem=0 is all of each node
    return Wanted(
        name=name,
        nodes=nodes,
        devices_per_node=devices_per_node,
        gres=slurm.gres,
        python=str(slurm.python or Path(sys.executable).absolute()),
        prologue=slurm.prologue,
        memory=memory,
        partition=(wish and wish.partition) or slurm.partition,
        account=(wish and wish.account) or slurm.account,
        qos=(wish and wish.qos) or slurm.qos,
        reservation=(wish and wish.reservation) or slurm.reservation,
        exclude=(wish and wish.exclude) or slurm.exclude,
        extra=(*slurm.options, *(wish.options if wish else ())),
    )
