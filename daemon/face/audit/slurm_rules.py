"""What must be true of trainings on nodes of Slurm: what their files say, and what Slurm has of this root."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from daemon.core.root import Root
from daemon.core.slurm_names import SlurmName, known_id
from daemon.core.states import Job, State
from daemon.face.audit.disagreement import START_GLMD, Disagreement, Kind
from daemon.face.audit.job_files import JobFiles
from daemon.face.audit.ledger import Ledger
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir
from handlers.records.step_exit import StepExit
from handlers.slurm.queue import Row

ON_ITS_WAY = 600.0
"""Seconds in which a daemon and Slurm may yet come to agree: slurmctld hears of an end minutes late, and what it does
not know any more is asked for again before it counts."""

Queue = Callable[[], Sequence[Row] | None]
"""Returns what waits or runs in Slurm of the user who asks; None where Slurm does not say."""


def nodes_disagreements(job: Job, files: JobFiles, *, is_daemon_up: bool) -> Iterator[Disagreement]:
    """Yield what the files of a job's attempts on nodes have against each other, and against its row."""
    for records in files.steps:
        nodes = NodesDir(records.directory)
        if records.step is Step.TRAIN and nodes.owner.exists() and not nodes.intent.exists():
            what = f"attempt {records.attempt} began in Slurm, and intent.json is not there, which has its name"
            repair = f"take it from a backup; or glmd cancel {job.id}, then glmd retry {job.id}"
            yield Disagreement(Kind.OWNER_WITHOUT_INTENT, job.id, nodes.owner, what, repair)
    if job.state not in {State.SUBMITTED, State.TRAINING}:
        return
    records = files.step(job.attempt, Step.TRAIN)
    nodes, may_wait = NodesDir(records.directory), is_daemon_up and _is_young(job)
    if isinstance(ended := records.exit, StepExit):
        # Of some ends Slurm's word says what they mean, and a node that is lost is waited for.
        age = (datetime.now(UTC) - ended.ended).total_seconds()
        if not is_daemon_up or age > ON_ITS_WAY:
            what = f"the train {ended.outcome} at {ended.ended:%Y-%m-%d %H:%M:%S}, and the job is still {job.state}"
            yield Disagreement(Kind.EXIT_CONTRADICTS, job.id, records.directory.exit, what, START_GLMD)
    elif not nodes.owner.exists() and not nodes.intent.exists():
        what = f"it is {job.state}, and nothing says that it was to be submitted"
        yield Disagreement(Kind.FILE_MISSING, job.id, nodes.intent, what, f"glmd cancel {job.id}, and drop it again")
    elif job.state is State.TRAINING and not nodes.owner.exists() and not may_wait:
        what = f"it is {job.state}, and no job of Slurm's has begun"
        yield Disagreement(Kind.NO_SHIM, job.id, nodes.owner, what, START_GLMD)


def queue_disagreements(ledger: Ledger, root: Root, queue: Queue, *, is_daemon_up: bool) -> Iterator[Disagreement]:
    """Yield what Slurm and the store have against each other; nothing where Slurm does not say what it has."""
    mine = known_id(root)
    rows = queue() if mine is not None else None
    if rows is None:
        return
    there: dict[SlurmName, list[Row]] = defaultdict(list)
    for row in rows:
        name = SlurmName.of(row.name)
        if name is not None and name.root == mine:
            there[name].append(row)
    for name, found in there.items():
        yield from _of_none(name, found, ledger, root)
        yield from _several(name, found, root)
    for job in ledger.jobs([State.SUBMITTED, State.TRAINING]):
        if job.nodes and SlurmName(mine or "", job.id, job.attempt, Step.TRAIN) not in there:
            yield from _unknown(job, root, is_daemon_up=is_daemon_up)


def _of_none(name: SlurmName, found: Sequence[Row], ledger: Ledger, root: Root) -> Iterator[Disagreement]:
    job = ledger.readable(name.job)
    if job is None and ledger.label(name.job) is not None:  # its row cannot be read, which is said elsewhere
        return
    if job is None:
        what, where = "the store knows no such job", root.jobs
    elif name.attempt != job.attempt or (job.state.is_over and name.step == Step.TRAIN):
        if _is_young(job):
            return
        what, where = f"the job is {job.state}, attempt {job.attempt}", job.directory(root.path).path
    else:
        return
    for row in found:
        text = f"Slurm has job {row.id}, {row.name}, and {what}"
        repair = f"scancel --name={row.name} {row.id}"
        yield Disagreement(Kind.SLURM_JOB_OF_NONE, name.job if job else None, where, text, repair)


def _several(name: SlurmName, found: Sequence[Row], root: Root) -> Iterator[Disagreement]:
    first, *others = sorted(found, key=lambda row: int(row.id))
    for row in others:
        text = f"Slurm has job {row.id} as {row.name}, which is job {first.id} as well"
        repair = f"a glmd that runs cancels it by itself; else scancel --name={row.name} {row.id}"
        yield Disagreement(Kind.SLURM_DUPLICATE, name.job, root.jobs, text, repair)


def _unknown(job: Job, root: Root, *, is_daemon_up: bool) -> Iterator[Disagreement]:
    step = job.directory(root.path).step(job.attempt, Step.TRAIN)
    nodes = NodesDir(step)
    was_taken = nodes.job.exists() or nodes.owner.exists()
    if not was_taken or step.exit.exists() or (is_daemon_up and _is_young(job)):
        return
    what = f"the job is {job.state}, nothing of its name waits or runs in Slurm, and no exit.json says how it ended"
    repair = "the running glmd finds out by itself; see glmd logs" if is_daemon_up else START_GLMD
    yield Disagreement(Kind.SUBMITTED_UNKNOWN, job.id, nodes.slurm, what, repair)


def _is_young(job: Job) -> bool:
    """Say whether the job came where it is a moment ago."""
    return 0 <= (datetime.now(UTC) - job.changed).total_seconds() < ON_ITS_WAY
