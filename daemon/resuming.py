"""What the attempts of a job leave behind: what one that is over came to, and what the next one begins with."""

from collections.abc import Iterator
from pathlib import Path

from daemon.states import Job
from handlers.ckpt.durable import make_directory
from handlers.errors import BadInputError
from handlers.job_dir import JobDir
from handlers.rank_log.progress import read_progress
from handlers.resume import Ended, Failure, TakenUp
from handlers.resume_point import Expected, ResumePoint, complete, is_last, lay_out, newest_complete
from handlers.shards.names import LAST
from handlers.validate.check import CheckedConfig


def came_to(job: Job, directory: JobDir, checked: CheckedConfig, failure: Failure) -> Ended:
    """Return what the present attempt of `job`, which is over, came to. Raises OSError or pydantic.ValidationError."""
    run, output = _expected(checked), _output(directory, job.attempt)
    began = TakenUp.read(directory.resume_record(job.attempt))
    saved = newest_complete(output, run)
    return Ended(
        failure=failure,
        resumes=began.resumes,
        began=newest_complete(directory.resume_from(job.attempt), run),
        saved=saved,
        finished=saved is not None and _is_last(saved, checked),
    )


def begin(job: Job, directory: JobDir, checked: CheckedConfig, *, resumes: int) -> Path | None:
    """Lay out what the present attempt of `job` begins with, the newest save of those before it.

    Return what MindFormers is to load; None where there is no such save, and it begins from the start. Doing it again
    is harmless. Raises OSError, and BadInputError where the last epoch was saved.
    """
    run = _expected(checked)
    found = (newest_complete(tree, run) for tree in _trees_before(directory, job.attempt))
    point = next((point for point in found if point is not None), None)
    if point is not None and _is_last(point, checked):
        raise BadInputError(
            f"nothing is left to train: {point.tree} has the last epoch's save, {point.tag}, on all ranks; "
            f"merge it: glmd merge --src_checkpoints_dir {point.tree}"
        )
    tag = None if point is None else str(point.tag)
    record = directory.resume_record(job.attempt)
    make_directory(record.parent)
    TakenUp(resumes=resumes, tag=tag).publish(record)
    if point is None:
        return None
    laid_out = directory.resume_from(job.attempt)
    lay_out(point, laid_out)
    if checked.needs_strategy or checked.sink_size is not None:
        return laid_out / "checkpoint"
    # MindFormers 0.8 takes a directory with data sinking only; data parallel ranks hold the same weights.
    return laid_out / "checkpoint" / "rank_0" / point.shards[0].path.name


def tree_with_tag(job: Job, directory: JobDir, checked: CheckedConfig) -> Path | None:
    """Return the output of the earlier attempt that holds the tag to merge; None where this attempt's is to have it."""
    tag = checked.section.merge.tag
    if tag == LAST:
        return None
    trees = _trees_before(directory, job.attempt)
    return next((tree for tree in trees if complete(tree, tag, _expected(checked))), None)


def _expected(checked: CheckedConfig) -> Expected:
    return Expected(checked.prefix, checked.ranks, checked.needs_strategy)


def _trees_before(directory: JobDir, attempt: int) -> Iterator[Path]:
    """Yield the trees that may hold saves of earlier attempts, those with newer ones first."""
    for number in range(attempt - 1, 0, -1):
        yield directory.earlier_output(number)
        yield directory.resume_from(number)


def _output(directory: JobDir, attempt: int) -> Path:
    earlier = directory.earlier_output(attempt)
    return earlier if earlier.exists() else directory.output


def _is_last(point: ResumePoint, checked: CheckedConfig) -> bool:
    return is_last(point.tag, read_progress(point.tree, range(checked.ranks)), checked.sink_size)
