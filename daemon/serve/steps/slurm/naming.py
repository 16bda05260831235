"""What an attempt is called in Slurm, as no other: by this root, the job's number, and the attempt's."""

import contextlib
import os
import re

from daemon.core.root import Root
from daemon.core.states import Job
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import publish_bytes
from handlers.records.job_dir import Step

_FILE = ".glmd-id"
_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)


def called(root: Root, job: Job, step: Step = Step.TRAIN) -> str:
    """Return the name of the Slurm job of a step of the present attempt of `job`. Raises OSError."""
    return f"glmd-{root_id(root)}-{job.id:04d}-{job.attempt}-{step}"


def root_id(root: Root) -> str:
    """Return what tells the jobs of this root from those of others of the same user; it is made once. Raises OSError.

    A copy of a root has the same: two daemons must not serve both through one Slurm.
    """
    path = root.path / _FILE
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            publish_bytes(path, os.urandom(4).hex().encode(), replace=False)
    found = read_bounded(path, 64).decode("ascii", "replace").strip()
    if not _ID.fullmatch(found):
        raise OSError(f"{path}: holds {found!r:.20}, not 8 hexadecimal digits; remove it when no job is in Slurm")
    return found
