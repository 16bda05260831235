"""What Slurm is asked for when MindFormers evaluates a job that trained on nodes: one device of one node."""

import os
from dataclasses import replace
from pathlib import Path

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job
from daemon.serve.jobs.judging import section_of
from daemon.serve.jobs.planning_on_nodes import slurm_of
from daemon.serve.steps.slurm.naming import called
from handlers.gate.on_a_node import NodeWish
from handlers.records.job_dir import Step
from handlers.validate.slurm_section import placed

_OF_SLURM = ("SLURM_CONF",)
"""Variables that srun needs, and that trainings do not inherit."""


def wish_of(job: Job, settings: Settings, root: Root) -> NodeWish:
    """Return what is asked for: where and by whose account as for the training. Raises HandlerError and OSError."""
    slurm = slurm_of(settings)
    name = called(root, job, Step.EVALUATE)
    section = section_of(job.directory(root.path), settings)
    wish = None if section is None else section.slurm
    # The time is that of the evaluation.
    placement = replace(placed(slurm.site, wish, nodes=1, devices_per_node=1), time=None)
    return NodeWish(
        srun=str(Path(slurm.commands.sbatch).with_name("srun")),  # Slurm has its programs in one place
        squeue=slurm.commands.squeue,
        name=name,
        placing=(*placement.options, *placement.extra),
        prologue=slurm.prologue,
        environment={key: os.environ[key] for key in _OF_SLURM if key in os.environ},
    )
