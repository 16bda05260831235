"""What the page says of a job in one row."""

from collections import Counter
from collections.abc import Mapping, Sequence

from daemon.core.results import Result
from daemon.core.states import Job, State
from daemon.face import signs
from daemon.face.curve import spark
from daemon.face.digest import OtherJob
from daemon.face.status import JobStatus
from daemon.face.web.asking import Asked
from daemon.face.web.rows import Row
from handlers.rank_log.advice import parted
from handlers.rank_log.progress import Progress
from handlers.units.byte_sizes import format_size
from handlers.units.devices import format_devices
from handlers.units.durations import format_duration

SIGNS = {
    State.QUEUED: signs.WAITING,
    State.PREPARING: signs.RUNNING,
    State.SUBMITTED: signs.WAITING,
    State.TRAINING: signs.RUNNING,
    State.MERGING: signs.RUNNING,
    State.EVALUATING: signs.RUNNING,
    State.DONE: signs.DONE,
    State.FAILED: signs.FAILED,
    State.CANCELLED: signs.LEFT_OUT,
    State.REJECTED: signs.FAILED,
}


def row_of(job: Job, asked: Asked, **cells: str) -> Row:
    """Return the row of a job with what any of them says, and `cells`."""
    return Row(str(job.id), asked.url(f"/jobs/{job.id}"), job.state, {**_common(job, asked), **cells})


def running_row(status: JobStatus, losses: Sequence[float], asked: Asked) -> Row:
    """Return the row of a job at work; `losses` are those of its curve."""
    return row_of(status.job, asked, **progress_cells(status.progress, asked), spark=spark(losses))


def progress_cells(progress: Progress | None, asked: Asked) -> Mapping[str, str]:
    """Return how far a training is; nothing before its first step."""
    if progress is None:
        return {}
    cells = {
        "progress": asked.say("epoch", epoch=progress.epoch, epochs=progress.epochs),
        "step": f"{progress.step}/{progress.steps}",
        "loss": f"{progress.loss:.4g}",
    }
    if progress.seconds_per_step is not None:
        cells["speed"] = asked.say("speed", seconds=f"{progress.seconds_per_step:.3g}")
    if progress.eta_seconds is not None:
        cells["left"] = asked.say("left", time=format_duration(progress.eta_seconds))
    return cells


def in_words(cells: Mapping[str, str], asked: Asked) -> tuple[str, ...]:
    """Return what `progress_cells` tells, where no column says what each is."""
    loss = asked.words.frame("loss", loss=cells["loss"]) if "loss" in cells else ""
    return cells.get("progress", ""), loss, cells.get("left", "")


def ended_row(job: Job, result: Result | None, asked: Asked) -> Row:
    """Return the row of a job that is over."""
    came_to = asked.words.joined(*came_to_parts(result, asked)) if job.state is State.DONE else ""
    return row_of(job, asked, came_to=came_to)


def came_to_parts(result: Result | None, asked: Asked) -> tuple[str, ...]:
    """Return what a job came to, in a few words each."""
    if result is None:
        return ()
    loss = "" if result.final_loss is None else asked.words.frame("loss", loss=f"{result.final_loss:.4g}")
    return tuple(part for part in (loss, "" if result.bytes is None else format_size(result.bytes)) if part)


def others_in_words(others: Sequence[OtherJob], asked: Asked, *, is_alone: bool) -> list[str]:
    """Return how many of a night's other jobs came to what; `is_alone` where nothing says that runs are told of."""
    counts = Counter(other.job.state for other in others)
    counted = (f"{counts[state]} {asked.words.say('states', state)}" for state in reversed(State) if counts[state])
    text = asked.words.joined(*counted)
    return [] if not text else [text if is_alone else asked.say("other_jobs", text=text)]


def why(job: Job, asked: Asked) -> str:
    """Return why a job is where it is, in a line; cause and remedy of a failure are where there is room for them."""
    has_title = job.state.is_over or not asked.words.is_of_reasons  # else it says first how glmd went on
    return reason_text(job.reason, job.code if has_title else "", asked)


def reason_text(reason: str, code: str, asked: Asked) -> str:
    """Return what a reason says happened, behind what its code means in some words.

    Without these where the reason says the same in the reader's language; what a rank printed does not.
    """
    title = asked.words.title(code) if code.startswith("rank.") or not asked.words.is_of_reasons else ""
    return asked.words.joined(title, parted(reason).happened)


def _common(job: Job, asked: Asked) -> dict[str, str]:
    return {
        "label": f"{job.id} {job.name}",
        "id": str(job.id),
        "name": job.name,
        "sign": SIGNS[job.state],
        "state": asked.words.say("states", job.state),
        "devices": format_devices(job.devices) if job.devices else job.shape,
        "attempt": asked.words.frame("attempt", attempt=job.attempt) if job.attempt > 1 else "",
        "reason": why(job, asked),
        "changed_at": job.changed.isoformat(),
    }
