"""Files that a killed process was writing: `ckpt.files.durable` gives a file its name when it is whole, not before.

What lies in the inbox is its users' own, and a training's output is its ranks'.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog
from pydantic import ValidationError

from daemon.core.root import Root
from handlers.records.job_dir import Step, StepDir
from handlers.records.nodes import NodesDir
from handlers.records.shim_record import ShimRecord

PATTERN = ".*.tmp"

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def temporaries(root: Root, jobs: Iterable[Path] | None = None) -> Iterator[Path]:
    """Yield what is temporary, and no living shim writes; what a daemon that runs is writing may be among it.

    Of the directories in `jobs/`, those in `jobs`; all where that is None.
    """
    is_merging = False
    for job in sorted(root.jobs.glob("[!.]*")) if jobs is None else jobs:
        is_merging |= any(living_shim(StepDir(step)) is not None for step in job.glob(f"attempts/*/{Step.MERGE}"))
        yield from temporaries_of(job)
    for place in (root.rejected, *([] if is_merging else [root.latest])):
        yield from sorted(place.glob(PATTERN))
    yield from temporaries_of_the_root(root)


def temporaries_of_the_root(root: Root) -> Iterator[Path]:
    """Yield what was to become the store or a copy of it, daemon.json or glmd.owner; other files are their user's."""
    for path in (root.store, root.daemon, root.owner):
        yield from sorted(path.parent.glob(f".{path.name}{PATTERN}"))


def temporaries_of(job: Path) -> Iterator[Path]:
    """Yield what is temporary in one job's directory, and no living shim writes."""
    steps = [step for step in job.glob("attempts/*/*") if not _may_be_written(StepDir(step))]
    of_nodes = (place for step in steps for place in (NodesDir(StepDir(step)).slurm, *step.glob("nodes/*")))
    for place in (job, *job.glob("attempts/*"), *steps, *of_nodes):
        yield from sorted(place.glob(PATTERN))


def sweep(root: Root, jobs: Iterable[Path] | None = None) -> None:
    """Remove what an earlier daemon and its shims left in `jobs`; to be called before this one writes there."""
    _remove(temporaries(root, jobs))


def sweep_job(job: Path) -> None:
    """Remove what dead writers left in the directory of a job that is about to be over: nobody looks there again."""
    _remove(temporaries_of(job))


def _remove(found: Iterable[Path]) -> None:
    try:
        for path in found:
            if path.is_dir() and not path.is_symlink():  # resume_from, which is laid out before it has its name
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            log.info("temporary_removed", path=path)
    except OSError as error:  # they harm nobody where they lie
        log.warning("temporaries_left", reason=str(error))


def _may_be_written(step: StepDir) -> bool:
    """Say whether a shim writes in the records of `step`, or may do so on a host that nobody can ask from here."""
    nodes = NodesDir(step)
    is_over = step.exit.exists() or nodes.verdict.exists()  # what still writes there was given up
    return (nodes.slurm.exists() and not is_over) or living_shim(step) is not None


def living_shim(step: StepDir) -> int | None:
    """Return the pid of the shim that runs `step`, if one does."""
    try:
        identity = ShimRecord.read(step.shim).identity
    except (OSError, ValidationError):
        return None
    return identity.pid if identity.alive() else None
