"""What the attempts of a job leave behind: what one that is over came to, and what the next one begins with."""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from daemon.core.states import Job
from handlers.ckpt import CkptError
from handlers.ckpt.files.durable import make_directory
from handlers.mindformers.tags import Schedule
from handlers.rank_log.progress import Progress, read_progress
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Divergence, StepExit
from handlers.resume.config import Beginning, UnresumableError
from handlers.resume.decision import Ending, Failure, PastAttempt, TakenUp, Tries
from handlers.resume.point import (
    Expected,
    Found,
    ResumePoint,
    beginning,
    complete,
    is_last,
    is_to_be_united,
    lay_out,
    newest_complete,
    newest_useful,
    not_united,
)
from handlers.resume.resumable import Course, Obstacle, number_of, schedule_of
from handlers.shards.names import LAST, Tag
from handlers.validate.check import CheckedConfig

Written = Callable[[Tag, int, int], None]
"""Gets, of the save whose shards are united, the bytes that are written so far, and in all."""


class NothingLeftError(Exception):
    """The training had come to its end, though its attempt did not."""

    def __init__(self, point: ResumePoint) -> None:
        super().__init__(f"nothing is left to train: {point.tree} has the last save, {point.tag}, of all ranks")
        self.tree = point.tree


def past_attempt(job: Job, directory: JobDir, checked: CheckedConfig, failure: Failure) -> PastAttempt:
    """Return what the present attempt of `job`, which is over, came to. Raises OSError or pydantic.ValidationError."""
    run, progress = _expected(checked), _progress(directory, job.attempt, checked)
    courses = _courses(directory, job.attempt, _course(checked, progress))
    taken_up = TakenUp.read(directory.resume_record(job.attempt))
    resume_from, output = directory.resume_from(job.attempt), _output(directory, job.attempt)
    began = newest_complete(resume_from, run)
    trees = [(job.attempt, output)]
    if failure.ending is Ending.DIVERGED:
        trees += [(job.attempt, resume_from), *_trees_before(directory, job.attempt)]
    found = _newest(trees, run, courses)
    return PastAttempt(
        failure=failure,
        tries=taken_up.tries,
        began=None if began is None or courses[job.attempt].obstacle(began.tag) else began,
        saved=found.point,
        finished=found.point is not None and is_last(found.point.tag, progress, checked.sink_size),
        obstacle=found.obstacle,
        has_diverged_before=any(how_it_diverged(directory, number) for number in range(1, job.attempt)),
    )


def begin(
    job: Job, directory: JobDir, checked: CheckedConfig, *, tries: Tries, written: Written | None = None
) -> Beginning | None:
    """Lay out what the present attempt of `job` begins with: the newest save before it that MindFormers can go on from.

    Return what MindFormers is to begin with; None where there is no such save, and it begins from the start. To unite
    shards takes minutes, of which `written` hears; where their content does not fit, an older save counts. Doing it
    again is harmless. Raises OSError, NothingLeftError, and UnresumableError where glmd may not begin again by itself.
    """
    run, progress = _expected(checked), _progress(directory, job.attempt, checked)
    course, spoilt = _course(checked, progress), dict[Tag, Obstacle]()
    record, laid_out = directory.resume_record(job.attempt), directory.resume_from(job.attempt)
    make_directory(record.parent)
    while True:
        courses = _courses(directory, job.attempt - 1, replace(course, spoilt=spoilt))
        found = _newest(_trees_before(directory, job.attempt), run, courses)
        point, passed_over = found.point, found.obstacle.what if found.obstacle else ""
        if point is None:
            if tries.resumes and spoilt:
                raise UnresumableError(passed_over)
            TakenUp(**asdict(tries), tag=None, passed_over=passed_over).publish(record)
            return None
        if is_last(point.tag, progress, checked.sink_size):
            raise NothingLeftError(point)
        united = is_to_be_united(point, is_cut=course.is_cut)
        taken_up = TakenUp(**asdict(tries), tag=str(point.tag), passed_over=passed_over, united=united)
        if united and _is_there(taken_up, record, laid_out, run):
            break
        try:
            lay_out(point, laid_out, unites=united, progress=written and partial(written, point.tag))
        except CkptError as error:
            spoilt[point.tag] = not_united(point.tag, error)
        else:
            taken_up.publish(record)
            break
    _forget_united(directory, job.attempt, but={taken_up.tag, checked.section.merge.tag})
    # MindFormers 0.8 takes a directory with data sinking only; data parallel ranks hold the same weights.
    is_directory = checked.needs_strategy or checked.sink_size is not None
    return beginning(point, laid_out, is_directory=is_directory, is_united=united)


