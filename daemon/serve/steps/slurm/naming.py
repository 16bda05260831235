"""What an attempt of a step is called in Slurm, as no other: by this root, the job's number, and the attempt's."""

import contextlib
import os

from daemon.core.root import Root
from daemon.core.slurm_names import ID_FILE, SlurmName, known_id
from daemon.core.states import Job
from handlers.ckpt.files.durable import publish_bytes
from handlers.records.job_dir import Step


def called(root: Root, job: Job, step: Step = Step.TRAIN) -> str:
    """Return the name of the Slurm job of `step` of the present attempt of `job`. Raises OSError."""
    return str(SlurmName(root_id(root), job.id, job.attempt, step))


def root_id(root: Root) -> str:
    """Return what tells the jobs of this root from those of others of the same user; it is made once. Raises OSError.

    A copy of a root has the same: two daemons must not serve both through one Slurm.
    """
    path = root.path / ID_FILE
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            publish_bytes(path, os.urandom(4).hex().encode(), replace=False)
    if (found := known_id(root)) is None:
        raise FileNotFoundError(f"{path}: somebody has just removed it")
    return found
