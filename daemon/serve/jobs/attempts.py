"""What the attempts of a job leave behind: what one that is over came to, and what the next one begins with."""

from collections.abc import Iterator
from pathlib import Path

from daemon.core.states import Job
from handlers.ckpt.files.durable import make_directory
from handlers.rank_log.progress import Progress, read_progress
from handlers.records.job_dir import JobDir
from handlers.resume.decision import Failure, PastAttempt, TakenUp
from handlers.resume.point import Expected, ResumePoint, complete, is_last, lay_out, newest_complete, newest_useful
from handlers.resume.resumable import Course, schedule_of
from handlers.shards.names import LAST
from handlers.validate.check import CheckedConfig


class NothingLeftError(Exception):
    """The training had come to its end, though its attempt did not."""

    def __init__(self, point: ResumePoint) -> None:
        super().__init__(f"nothing is left to train: {point.tree} has the last save, {point.tag}, of all ranks")
        self.tree = point.tree


def past_attempt(job: Job, directory: JobDir, checked: CheckedConfig, failure: Failure) -> PastAttempt:
    """Return what the present attempt of `job`, which is over, came to. Raises OSError or pydantic.ValidationError."""
    run, progress = _expected(checked), _progress(directory, job.attempt, checked)
    course = _course(checked, progress)
    taken_up = TakenUp.read(directory.resume_record(job.attempt))
    began = newest_complete(directory.resume_from(job.attempt), run)
    found = newest_useful(_output(directory, job.attempt), run, course)
    return PastAttempt(
        failure=failure,
        resumes=taken_up.resumes,
        began=None if began is None or course.obstacle(began.tag) else began,
        saved=found.point,
        finished=found.point is not None and is_last(found.point.tag, progress, checked.sink_size),
        obstacle=found.obstacle,
    )


def begin(job: Job, directory: JobDir, checked: CheckedConfig, *, resumes: int) -> Path | None:
    """Lay out what the present attempt of `job` begins with: the newest save before it that MindFormers can go on from.

    Return what MindFormers is to load; None where there is no such save, and it begins from the start. Doing it again
    is harmless. Raises OSError, and NothingLeftError.
    """
    run, progress = _expected(checked), _progress(directory, job.attempt, checked)
    course = _course(checked, progress)
    point, obstacle = None, None
    for tree in _trees_before(directory, job.attempt):
        found = newest_useful(tree, run, course)
        point, obstacle = found.point, obstacle or found.obstacle
        if point is not None:
            break
    if point is not None and is_last(point.tag, progress, checked.sink_size):
        raise NothingLeftError(point)
    tag = None if point is None else str(point.tag)
    record = directory.resume_record(job.attempt)
    make_directory(record.parent)
    TakenUp(resumes=resumes, tag=tag, passed_over=obstacle.what if obstacle else "").publish(record)
    if point is None:
        return None
    laid_out = directory.resume_from(job.attempt)
    lay_out(point, laid_out)
    if checked.needs_strategy or checked.sink_size is not None:
        return laid_out / "checkpoint"
    # MindFormers 0.8 takes a directory with data sinking only; data parallel ranks hold the same weights.
    return laid_out / "checkpoint" / "rank_0" / point.shards[0].path.name


def how_it_begins(job: Job, directory: JobDir) -> str:
    """Return with what the present attempt of `job` begins, for people, where that is not the newest save; else "".

    Raises OSError or pydantic.ValidationError.
    """
    taken_up = TakenUp.read(directory.resume_record(job.attempt))
    if not taken_up.passed_over:
        return ""
    how = "begins anew" if taken_up.tag is None else f"goes on from {taken_up.tag}"
    return f"{how}: {taken_up.passed_over}"


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


def _progress(directory: JobDir, attempt: int, checked: CheckedConfig) -> Progress | None:
    """Return the newest progress that a log of `attempt` or of one before it tells: all have the same schedule."""
    trees = (_output(directory, number) for number in range(attempt, 0, -1))
    found = (read_progress(tree, range(checked.ranks)) for tree in trees)
    return next((progress for progress in found if progress is not None), None)


def _course(checked: CheckedConfig, progress: Progress | None) -> Course:
    # A rehearsal's ranks hold the whole network, whatever its file says: a CPU cuts none.
    is_cut = checked.needs_strategy and checked.device_target == "Ascend"
    return Course(schedule_of(progress, checked.sink_size), is_cut, checked.dialect)
