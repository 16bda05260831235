"""What must be true of one job: its directory holds what its state says, and its shims are where they should be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from daemon.living import living
from daemon.root import Root
from daemon.runner import Life, life
from daemon.starting import START_ALLOWANCE
from daemon.state_check.disagreement import Disagreement, Kind
from daemon.state_check.ledger import Row
from daemon.states import STEP_OF, Job, State
from daemon.temporaries import living_shim
from handlers.job_dir import JobDir, Step, StepDir
from handlers.job_plan import JobPlan
from handlers.outcome import Outcome, StepExit
from handlers.process import ShimRecord

_START_GLMD = "start glmd, which goes on from there (systemctl start glmd)"
_WITH_PLAN = frozenset({State.TRAINING, State.MERGING, State.DONE})


@dataclass(frozen=True)
class Look:
    """What a look at a root goes by."""

    root: Path
    is_daemon_up: bool
    claims: frozenset[str]
    """The tokens of the claims that are not finished: their jobs' directories are still being filled."""


def job_disagreements(row: Row, look: Look) -> Iterator[Disagreement]:
    """Yield what one job's row and its directory have against each other."""
    job, directory = row.job, row.job.directory(look.root)
    if job.state is State.REJECTED:
        return
    if not directory.path.is_dir():
        if not job.state.is_over and row.claim not in look.claims:
            what = f"it is {job.state}, and has no directory"
            repair = f"glmd cancel {job.id}, and drop its file again" if row.is_of_a_drop else _START_GLMD
            yield Disagreement(Kind.JOB_WITHOUT_DIRECTORY, job.id, directory.path, what, repair)
        return
    if row.claim not in look.claims:
        yield from _missing_files(row, directory)
    yield from _records(row, directory)
    yield from _present_step(row, directory, look)
    yield from _stray_shims(row, directory)
    yield from _past_exits(row, directory)


def _missing_files(row: Row, directory: JobDir) -> Iterator[Disagreement]:
    job = row.job
    if job.state in {State.FAILED, State.CANCELLED}:  # it may have ended before they were written
        return
    wanted = [directory.submitted, directory.config] if row.is_of_a_drop else [directory.plan]
    if job.state in _WITH_PLAN and directory.plan not in wanted:
        wanted.append(directory.plan)
    for path in wanted:
        if not path.exists():
            what = f"it is {job.state}, and this file is not there"
            repair = "take it from a backup" if job.state.is_over else f"glmd cancel {job.id}, and drop its file again"
            yield Disagreement(Kind.FILE_MISSING, job.id, path, what, repair)


def _records(row: Row, directory: JobDir) -> Iterator[Disagreement]:
    """Yield the records that cannot be read, and attempts that the store knows nothing of."""
    if directory.plan.exists() and (what := _fault(JobPlan.read, directory.plan)):
        repair = f"glmd retry {row.job.id} writes it again, once the job is over"
        yield Disagreement(Kind.UNREADABLE, row.job.id, directory.plan, what, repair)
    for step in _steps(directory):
        for path, read in ((step.shim, ShimRecord.read), (step.exit, StepExit.read)):
            if path.exists() and (what := _fault(read, path)):
                repair = f"remove it if no process of job {row.job.id} is left, then glmd retry {row.job.id}"
                yield Disagreement(Kind.UNREADABLE, row.job.id, path, what, repair)
        attempt = int(step.path.parent.name)
        if attempt > row.job.attempt:
            what = f"records of attempt {attempt}, and the store knows of {row.job.attempt}"
            yield Disagreement(Kind.EXIT_CONTRADICTS, row.job.id, step.path, what, "take glmd.db from a newer backup")


def _present_step(row: Row, directory: JobDir, look: Look) -> Iterator[Disagreement]:
    """Yield what is wrong with the step that the job is said to be at."""
    job = row.job
    if job.state not in STEP_OF:
        return
    step = STEP_OF[job.state]
    records = directory.step(job.attempt, step)
    status = _life(records)
    if status is not Life.RUNNING and any(one.shim for one in living(Root(look.root), job.id)):
        return  # it runs, whatever became of its records
    if status is Life.ENDED and (ended := _ended(records)) is not None:
        what = f"the {step} {ended.outcome} at {ended.ended:%Y-%m-%d %H:%M:%S}, and the job is still {job.state}"
        yield Disagreement(Kind.EXIT_CONTRADICTS, job.id, records.exit, what, _START_GLMD)
    elif status is Life.DIED:
        what = f"it is {job.state}; its shim is gone, and has left no exit.json"
        yield Disagreement(Kind.NO_SHIM, job.id, records.shim, what, _START_GLMD)
    elif status is Life.NONE and not _may_be_starting(row, look):
        what = f"it is {job.state}, and no shim was ever there"
        yield Disagreement(Kind.NO_SHIM, job.id, records.shim, what, _START_GLMD)


