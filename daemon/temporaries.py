"""Files that a killed process was writing: `handlers.ckpt.durable` gives a file its name when it is whole, not before.

What lies in the inbox is its users' own, and a training's output is its ranks'.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import structlog
from pydantic import ValidationError

from daemon.root import Root
from handlers.job_dir import Step, StepDir
from handlers.shim_record import ShimRecord

PATTERN = ".*.tmp"

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def temporaries(root: Root) -> Iterator[Path]:
    """Yield what is temporary, and no living shim writes; what a daemon that runs is writing may be among it."""
    places = [root.rejected]
    is_merging = False
    for job in sorted(root.jobs.glob("[!.]*")):
        places += [job, *job.glob("attempts/*")]
        for step in job.glob("attempts/*/*"):
            is_alive = living_shim(StepDir(step)) is not None
            is_merging |= is_alive and step.name == Step.MERGE
            places += [] if is_alive else [step]
    places += [] if is_merging else [root.latest]
    for place in places:
        yield from sorted(place.glob(PATTERN))


def sweep(root: Root) -> None:
    """Remove what an earlier daemon and its shims left; to be called before this one writes."""
    try:
        for path in temporaries(root):
            if path.is_dir() and not path.is_symlink():  # resume_from, which is laid out before it has its name
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            log.info("temporary_removed", path=path)
    except OSError as error:  # they harm nobody where they lie
        log.warning("temporaries_left", reason=str(error))


def living_shim(step: StepDir) -> int | None:
    """Return the pid of the shim that runs `step`, if one does."""
    try:
        identity = ShimRecord.read(step.shim).identity
    except (OSError, ValidationError):
        return None
    return identity.pid if identity.alive() else None
