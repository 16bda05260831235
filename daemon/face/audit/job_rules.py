"""What must be true of one job: its directory holds what its state says, and its shims are where they should be."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from daemon.core.life import START_ALLOWANCE, Life, life
from daemon.core.living import living
from daemon.core.root import Root
from daemon.core.states import ON_DEVICES, STEP_OF, Job, State
from daemon.face.audit.disagreement import START_GLMD, Disagreement, Kind
from daemon.face.audit.job_files import JobFiles, PlanOutline, read_record
from daemon.face.audit.ledger import Row
from daemon.face.audit.slurm_rules import nodes_disagreements
from handlers.records.checked import Checked
from handlers.records.inputs import Inputs
from handlers.records.job_dir import Step, StepDir
from handlers.records.job_plan import JobPlan
from handlers.records.step_exit import Outcome, StepExit

NEWER_STORE = "take glmd.db from a newer backup"
WAS_BEING_WRITTEN = "it was being written when its writer was killed"
_WITH_PLAN = frozenset({State.TRAINING, State.MERGING, State.EVALUATING, State.DONE})


@dataclass(frozen=True)
class Look:
    """What a look at a root goes by."""

    root: Path
    is_daemon_up: bool
    claims: frozenset[str]
    """The tokens of the claims that are not finished: their jobs' directories are still being filled."""
    without_files: frozenset[str] = frozenset()
    """The directories of jobs whose output has its manifest alone: the root was made of a backup, which says so."""


def job_disagreements(row: Row, files: JobFiles, look: Look) -> Iterator[Disagreement]:
    """Yield what one job's row and its directory have against each other."""
    job = row.job
    if job.state is State.REJECTED:
        return
    if not files.is_there:
        if not job.state.is_over and row.claim not in look.claims:
            what = f"it is {job.state}, and has no directory"
            repair = f"glmd cancel {job.id}, and drop its file again" if row.is_of_a_drop else START_GLMD
            yield Disagreement(Kind.JOB_WITHOUT_DIRECTORY, job.id, files.directory.path, what, repair)
        return
    if row.claim not in look.claims:
        yield from _missing_files(row, files)
    yield from _records(row, files)
    if job.nodes:
        yield from nodes_disagreements(job, files, is_daemon_up=look.is_daemon_up)
    yield from _present_step(row, files, look)
    yield from _stray_shims(row, files)
    yield from _past_exits(row, files)
    yield from _temporaries(row, files)


def _missing_files(row: Row, files: JobFiles) -> Iterator[Disagreement]:
    job = row.job
    if job.state in {State.FAILED, State.CANCELLED}:  # it may have ended before they were written
        return
    wanted = ["submitted.yaml", "config.yaml"] if row.is_of_a_drop else ["plan.json"]
    if job.state in _WITH_PLAN and "plan.json" not in wanted:
        wanted.append("plan.json")
    for name in wanted:
        if name not in files.names:
            what = f"it is {job.state}, and this file is not there"
            repair = "take it from a backup" if job.state.is_over else f"glmd cancel {job.id}, and drop its file again"
            yield Disagreement(Kind.FILE_MISSING, job.id, files.directory.path / name, what, repair)


def _records(row: Row, files: JobFiles) -> Iterator[Disagreement]:
    """Yield the records that cannot be read, and attempts that the store knows nothing of."""
    number, plan = row.job.id, f"{files.path}/plan.json"
    is_done = row.job.state is State.DONE
    if "plan.json" in files.names and isinstance(what := read_record(PlanOutline if is_done else JobPlan, plan), str):
        retry = f"glmd retry {number} writes it again, once the job is over"
        repair = "take it from a backup; the job is done, and no longer needs it" if is_done else retry
        yield Disagreement(Kind.UNREADABLE, number, Path(plan), what, repair)
    checked = f"{files.path}/checked.json"
    if "checked.json" in files.names and not is_done and isinstance(what := read_record(Checked, checked), str):
        repair = "remove it: the job's file is checked again, by the rules of today"
        yield Disagreement(Kind.UNREADABLE, number, Path(checked), what, repair)
    inputs = f"{files.path}/inputs.json"
    if "inputs.json" in files.names and isinstance(what := read_record(Inputs, inputs), str):
        repair = "remove it: nothing needs it but the output's manifest, to say what it was trained on"
        yield Disagreement(Kind.UNREADABLE, number, Path(inputs), what, repair)
    for step in files.steps:
        for name, record in (("shim.json", step.shim), ("exit.json", step.exit)):
            if isinstance(record, str):
                repair = f"remove it if no process of job {number} is left, then glmd retry {number}"
                yield Disagreement(Kind.UNREADABLE, number, step.directory.path / name, record, repair)
        if step.attempt > row.job.attempt:
            what = f"records of attempt {step.attempt}, and the store knows of {row.job.attempt}"
            where = step.directory.path
            yield Disagreement(Kind.EXIT_CONTRADICTS, number, where, what, NEWER_STORE)


def _present_step(row: Row, files: JobFiles, look: Look) -> Iterator[Disagreement]:
    """Yield what is wrong with the step that the job is said to be at."""
    job = row.job
    step = STEP_OF.get(job.state)
    if step is None or (job.nodes and step is Step.TRAIN):  # that is the matter of daemon.face.audit.slurm_rules
        return
    records = files.step(job.attempt, step)
    if records.is_slurms:
        return
    status = _life(records.directory)
    if status is not Life.RUNNING and any(one.shim for one in living(Root(look.root), job.id)):
        return  # it runs, whatever became of its records
    if status is Life.ENDED and isinstance(ended := records.exit, StepExit):
        what = f"the {step} {ended.outcome} at {ended.ended:%Y-%m-%d %H:%M:%S}, and the job is still {job.state}"
        yield Disagreement(Kind.EXIT_CONTRADICTS, job.id, records.directory.exit, what, START_GLMD)
    elif status is Life.DIED:
        what = f"it is {job.state}; its shim is gone, and has left no exit.json"
        yield Disagreement(Kind.NO_SHIM, job.id, records.directory.shim, what, START_GLMD)
    elif status is Life.NONE and not _may_wait(row, look):
        what = f"it is {job.state}, and its shim never started"
        yield Disagreement(Kind.NO_SHIM, job.id, records.directory.shim, what, START_GLMD)


