"""Now: what runs, what waits and why, what ended last, and last night in one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from daemon.core.presence import Presence
from daemon.core.read_store import ReadStore
from daemon.core.results import Result
from daemon.core.states import Job, State
from daemon.face.notices import notice_texts
from daemon.face.ranks import logs_of
from daemon.face.status import JobStatus, Overview, StoredOverview, seconds_since, stored_overview
from daemon.face.training import record_of
from daemon.face.web.asking import Asked, Page
from daemon.face.web.daemon_word import DaemonWord, daemon_word
from daemon.face.web.job_rows import ended_row, others_in_words, row_of, running_row, why
from daemon.face.web.night_reads import read_night
from daemon.face.web.rows import Live, Row
from daemon.face.web.site import Site
from handlers.units.devices import format_devices
from handlers.units.durations import format_duration


@dataclass(frozen=True)
class Held:
    """A device, and the job that holds it."""

    device: int
    job: int | None


@dataclass(frozen=True)
class Night:
    """The last night in one line."""

    date: str
    summary: str
    needs: int


@dataclass(frozen=True)
class _Read:
    """What the store says."""

    overview: StoredOverview
    results: Mapping[int, Result]
    """What jobs came to that are over, by number."""


@dataclass(frozen=True)
class Now:
    """What the page shows."""

    up: str
    """That the daemon runs, and since when; empty where it does not, or nobody knows."""
    live: Live
    notices: tuple[str, ...]
    devices: tuple[Held, ...]
    more_waiting: int
    left_out: int
    night: Night | None


def now(asked: Asked) -> Page:
    """Return the page. Raises StoreError, OSError."""
    content = shown(asked)
    return Page("now.html", asked.say("now"), content, tab="now", live="now", revision=content.live.revision)


def shown(asked: Asked) -> Now:
    """Return what there is to be seen. Raises StoreError, OSError."""
    site = asked.site
    daemon = daemon_word(site.root)
    if not site.root.store.exists():  # nothing was ever dropped: the page says how
        return Now(_up(daemon, asked), _nothing(daemon), (), (), 0, 0, None)
    read = _read(site)
    found = read.overview.at(site.root.path, daemon.status_word)
    live = _live(found, read.results, daemon, asked)
    numbers = sorted({*daemon.devices, *found.held})
    return Now(
        up=_up(daemon, asked),
        live=live,
        notices=(*notice_texts(found.notices), *([found.trouble] if found.trouble else []), *found.unread),
        devices=tuple(Held(number, found.held.get(number)) for number in numbers),
        more_waiting=found.waiting - len(found.queue),
        left_out=found.left_out,
        night=_night(asked),
    )


def _up(daemon: DaemonWord, asked: Asked) -> str:
    if daemon.presence is not Presence.ANSWERS or daemon.started is None:
        return ""
    time = format_duration(seconds_since(daemon.started, datetime.now(UTC)))
    return asked.words.say("now", "runs", version=daemon.version, time=time)


def live(asked: Asked) -> Live:
    """Return what of the page may change: not the night, which takes longest. Raises StoreError, OSError."""
    site = asked.site
    daemon = daemon_word(site.root)
    if not site.root.store.exists():
        return _nothing(daemon)
    read = _read(site)
    return _live(read.overview.at(site.root.path, daemon.status_word), read.results, daemon, asked)


def _read(site: Site) -> _Read:
    def read() -> _Read:
        with ReadStore.open(site.root.store) as store:
            found = stored_overview(store)
            return _Read(found, store.results([job.id for job in found.jobs if job.state.is_over]))

    return site.kept.of("now", site.root.store, read)


def _nothing(daemon: DaemonWord) -> Live:
    return Live({}, {"running": (), "waiting": (), "ended": ()}, daemon.presence.name)


def _live(found: Overview, results: Mapping[int, Result], daemon: DaemonWord, asked: Asked) -> Live:
    jobs = list(found.jobs)
    by_number = {status.job.id: status for status in jobs}
    waiting = [by_number[number].job for number in found.queue if number in by_number]
    running = [status for status in jobs if not status.job.state.is_over and status.job.id not in found.queue]
    ended = sorted((status.job for status in jobs if status.job.state.is_over), key=lambda job: job.changed)[::-1]
    lists = {
        "running": tuple(_running(status, asked) for status in running),
        "waiting": tuple(_waiting(job, waiting[:place], found.held, asked) for place, job in enumerate(waiting)),
        "ended": tuple(ended_row(job, results.get(job.id), asked) for job in ended),
    }
    held = "".join(f"{device}:{job} " for device, job in found.held.items())
    revision = f"{daemon.presence.name} {held} {len(found.notices)} {found.trouble}"
    return Live({}, lists, revision, tuple(path for status in running for path in _files(status.job, asked)))


def _files(job: Job, asked: Asked) -> tuple[Path, ...]:
    """Return the files that the row of a job at work is made of."""
    root = asked.site.root.path
    if job.state is not State.TRAINING:
        return ()
    return (*logs_of(job, root), record_of(job.directory(root), job.attempt))


def _waiting(job: Job, before: Sequence[Job], held: Mapping[int, int], asked: Asked) -> Row:
    reason = why(job, asked) or _waits_for(job, before, held, asked)
    return row_of(job, asked, place=f"{len(before) + 1}.", reason=reason)


def _waits_for(job: Job, before: Sequence[Job], held: Mapping[int, int], asked: Asked) -> str:
    """Return who has the devices that a job waits for; where they are free, who else waits for them."""
    by_holder: dict[int, list[int]] = {}
    for device in job.devices:
        if device in held:
            by_holder.setdefault(held[device], []).append(device)
    if by_holder:
        parts = (
            asked.words.say("now", "held_by", devices=format_devices(devices), job=holder)
            for holder, devices in by_holder.items()
        )
        return asked.words.joined(*parts)
    first = next((other for other in before if {*other.devices} & {*job.devices}), None)
    return "" if first is None else asked.words.say("now", "behind", job=first.id)


def _running(status: JobStatus, asked: Asked) -> Row:
    return running_row(status, asked.site.sparks.of(status.job.directory(asked.site.root.path)), asked)


def _night(asked: Asked) -> Night | None:
    found = read_night(asked.site).digest
    if not found.runs and not found.others:
        return None
    counts = [asked.words.say("marks", mark, count=count) for mark, count in reversed(found.totals().items())]
    summary = asked.words.joined(*counts, *others_in_words(found.others, asked, is_alone=not counts))
    return Night(found.night.isoformat(), summary, len(found.needs))