def _is_there(taken_up: TakenUp, record: Path, laid_out: Path, run: Expected) -> bool:
    """Say whether this very save is laid out, by who came no further, or could not write what follows."""
    try:
        before = TakenUp.read(record)
    except ValidationError:
        return False
    return before == taken_up and complete(laid_out, str(taken_up.tag), run) is not None


def _forget_united(directory: JobDir, attempt: int, *, but: Collection[str | None]) -> None:
    """Remove what earlier attempts began with and is a copy, as large as a whole save, but for those tags."""
    for number in range(2, attempt):
        with suppress(ValidationError):  # what cannot be read cannot be judged
            before = TakenUp.read(directory.resume_record(number))
            if before.united and before.tag not in but and directory.resume_from(number).exists():
                shutil.rmtree(directory.resume_from(number))


def how_it_begins(job: Job, directory: JobDir) -> str:
    """Return with what the present attempt of `job` begins, for people, where that is not the newest save; else "".

    Raises OSError or pydantic.ValidationError.
    """
    taken_up = TakenUp.read(directory.resume_record(job.attempt))
    if not taken_up.passed_over:
        return ""
    how = "starts from the beginning" if taken_up.tag is None else f"resumes from {taken_up.tag}"
    return f"{how}: {taken_up.passed_over}"


def how_it_diverged(directory: JobDir, attempt: int) -> Divergence | None:
    """Return how an attempt diverged; None where it did not, or has left no word. Raises OSError."""
    try:
        return StepExit.read(directory.step(attempt, Step.TRAIN).exit).divergence
    except (FileNotFoundError, ValidationError):
        return None


def tree_with_tag(job: Job, directory: JobDir, checked: CheckedConfig) -> Path | None:
    """Return the output of the earlier attempt that holds the tag to merge; None where this attempt's is to have it."""
    tag = checked.section.merge.tag
    if tag == LAST:
        return None
    course = _course(checked, _progress(directory, job.attempt, checked))
    courses = _courses(directory, job.attempt - 1, course)
    trees = (tree for number, tree in _trees_before(directory, job.attempt) if courses[number].is_sound(Tag.parse(tag)))
    return next((tree for tree in trees if complete(tree, tag, _expected(checked))), None)


def _expected(checked: CheckedConfig) -> Expected:
    return Expected(checked.prefix, checked.ranks, checked.needs_strategy)


def _trees_before(directory: JobDir, attempt: int) -> Iterator[tuple[int, Path]]:
    """Yield the trees with saves of earlier attempts, with the attempt's number: those with newer ones first."""
    for number in range(attempt - 1, 0, -1):
        yield number, directory.earlier_output(number)
        yield number, directory.resume_from(number)


def _newest(trees: Iterable[tuple[int, Path]], run: Expected, courses: Mapping[int, Course]) -> Found:
    """Return the newest save that the first of `trees` has which has one, and why it is not a newer one."""
    obstacle = None
    for number, tree in trees:
        found = newest_useful(tree, run, courses[number])
        obstacle = obstacle or found.obstacle
        if found.point is not None:
            return Found(found.point, obstacle)
    return Found(None, obstacle)


def _courses(directory: JobDir, last: int, course: Course) -> dict[int, Course]:
    """Return the course of each attempt up to the `last`: with the step from which on its saves are not to be trusted.

    A divergence says so of the saves of its own attempt, and of those that this one came from.
    """
    courses, bounds = {}, []
    for number in range(last, 0, -1):
        if (divergence := how_it_diverged(directory, number)) is not None:
            began = TakenUp.read(directory.resume_record(number)).tag
            bounds.append(_wrong_from(divergence, began, course.schedule))
        courses[number] = replace(course, wrong_from=min(bounds, default=None))
    return courses


def _wrong_from(divergence: Divergence, began: str | None, schedule: Schedule) -> int:
    """Return the step from which on saves may be of a training that had gone wrong.

    A clean step confirms the saves before it, and the one that its attempt began with, whatever its number: with
    data sinking MindFormers 0.8 counts the steps of a resumed training from too low a one. Without any clean step that
    save itself is in doubt.
    """
    tag = None if began is None else Tag.parse(began)
    saved = (None if tag is None else number_of(tag, schedule)) or 0
    return saved if divergence.sound is None else max(divergence.sound, saved + 1)


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
