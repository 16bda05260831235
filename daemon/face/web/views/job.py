"""One job: where it stands and why, its curve, its ranks, its history and its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.core.read_jobs import Transition
from daemon.core.states import Job, State
from daemon.core.web_plan import Action
from daemon.face.needs import need_of_job
from daemon.face.nodes import in_slurm, records_of
from daemon.face.ranks import RankStatus, logs_of, ranks_of, slowest
from daemon.face.status import Detail, detail, job_status
from daemon.face.web.asking import Asked, Page
from daemon.face.web.failures import Failure, failure_of, failures_of
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.job_rows import SIGNS, came_to_parts, progress_cells, why
from daemon.face.web.rows import Live, Row
from daemon.face.web.views.act import possible
from handlers.rank_log.advice import parted
from handlers.rank_log.progress import Progress

_SUBSETS = 60
"""Values in the table behind a curve."""


@dataclass(frozen=True)
class JobPage:
    """What the page shows."""

    job: Job
    detail: Detail
    live: Live
    why: str
    came_to: str
    commands: tuple[str, ...]
    table: Sequence[tuple[int, float]]
    """Step and loss: what the curve shows, for anyone who does not see it."""
    failure: Failure | None
    """How its last attempt failed; None where it did not."""
    earlier: int | None
    """The attempt before that failed, where glmd went on after it."""
    past: Sequence[tuple[Transition, str]]
    """What it went through, each with what happened; without what `failure` tells."""
    slurm: Mapping[str, str]
    """What is known of its job in Slurm, by the names of [facts]; nothing for a job of this host."""
    actions: tuple[Action, ...]
    """What the page lets people do with it."""


def job(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    with open_store(asked) as store:
        found = job_of(store, asked)
        known = detail(store, found, asked.site.root.path, rows=10 * _SUBSETS)
        is_stuck = any(other.id == found.id for other in store.stuck())
    need = need_of_job(found, is_stuck=is_stuck)
    training = known.training
    points = [] if training is None else training.points()
    failures = failures_of(found, known.history)
    failure = None
    if found.state in {State.FAILED, State.REJECTED}:
        failure = failure_of(found, found.attempt, *failures[found.attempt], asked)
    content = JobPage(
        job=found,
        detail=known,
        live=_live(found, asked),
        why=why(found, asked),
        came_to=asked.words.joined(*came_to_parts(known.result, asked)),
        commands=() if need is None or (failure is not None and not is_stuck) else need.commands,
        table=points[:: max(1, len(points) // _SUBSETS)],
        failure=failure,
        earlier=found.attempt - 1 if found.attempt - 1 in failures and found.attempt not in failures else None,
        past=[
            (step, "" if failure is not None and step is known.history[-1] else parted(step.reason).happened)
            for step in known.history
        ],
        slurm={} if known.slurm is None else known.slurm.facts(),
        actions=possible(found, asked),
    )
    scripts = ("uPlot.iife.min.js", "charts.js") if points or not found.state.is_over else ()
    watched = "" if found.state.is_over else f"job:{found.id}"
    title, revision = f"{found.id} {found.name}", content.live.revision
    return Page("job.html", title, content, tab="jobs", live=watched, revision=revision, scripts=scripts)


def live(asked: Asked) -> Live:
    """Return what of the page may change. Raises NotThereError, StoreError, OSError."""
    with open_store(asked) as store:
        found = job_of(store, asked)
    return _live(found, asked)


def _live(job: Job, asked: Asked) -> Live:
    cells = {"sign": SIGNS[job.state], "state": asked.words.say("states", job.state), "reason": why(job, asked)}
    ranks: tuple[RankStatus, ...] = ()
    if job.state is State.TRAINING:
        progress = job_status(job, asked.site.root.path).progress
        cells |= progress_cells(progress, asked)
        cells["percent"] = "" if progress is None else f"{_part(progress):.0f}"
        ranks = ranks_of(job, asked.site.root.path)
        cells["lags"] = _lagging(ranks, asked)
    has_begun = bool(cells.get("percent"))  # the page has a part for that
    placed = None if job.state.is_over else in_slurm(job, asked.site.root.path)
    facts = "" if placed is None else "; ".join(placed.facts().values())
    revision = f"{job.state} {job.attempt} {job.code} {job.cancel} {has_begun} {facts}"
    rows = tuple(_rank_row(job, status, asked) for status in ranks)
    logs = logs_of(job, asked.site.root.path) if ranks else ()
    files = (*logs, *records_of(job, asked.site.root.path))
    return Live(cells, {"ranks": rows} if rows else {}, revision, files)


def _part(progress: Progress) -> float:
    """Return how much of the training is done, in percent."""
    return 100 * ((progress.epoch - 1) * progress.steps + progress.step) / max(1, progress.epochs * progress.steps)


def _lagging(ranks: Sequence[RankStatus], asked: Asked) -> str:
    def named(status: RankStatus) -> str:
        return asked.words.rank_at(str(status.rank), None, status.node)

    behind = [asked.say("lags", rank=named(status), steps=status.behind) for status in ranks if status.lags]
    slow = slowest(ranks)
    return asked.words.joined(*behind, "" if slow is None or slow.lags else asked.say("slow", rank=named(slow)))


def _rank_row(job: Job, status: RankStatus, asked: Asked) -> Row:
    cells = {
        "rank": asked.words.frame("rank", rank=status.rank),
        "node": status.node,
        "step": "" if status.number is None else f"{asked.say('step')} {status.number}",
        "behind": f"-{status.behind}" if status.behind else "",
    }
    return Row(
        str(status.rank), asked.url(f"/jobs/{job.id}/log", rank=status.rank), "lags" if status.lags else "runs", cells
    )
