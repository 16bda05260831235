"""What a message says of one event, or of several that come in one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from daemon.core.event_kinds import URGENT, EventKind
from daemon.face.cells import cut
from daemon.face.failure import Diagnosed
from daemon.face.notify.event import Event
from daemon.face.notify.message import Payload
from daemon.face.notify.plan import Plan
from daemon.face.notify.texts.commands import commands_of, has_moved_on
from daemon.face.notify.texts.document import document_of
from daemon.face.notify.texts.facts import NOTHING, Facts
from daemon.face.notify.texts.harmless import harmless
from daemon.face.notify.texts.headlines import TITLE, advice_of, error_of, headline, sign_of
from daemon.face.notify.texts.links import link_of, link_of_now
from daemon.face.words.language import Language
from daemon.face.words.reading import Words, read_words
from handlers.printable import printable
from handlers.units.byte_sizes import format_size
from handlers.units.durations import format_duration

MOST = 20
"""Lines of events in one message."""
_LINE = 120
"""Cells of one of several."""
_GOOD = frozenset(
    {EventKind.JOB_DONE, EventKind.JOB_RESUMED, EventKind.JOB_CANCELLED, EventKind.DIGEST, EventKind.TEST}
)
_BY_WEIGHT = (
    EventKind.OPERATOR_NEEDED,
    EventKind.DAEMON_DOWN,
    EventKind.FAULT_LASTING,
    EventKind.JOB_FAILED,
    EventKind.JOB_NOT_PROMOTED,
    EventKind.NIGHTLY_MISSED,
    EventKind.DISK_LOW,
    EventKind.JOB_REJECTED,
    EventKind.JOB_DONE,
    EventKind.NIGHTLY_LATE,
    EventKind.JOB_WAITING,
    EventKind.JOB_RESUMED,
    EventKind.JOB_CANCELLED,
    EventKind.DIGEST,
    EventKind.TEST,
)
"""In a title of several the first of these come first."""
_OVER = "over"


def compose(events: Sequence[Event], facts: Mapping[str, Facts], language: Language, plan: Plan) -> Payload:
    """Return what a message of these events says, of which there is at least one.

    `facts` are those of daemon.face.notify.texts.facts by the events' keys; each may be missing.
    """
    words = read_words(language)
    if len(events) == 1:
        event, known = events[0], facts.get(events[0].key, NOTHING)
        title = headline(event, known, words, plan.host)
        text = "\n".join(_body(event, known, words, plan))
    else:
        title = cut(_counts(events, words), TITLE)
        text = "\n".join(_lines(events, facts, words, plan))
    return Payload(title, text, document_of(events, facts, plan))


def _counts(events: Sequence[Event], words: Words) -> str:
    counted = Counter(_OVER if event.is_over else event.kind for event in events)
    signs = {_OVER if event.is_over else event.kind: sign_of(event) for event in events}
    return words.joined(*(
        f"{signs[kind]} {words.say('one' if counted[kind] == 1 else 'several', kind, count=counted[kind])}"
        for kind in (*_BY_WEIGHT, _OVER)
        if kind in counted
    ))  # fmt: skip


def _lines(events: Sequence[Event], facts: Mapping[str, Facts], words: Words, plan: Plan) -> Iterator[str]:
    for event in _shown(events):
        moment = words.frame("moment", at=event.at.astimezone())
        yield f"{moment} {headline(event, facts.get(event.key, NOTHING), words, plan.host, _LINE)}"
    if len(events) > MOST:
        yield words.frame("more", count=len(events) - MOST, command="glmd status --all")
    yield words.pair("host", harmless(plan.host))
    if link := link_of_now(plan):
        yield words.pair("link", printable(link))


def _shown(events: Sequence[Event]) -> list[Event]:
    """Return those that are told, in their order: where they are too many, what is bad, and then the newest."""
    by_weight = sorted(range(len(events)), key=lambda number: (_weight(events[number]), -number))
    return [events[number] for number in sorted(by_weight[:MOST])]


def _weight(event: Event) -> int:
    if event.is_over or event.kind in _GOOD:
        return 2
    return 0 if event.kind in URGENT else 1


def _body(event: Event, facts: Facts, words: Words, plan: Plan) -> Iterator[str]:
    yield words.pair("state", _state(event, words))
    if facts.job is not None and has_moved_on(event, facts):
        yield words.pair("now", words.say("states", facts.job.state))
    yield words.pair("host", harmless(plan.host))
    if event.kind is EventKind.JOB_FAILED and not event.is_over:
        yield from _failure(event, facts.diagnosis, words)
    elif event.text:
        title = "" if words.is_of_reasons else words.title(event.code)
        yield words.pair("before" if event.is_over else "why", words.joined(title, harmless(event.text)))
    if event.kind in {EventKind.JOB_DONE, EventKind.JOB_NOT_PROMOTED}:
        yield from _result(facts, words)
    if facts.unread:
        yield words.pair("unread", harmless(facts.unread))
    for command in commands_of(event, facts):
        yield words.pair("type", harmless(command))
    if link := link_of(event, facts, plan):
        yield words.pair("link", printable(link))


def _state(event: Event, words: Words) -> str:
    happened = words.say("over" if event.is_over else "happened", event.kind)
    attempt = "" if event.attempt is None or event.attempt == 1 else words.frame("attempt", attempt=event.attempt)
    return words.joined(happened, words.frame("moment", at=event.at.astimezone()), attempt)


def _failure(event: Event, diagnosis: Diagnosed | None, words: Words) -> Iterator[str]:
    title = words.title(event.code)
    if diagnosis is not None:
        if diagnosis.rank is not None:
            yield words.pair("rank", _rank(diagnosis, words))
        name = error_of(diagnosis, event.code, words)
        if name or title:
            yield words.pair("error", words.joined(name, title if title != name else ""))
    elif title:
        yield words.pair("error", title)
    cause, remedy = advice_of(event, diagnosis, words)
    if cause:
        yield words.pair("cause", cause)
    elif event.text:
        yield words.pair("why", harmless(event.text))
    if remedy:
        yield words.pair("to_do", remedy)


def _rank(diagnosis: Diagnosed, words: Words) -> str:
    where = words.rank_at(str(diagnosis.rank), diagnosis.device, harmless(diagnosis.node or ""))
    return words.joined(where, harmless(diagnosis.line))


def _result(facts: Facts, words: Words) -> Iterator[str]:
    result = facts.result
    if result is not None and result.final_loss is not None:
        loss = f"{result.final_loss:.4g}"
        if facts.change is not None:
            loss = words.frame("change", loss=loss, change=f"{facts.change:+.4g}", job=facts.compared_to)
        yield words.pair("loss", loss)
    if result is not None and result.seconds is not None:
        yield words.pair("took", format_duration(result.seconds))
    if result is not None and result.bytes is not None:
        yield words.pair("size", format_size(result.bytes))
    if facts.output is not None:
        yield words.pair("path", printable(str(facts.output)))
