"""All jobs there were: the newest first, by state, by what was typed, and to be chosen for a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.core.read_store import ReadStore
from daemon.core.results import Result
from daemon.core.states import ACTIVE, OVER, Job, State
from daemon.core.wanted_jobs import LONGEST, FoundJobs, WantedJobs
from daemon.face.status import job_status
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.job_rows import came_to_parts, in_words, progress_cells, row_of
from daemon.face.web.rows import Row
from handlers.units.durations import format_duration

SIZE = 50
"""Jobs of a page."""
GROUPS: Mapping[str, tuple[State, ...]] = {
    "running": tuple(sorted(ACTIVE)),
    **{str(state): (state,) for state in (State.QUEUED, State.DONE, State.FAILED, State.CANCELLED, State.REJECTED)},
}
"""What there is to be chosen of; all states can be asked for by name."""
_MOST = 1 << 53


@dataclass(frozen=True)
class Choice:
    """States that can be chosen."""

    name: str
    word: str
    href: str
    is_chosen: bool


@dataclass(frozen=True)
class JobsPage:
    """What the page shows."""

    choices: tuple[Choice, ...]
    state: str
    text: str
    rows: tuple[Row, ...]
    newer: str
    """The address of the page before; empty for none."""
    older: str
    is_filtered: bool
    unfinished: frozenset[State] = frozenset(State) - OVER


def jobs(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    wanted = wanted_jobs(asked)
    found, results = FoundJobs(()), dict[int, Result]()
    if asked.site.root.store.exists():
        with ReadStore.open(asked.site.root.store) as store:
            found = page_of(store, wanted, SIZE, asked)
            results = store.results([job.id for job in found.jobs])
    state = asked.query.get("state", "")
    content = JobsPage(
        choices=tuple(_choices(state, asked)),
        state=state,
        text=wanted.text,
        rows=tuple(_row(job, results.get(job.id), asked) for job in found.jobs),
        newer="" if found.newer is None else asked.again(after=found.newer, before=None),
        older="" if found.older is None else asked.again(before=found.older, after=None),
        is_filtered=bool(asked.query),
    )
    return Page("jobs.html", asked.say("jobs"), content, tab="jobs")


def wanted_jobs(asked: Asked) -> WantedJobs:
    """Return which jobs the address asks for. Raises NotThereError for a state that there is not."""
    name = asked.query.get("state", "")
    try:
        states = () if name in {"", "all"} else GROUPS.get(name) or (State(name),)
    except ValueError:
        raise NotThereError(asked.words.say("jobs", "no_state", state=name[:40])) from None
    return WantedJobs(states, asked.query.get("q", "").strip()[:LONGEST])


def page_of(store: ReadStore, wanted: WantedJobs, size: int, asked: Asked) -> FoundJobs:
    """Return the page of the wanted jobs that the address asks for. Raises NotThereError."""
    before = asked.number("before", 1, _MOST, 0) or None
    after = asked.number("after", 0, _MOST, 0) if asked.query.get("after") else None
    return store.wanted(wanted, size, before=before, after=after)


def _choices(state: str, asked: Asked) -> list[Choice]:
    shown = ["", *GROUPS, *([state] if state not in {"", "all", *GROUPS} else [])]
    return [
        Choice(name, _word(name, asked), asked.again(state=name, before=None, after=None), name == state)
        for name in shown
    ]


def _word(name: str, asked: Asked) -> str:
    if not name:
        return asked.words.say("jobs", "all")
    return asked.words.say("jobs", "running") if name == "running" else asked.words.say("states", name)


def _row(job: Job, result: Result | None, asked: Asked) -> Row:
    took = "" if result is None or result.seconds is None else format_duration(result.seconds)
    cells = {"took": took, "came_to": asked.words.joined(*came_to_parts(result, asked))}
    if job.state is State.TRAINING:
        progress = progress_cells(job_status(job, asked.site.root.path).progress, asked)
        cells["came_to"] = asked.words.joined(*in_words(progress, asked))
    return row_of(job, asked, **cells)