def _may_wait(row: Row, look: Look) -> bool:
    """Say whether nobody is at the step yet, and that is as it should be: an evaluation waits for devices for days."""
    if look.is_daemon_up and row.job.state is State.EVALUATING:
        return True
    age = (datetime.now(UTC) - row.job.changed).total_seconds()
    return look.is_daemon_up and 0 <= age < START_ALLOWANCE


def _stray_shims(row: Row, files: JobFiles) -> Iterator[Disagreement]:
    job = row.job
    present = (job.attempt, STEP_OF[job.state]) if job.state in STEP_OF else None
    for step in files.steps:
        if (step.attempt, step.step) != present and (pid := step.living) is not None:
            what = f"its shim (pid {pid}) runs, and the job is {job.state}, attempt {job.attempt}"
            repair = f"kill {pid} ends it and its ranks; check that it is still this process: ps -p {pid}"
            yield Disagreement(Kind.STRAY_SHIM, job.id, step.directory.shim, what, repair)


def _past_exits(row: Row, files: JobFiles) -> Iterator[Disagreement]:
    """Yield the exits that the state contradicts: of the step that brought the job where it is, and of its training."""
    job = row.job
    if job.state in {State.FAILED, State.CANCELLED} and not {"submitted.yaml", "plan.json"} & files.names:
        return  # the directory was removed, and what its shim had still to write made of it again
    before = row.moves[-2] if len(row.moves) > 1 else None
    if job.state.is_over and before is not None and before.state in STEP_OF:
        records = files.step(before.attempt, STEP_OF[before.state])
        ended = records.exit if isinstance(records.exit, StepExit) else None
        is_completed = ended is not None and ended.outcome is Outcome.COMPLETED
        if _contradicts(before.state, job.state, is_completed=is_completed, has_ended=ended is not None):
            outcome = ended.outcome if ended is not None else "is not there"
            what = f"the job is {job.state} after its {STEP_OF[before.state]}, and exit.json {outcome}"
            yield Disagreement(Kind.EXIT_CONTRADICTS, job.id, records.directory.exit, what, _repair_of_end(row))
    if job.state in {State.MERGING, State.EVALUATING, State.DONE} and row.is_of_a_drop and not _was_trained(row, files):
        what = f"the job is {job.state}, and no attempt's training ended"
        where = files.directory.step(job.attempt, Step.TRAIN).exit
        yield Disagreement(Kind.EXIT_CONTRADICTS, job.id, where, what, _repair_of_end(row))


def _contradicts(was: State, state: State, *, is_completed: bool, has_ended: bool) -> bool:
    """Say whether a job cannot have come from `was` to `state` with that end of its step."""
    if state is State.DONE:
        return not (has_ended if was is State.EVALUATING else is_completed)  # it is done whatever is measured
    if state is State.CANCELLED and was not in {State.SUBMITTED, State.TRAINING}:
        return False  # somebody may ask for it while the output is judged
    return is_completed


def _repair_of_end(row: Row) -> str:
    if row.job.state in {State.FAILED, State.CANCELLED}:
        return f"glmd retry {row.job.id} runs the step again that did not succeed"
    return f"see what there is in merged/ (glmd verify); glmd logs {row.job.id} says what happened"


def _was_trained(row: Row, files: JobFiles) -> bool:
    """Say whether a training ended: not always well, for one that failed after its last save is merged anyway."""
    trainings = [step for step in files.steps if step.step is Step.TRAIN and step.attempt <= row.job.attempt]
    if any(step.exit is not None for step in trainings):
        return True
    return any(_life(step.directory) is Life.DIED for step in trainings)


def _temporaries(row: Row, files: JobFiles) -> Iterator[Disagreement]:
    """Yield the temporary files that no living shim writes, where daemon.core.temporaries looks for them."""
    places = [("", files.names), *((f"attempts/{name}", names) for name, names in files.attempts.items())]
    places += [(f"attempts/{step.attempt}/{step.step}", step.names) for step in files.steps if step.living is None]
    for place, names in places:
        for name in sorted(name for name in names if name.startswith(".") and name.endswith(".tmp")):  # as PATTERN
            repair = "remove it" if row.job.state.is_over else "restart glmd, which removes it"
            where = files.directory.path / place / name
            yield Disagreement(Kind.TEMPORARY_LEFT, row.job.id, where, WAS_BEING_WRITTEN, repair)


def needs_operator(job: Job, root: Path) -> bool:
    """Say whether processes of `job` may still be on its devices, so that it keeps them though it is over."""
    for step in ON_DEVICES if job.state.is_over else ():
        ended = read_record(StepExit, job.directory(root).step(job.attempt, step).exit)
        if isinstance(ended, StepExit) and ended.needs_operator:
            return True
    return job.state.is_over and bool(living(Root(root), job.id))


def _life(records: StepDir) -> Life | None:
    """Return what has become of a step's shim; None where its record cannot be read, which is said elsewhere."""
    try:
        return life(records)[0]
    except (OSError, ValidationError):
        return None
