"""A night: what needs somebody, what each run came to and when it ran, and which files are new."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from daemon.core.states import Job, State
from daemon.face import signs
from daemon.face.digest import RunDetails
from daemon.face.needs import Need, commands_for
from daemon.face.nights import Run, night_of
from daemon.face.ranks import logs_of
from daemon.face.spells import stretches
from daemon.face.status import job_status
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.job_rows import SIGNS, in_words, others_in_words, progress_cells, reason_text, why
from daemon.face.web.night_reads import MOST, NightRead, read_night
from daemon.face.web.rows import Live
from daemon.face.web.strips import Bar, Hour, Scale, span
from handlers.rank_log.advice import filled_in, parted
from handlers.units.byte_sizes import format_size
from handlers.units.durations import format_duration

_FIRST = 1971
"""The year before which no clock of a computer was."""
_NEEDS = 50
"""That are shown."""
_AGAIN = timedelta(minutes=5)
"""After which the strips of a night that goes on are drawn again."""
_BUSY = {State.QUEUED: "waits", State.MERGING: "merges", State.EVALUATING: "merges"}
"""How style sheets tell stretches of a job's time; in every other state it trains."""


@dataclass(frozen=True)
class NeedShown:
    """One thing that needs somebody."""

    need: Need
    what: str
    kind: str
    why: str
    remedy: str
    commands: tuple[str, ...]


@dataclass(frozen=True)
class NightRow:
    """A run of a cycle, or another job."""

    job: int | None
    label: str
    sign: str
    state: str
    """What style sheets tell it by."""
    word: str
    due: str
    took: str
    loss: str
    change: str
    why: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class NewFile:
    """Where a link of `latest` was led."""

    prefix: str
    target: str
    size: str
    job: int | None


@dataclass(frozen=True)
class NightPage:
    """What the page shows."""

    night: date
    hours_text: str
    """From when to when it is."""
    earlier: date | None
    later: date | None
    totals: str
    needs: tuple[NeedShown, ...]
    more_needs: int
    hours: Sequence[Hour]
    runs: tuple[NightRow, ...]
    others: tuple[NightRow, ...]
    more: int
    """Runs and jobs that are not shown."""
    files: tuple[NewFile, ...]
    live: Live


