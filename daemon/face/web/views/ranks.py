"""The ranks of a job beside each other: what each is at, how far it is, and who lags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from daemon.core.states import Job, State
from daemon.face import signs
from daemon.face.nodes import records_of
from daemon.face.ranks import RankStatus, logs_of, pids_of, ranks_of, slowest
from daemon.face.web.asking import Asked, Page
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.rows import Live, Row
from handlers.mindformers.log_lines import PREFIX
from handlers.records.job_dir import Step
from handlers.records.record import no_record
from handlers.records.step_exit import StepExit
from handlers.units.durations import format_duration

_LINE = 400
"""Characters of a rank's last line."""


@dataclass(frozen=True)
class Ranks:
    """What the page shows."""

    job: Job
    live: Live
    is_training: bool


def ranks(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    job = _job(asked)
    is_training = job.state is State.TRAINING
    content = Ranks(job, _live(job, asked), is_training)
    topic = "" if job.state.is_over else f"ranks:{job.id}"
    return Page(
        "ranks.html", f"{job.id} {job.name}: {asked.say('ranks')}", content, "jobs", topic, content.live.revision
    )


def live(asked: Asked) -> Live:
    """Return what of the page may change. Raises NotThereError, StoreError, OSError."""
    return _live(_job(asked), asked)


def _job(asked: Asked) -> Job:
    with open_store(asked) as store:
        return job_of(store, asked)


def _live(job: Job, asked: Asked) -> Live:
    root = asked.site.root.path
    found = ranks_of(job, root)
    if job.state is State.TRAINING:
        pids = pids_of(job, root)
        rows = [_at_work(job, status, found, pids.get(status.rank), asked) for status in found]
    else:
        ended = how_ended(job, asked)
        rows = [_over(job, status, ended, asked) for status in found if status.line or ended]
    directory = job.directory(root)
    files = (
        *logs_of(job, root),
        directory.events,
        directory.step(job.attempt, Step.TRAIN).exit,
        *records_of(job, root),
    )
    return Live({}, {"ranks": tuple(rows)}, f"{job.state} {job.attempt} {bool(rows)}", files)


def _at_work(job: Job, status: RankStatus, found: Sequence[RankStatus], pid: int | None, asked: Asked) -> Row:
    slow = slowest(found)
    how = "lags" if status.lags else "slow" if slow is not None and slow.rank == status.rank else "runs"
    cells = {
        "sign": signs.RUNNING if how == "runs" else "▲",
        "phase": asked.words.say("ranks", status.phase),
        "pid": "" if pid is None else str(pid),
    }
    return _row(job, status, asked, how, cells)


def _over(job: Job, status: RankStatus, exit_: StepExit | None, asked: Asked) -> Row:
    ended = (
        next((process for process in exit_.processes if process.rank == status.rank), None)
        if exit_ is not None
        else None
    )
    if exit_ is None or ended is None:
        return _row(job, status, asked, "over", {})
    is_first = exit_.first is not None and exit_.first.rank == status.rank
    how = "done" if ended.exit_code == 0 else "failed" if ended.exit_code is not None or is_first else "ended"
    cells = {
        "pid": str(ended.pid),
        "sign": {"done": signs.DONE, "failed": signs.FAILED, "ended": signs.LEFT_OUT}[how],
        "state": ended.signal or asked.say("exit_code", code=ended.exit_code),
        "quiet": "",
    }
    return _row(job, status, asked, how, cells)


def _row(job: Job, status: RankStatus, asked: Asked, how: str, more: Mapping[str, str]) -> Row:
    progress = status.progress
    speed = None if progress is None else progress.seconds_per_step
    cells = {
        "rank": asked.words.frame("rank", rank=status.rank),
        "device": "" if status.device is None else str(status.device),
        "node": status.node,
        "step": "" if status.number is None else str(status.number),
        "speed": "" if speed is None else f"{speed:.3g}",
        "behind": str(status.behind) if status.number is not None else "",
        "quiet": "" if status.quiet is None or job.state.is_over else format_duration(status.quiet),
        "line": " ".join(PREFIX.sub("", status.line[:_LINE]).split()),
        "state": asked.words.say("ranks", how) if how in {"lags", "slow", "runs"} else "",
    }
    return Row(str(status.rank), asked.url(f"/jobs/{job.id}/log", rank=status.rank), how, {**cells, **more})


def how_ended(job: Job, asked: Asked) -> StepExit | None:
    """Return how the training ended in the present attempt; None where no record tells. Raises OSError."""
    path = job.directory(asked.site.root.path).step(job.attempt, Step.TRAIN).exit
    try:
        return StepExit.read(path)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise no_record(path, error) from error
