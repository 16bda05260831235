"""What the morning's message says of the night: what needs somebody first."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from daemon.core.event_kinds import EventKind
from daemon.face import signs
from daemon.face.cells import cut
from daemon.face.digest import Digest, RunDetails
from daemon.face.needs import Need
from daemon.face.notify.message import Payload
from daemon.face.notify.plan import Plan
from daemon.face.notify.texts.document import for_programs
from daemon.face.notify.texts.harmless import harmless
from daemon.face.notify.texts.headlines import TITLE, loss_and_change
from daemon.face.notify.texts.links import link_of_night
from daemon.face.words.language import Language
from daemon.face.words.reading import Words, read_words
from handlers.printable import printable
from handlers.units.durations import format_duration

MOST = 20
"""Things that need somebody, runs, and cycles, of which each is told in its line."""


def compose_digest(
    found: Digest, dues: Mapping[str, datetime | None], undelivered: int, language: Language, plan: Plan
) -> Payload:
    """Return what a message of a night says.

    `dues` are the next times of the cycles (daemon.face.nights.CycleNights.next_due), `undelivered` is how many
    notifications could not be delivered.
    """
    words = read_words(language)
    lines = _lines(found, dues, undelivered, words, plan)
    data = {
        **dict(found.as_json()),
        "next_due": {cycle: None if due is None else due.isoformat() for cycle, due in dues.items()},
        "undelivered": undelivered,
        "host": plan.host,
        "link": link_of_night(found.night, plan) or None,
    }
    document = {"type": EventKind.DIGEST, "timestamp": found.morning.isoformat(), "data": for_programs(data)}
    return Payload(cut(_title(found, words), TITLE), "\n".join(lines), document)


def _title(found: Digest, words: Words) -> str:
    counts = [words.say("marks", mark, count=count) for mark, count in reversed(found.totals().items())]
    needs = len(found.needs)
    needed = words.frame("needs_you" if needs == 1 else "need_you", count=needs) if needs else ""
    what = words.frame("day", at=found.night)
    text = words.joined(*(counts or [words.frame("no_run")]), needed)
    return words.frame("headline", sign=signs.NIGHT, what=what, text=text)


def _lines(
    found: Digest, dues: Mapping[str, datetime | None], undelivered: int, words: Words, plan: Plan
) -> Iterator[str]:
    yield from _needs(found, words)
    yield from _runs(found, words)
    known = sorted((due, cycle) for cycle, due in dues.items() if due is not None)
    for due, cycle in known[:MOST]:
        yield words.pair("next", f"{harmless(cycle)} {words.frame('moment', at=due.astimezone())}")
    if undelivered:
        yield words.pair("undelivered", words.frame("undelivered", count=undelivered))
    yield words.pair("host", harmless(plan.host))
    if link := link_of_night(found.night, plan):
        yield words.pair("link", printable(link))


def _needs(found: Digest, words: Words) -> Iterator[str]:
    if not found.needs:
        yield words.frame("nothing")
        return
    yield words.say("labels", "needs_you")
    for need in found.needs[:MOST]:
        yield _need(need, words)
        yield from (f"    {harmless(command)}" for command in need.commands)
    yield from _more(found, found.needs, words)


def _need(need: Need, words: Words) -> str:
    kind, reason = words.say("needs", need.kind), words.title(need.code) or harmless(need.reason)
    frame = "need" if reason else "need_without_reason"
    return words.frame(frame, sign=signs.CARE, what=harmless(need.what), kind=kind, reason=reason)


def _runs(found: Digest, words: Words) -> Iterator[str]:
    if not found.runs:
        return
    yield ""
    yield words.say("labels", "runs")
    yield from (_run(details, words) for details in found.runs[:MOST])
    yield from _more(found, found.runs, words)
    losses = [(details.run.result.final_loss, details) for details in found.runs if details.run.result is not None]
    known = [(loss, details.label) for loss, details in losses if loss is not None]
    if known:
        loss, label = min(known)
        yield words.pair("best_loss", f"{loss:.4g} ({harmless(label)})")
    yield ""


def _run(details: RunDetails, words: Words) -> str:
    run = details.run
    label, due = harmless(details.label or run.cycle), f"{run.due.astimezone():%H:%M}"
    loss = None if run.result is None else run.result.final_loss
    return words.joined(
        words.frame("run", sign=signs.OF_MARKS[run.mark], label=label, due=due),
        loss_and_change(loss, details.change, words),
        "" if details.seconds is None else format_duration(details.seconds),
        words.title(run.code),
    )


def _more(found: Digest, things: Sequence[object], words: Words) -> Iterator[str]:
    if len(things) > MOST:
        yield words.frame("more", count=len(things) - MOST, command=f"glmd night {found.night.isoformat()}")