def night(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    wanted = wanted_night(asked)
    if not asked.site.root.store.exists():
        return Page("night.html", asked.say("night"), None, tab="night")
    found = read_night(asked.site, wanted)
    content = _content(found, asked)
    title = asked.words.say("night", "title", night=_day(content.night, asked))
    watched = f"night:{content.night}" if found.is_newest else ""
    return Page("night.html", title, content, tab="night", live=watched, revision=content.live.revision)


def live(asked: Asked) -> Live:
    """Return what of the page may change. Raises NotThereError, StoreError, OSError."""
    return _live(read_night(asked.site, wanted_night(asked)), asked)


def wanted_night(asked: Asked) -> date | None:
    """Return the night that the address names. Raises NotThereError for one that has not begun, or never was."""
    text = asked.place.get("night") or asked.place.get("job") or ""  # a stream calls whatever it is about a job
    if not text:
        return None
    try:
        wanted = date.fromisoformat(text)
    except ValueError:
        wanted = date.min
    if wanted.isoformat() != text or not wanted.year >= _FIRST or wanted > night_of(datetime.now(UTC)):
        raise NotThereError(asked.words.say("night", "no_night", night=text[:40]))
    return wanted


def _content(found: NightRead, asked: Asked) -> NightPage:
    digest = found.digest
    scale = Scale(digest.evening, digest.morning)
    runs = tuple(_run(run, found, scale, asked) for run in digest.runs[:MOST])
    others = tuple(
        _row(other.job, found, scale, asked, other.result.final_loss if other.result else None)
        for other in digest.others[:MOST]
    )
    return NightPage(
        night=digest.night,
        hours_text=_hours(digest.evening, digest.morning, asked),
        earlier=digest.night - timedelta(days=1) if digest.night.year > _FIRST else None,
        later=None if found.is_newest else digest.night + timedelta(days=1),
        totals=asked.words.joined(*_totals(found, asked)),
        needs=tuple(_need(need, asked) for need in digest.needs[:_NEEDS]),
        more_needs=max(0, len(digest.needs) - _NEEDS),
        hours=scale.hours(),
        runs=runs,
        others=others,
        more=len(digest.runs) + len(digest.others) - len(runs) - len(others),
        files=tuple(_files(found)),
        live=_live(found, asked),
    )


def _live(found: NightRead, asked: Asked) -> Live:
    """Return how far that is which trains; whatever else has changed makes the page again."""
    digest = found.digest
    jobs = [*(run.run.job for run in digest.runs if run.run.job is not None), *(other.job for other in digest.others)]
    cells, logs = dict[str, str](), list[Path]()
    for job in jobs:
        if job.state is State.TRAINING:
            progress = progress_cells(job_status(job, asked.site.root.path).progress, asked)
            logs += logs_of(job, asked.site.root.path)
            cells[f"progress-{job.id}"] = asked.words.joined(*in_words(progress, asked))
    states = " ".join(f"{job.id} {job.state} {job.attempt}" for job in jobs[: 2 * MOST])
    drawn = int(found.now.timestamp() // _AGAIN.total_seconds()) if any(not job.state.is_over for job in jobs) else 0
    marks = " ".join(run.run.mark for run in digest.runs[:MOST])
    return Live(cells, {}, f"{states} {marks} {len(digest.needs)} {len(found.files)} {drawn}", tuple(logs))


def _totals(found: NightRead, asked: Asked) -> Iterator[str]:
    digest, words = found.digest, asked.words
    counts = [words.say("marks", mark, count=count) for mark, count in reversed(digest.totals().items())]
    yield from counts or ([] if digest.others else [words.frame("no_run")])
    yield from others_in_words(digest.others, asked, is_alone=not digest.runs)
    if found.used is not None:
        yield words.say("night", "used", part=f"{found.used:.0%}")
    if found.best is not None:
        best = words.pair("best_loss", f"{_loss(found.best)} ({found.best.cycle})")
        before = found.best_before
        yield words.joined(best, "" if before is None else words.say("night", "before", loss=_loss(before)))


def _loss(run: Run) -> str:
    loss = None if run.result is None else run.result.final_loss
    return "" if loss is None else f"{loss:.4g}"


def _need(need: Need, asked: Asked) -> NeedShown:
    advice = asked.words.advice_of(need.code, job=need.job, rank=None, device=None)
    remedy = filled_in(parted(need.reason).remedy, job=need.job) if advice is None else advice.remedy
    return NeedShown(
        need=need,
        what=need.what if need.job is None else f"{need.job} {need.what.partition('-')[2]}",
        kind=asked.words.say("needs", need.kind),
        why=reason_text(need.reason, need.code, asked),
        remedy=remedy,
        commands=commands_for(need.kind, need.job, "" if remedy else need.code),
    )


def _run(details: RunDetails, found: NightRead, scale: Scale, asked: Asked) -> NightRow:
    run = details.run
    return NightRow(
        job=None if run.job is None else run.job.id,
        label=run.cycle if run.job is None else f"{run.job.id} {run.cycle}",
        sign=signs.OF_MARKS[run.mark],
        state=run.mark,
        word=asked.words.say("marked", run.mark),
        due=f"{run.due.astimezone():%H:%M}",
        took="" if details.seconds is None else format_duration(details.seconds),
        loss=_loss(run) and asked.words.frame("loss", loss=_loss(run)),
        change="" if details.change is None else f"{details.change:+.3g}",
        why=run.reason if run.job is None else why(run.job, asked),
        bars=() if run.job is None else _bars(run.job, found, scale, asked),
    )


def _row(job: Job, found: NightRead, scale: Scale, asked: Asked, loss: float | None) -> NightRow:
    return NightRow(
        job=job.id,
        label=f"{job.id} {job.name}",
        sign=SIGNS[job.state],
        state=job.state,
        word=asked.words.say("states", job.state),
        due="",
        took="",
        loss="" if loss is None else asked.words.frame("loss", loss=f"{loss:.4g}"),
        change="",
        why=why(job, asked),
        bars=_bars(job, found, scale, asked),
    )


def _bars(job: Job, found: NightRead, scale: Scale, asked: Asked) -> tuple[Bar, ...]:
    bars = (
        scale.bar(
            stretch.step.at,
            stretch.until,
            _BUSY.get(stretch.step.state, "trains"),
            f"{asked.words.say('states', stretch.step.state)} {span(stretch.step.at, stretch.until)}",
        )
        for stretch in stretches(found.histories.get(job.id, ()), found.now)
        if not stretch.step.state.is_over
    )
    return tuple(bar for bar in bars if bar is not None)


def _files(found: NightRead) -> Iterator[NewFile]:
    results = {run.run.job.id: run.run.result for run in found.digest.runs if run.run.job is not None}
    results |= {other.job.id: other.result for other in found.digest.others}
    for promotion in found.files:
        result = results.get(promotion.job or 0)
        size = "" if result is None or result.bytes is None else format_size(result.bytes)
        yield NewFile(promotion.prefix, promotion.target, size, promotion.job)


def _hours(evening: datetime, morning: datetime, asked: Asked) -> str:
    first, last = (asked.words.frame("moment", at=moment.astimezone()) for moment in (evening, morning))
    return f"{first} – {last} {morning.astimezone():%Z}"


def _day(night: date, asked: Asked) -> str:
    return asked.words.frame("day", at=night)