def _may_be_starting(row: Row, look: Look) -> bool:
    age = (datetime.now(UTC) - row.job.changed).total_seconds()
    return look.is_daemon_up and 0 <= age < START_ALLOWANCE


def _stray_shims(row: Row, directory: JobDir) -> Iterator[Disagreement]:
    job = row.job
    present = directory.step(job.attempt, STEP_OF[job.state]).path if job.state in STEP_OF else None
    for step in _steps(directory):
        if step.path != present and (pid := living_shim(step)) is not None:
            what = f"its shim (pid {pid}) runs, and the job is {job.state}, attempt {job.attempt}"
            repair = f"kill {pid} ends it and its ranks; see that it is still this process: ps -p {pid}"
            yield Disagreement(Kind.STRAY_SHIM, job.id, step.shim, what, repair)


def _past_exits(row: Row, directory: JobDir) -> Iterator[Disagreement]:
    """Yield the exits that the state contradicts: of the step that brought the job where it is, and of its training."""
    job = row.job
    before = row.moves[-2] if len(row.moves) > 1 else None
    if job.state.is_over and before is not None and before.state in STEP_OF:
        records = directory.step(before.attempt, STEP_OF[before.state])
        ended = _ended(records)
        is_completed = ended is not None and ended.outcome is Outcome.COMPLETED
        if is_completed != (job.state is State.DONE) and (ended is not None or job.state is State.DONE):
            said = ended.outcome if ended is not None else "is not there"
            what = f"the job is {job.state} after its {STEP_OF[before.state]}, and exit.json {said}"
            yield Disagreement(Kind.EXIT_CONTRADICTS, job.id, records.exit, what, _repair_of_end(row))
    if job.state in {State.MERGING, State.DONE} and row.is_of_a_drop and not _was_trained(row, directory):
        what = f"the job is {job.state}, and no attempt's training ended"
        where = directory.step(job.attempt, Step.TRAIN).exit
        yield Disagreement(Kind.EXIT_CONTRADICTS, job.id, where, what, _repair_of_end(row))


def _repair_of_end(row: Row) -> str:
    if row.job.state in {State.FAILED, State.CANCELLED}:
        return f"glmd retry {row.job.id} goes on from the step that did not succeed"
    return f"see what there is in merged/ (glmd verify); glmd logs {row.job.id} says what happened"


def _was_trained(row: Row, directory: JobDir) -> bool:
    """Say whether a training ended: not always well, for one that failed after its last save is merged all the same."""
    steps = (directory.step(attempt, Step.TRAIN) for attempt in range(1, row.job.attempt + 1))
    return any(_life(step) in {Life.ENDED, Life.DIED} for step in steps)


def needs_operator(job: Job, root: Path) -> bool:
    """Say whether processes of `job` may still be on its devices, so that it keeps them though it is over."""
    ended = _ended(job.directory(root).step(job.attempt, Step.TRAIN)) if job.state.is_over else None
    if ended is not None and ended.needs_operator:
        return True
    return job.state.is_over and bool(living(Root(root), job.id))


def _steps(directory: JobDir) -> Iterator[StepDir]:
    for attempt in sorted((directory.path / "attempts").glob("[0-9]*")):
        yield from (StepDir(attempt / step) for step in Step if (attempt / step).is_dir())


def _life(records: StepDir) -> Life | None:
    """Return what has become of a step's shim; None where its record cannot be read, which is said elsewhere."""
    try:
        return life(records)[0]
    except (OSError, ValidationError):
        return None


def _ended(records: StepDir) -> StepExit | None:
    try:
        return StepExit.read(records.exit)
    except (OSError, ValidationError):
        return None


def _fault(read: Callable[[Path], object], path: Path) -> str | None:
    """Return why the record at `path` cannot be read; None where it can, or has just gone."""
    try:
        read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"it cannot be read: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    return None
