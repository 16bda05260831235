"""An event in one line, fit for a lock screen: `✖ 41 run_glm_6b_lora: rank 3, EI0006, to do: …`."""

import re

from daemon.core.event_kinds import EventKind
from daemon.face import signs
from daemon.face.cells import cells, cut
from daemon.face.failure import Diagnosed
from daemon.face.notify.event import Event
from daemon.face.notify.texts.facts import Facts
from daemon.face.notify.texts.harmless import harmless
from daemon.face.words.reading import Words
from handlers.units.byte_sizes import format_size
from handlers.units.durations import format_duration

TITLE = 60
"""Cells that a lock screen shows of a title: 60 letters or 30 Chinese characters."""
_NAME = 24
"""Cells of a name that remain where the title is full."""
_OF_KINDS = {
    EventKind.JOB_FAILED: signs.FAILED,
    EventKind.JOB_DONE: signs.DONE,
    EventKind.JOB_RESUMED: signs.RUNNING,
    EventKind.JOB_REJECTED: signs.FAILED,
    EventKind.JOB_CANCELLED: signs.LEFT_OUT,
    EventKind.JOB_WAITING: signs.WAITING,
    EventKind.DAEMON_DOWN: signs.FAILED,
    EventKind.FAULT_LASTING: signs.FAILED,
    EventKind.DIGEST: signs.NIGHT,
    EventKind.TEST: signs.DONE,
}
_OWN_NAME = re.compile(r"E[A-Z0-9]\d{4}|SIG[A-Z]+", re.ASCII)
"""The name of an error by which everybody looks for it."""


def sign_of(event: Event) -> str:
    """Return the sign of an event."""
    return signs.DONE if event.is_over else _OF_KINDS.get(event.kind, signs.CARE)


def headline(event: Event, facts: Facts, words: Words, host: str, most: int = TITLE) -> str:
    """Return the line, in at most `most` cells; a long name gives way to what is said of it."""
    text = words.joined(*parts_of(event, facts, words))
    name = harmless((facts.job.cycle if facts.job else "") or event.name or host)
    whole = _line(event, name, text, words)
    if cells(whole) > most:
        whole = _line(event, cut(name, _NAME), text, words)
    return cut(whole, most)


def _line(event: Event, name: str, text: str, words: Words) -> str:
    what = name if event.job is None else f"{event.job} {name}"
    return words.frame("headline", sign=sign_of(event), what=what, text=text)


def parts_of(event: Event, facts: Facts, words: Words) -> tuple[str, ...]:
    """Return what there is to say, the most important first."""
    if event.is_over:
        return (words.say("over", event.kind),)
    happened = words.say("happened", event.kind)
    match event.kind:
        case EventKind.JOB_FAILED:
            return _failed(event, facts.diagnosis, words)
        case EventKind.JOB_DONE:
            return _came_to(facts, words) or (happened,)
        case EventKind.JOB_RESUMED if event.attempt is not None:
            return happened, words.frame("attempt", attempt=event.attempt)
        case EventKind.JOB_CANCELLED:
            return (happened,)
        case _:
            in_short = _in_short(event, words)
            return (happened,) if in_short == happened else (happened, in_short)


def _failed(event: Event, diagnosis: Diagnosed | None, words: Words) -> tuple[str, ...]:
    rank, what = "", ""
    if diagnosis is not None:
        rank = "" if diagnosis.rank is None else words.frame("rank", rank=diagnosis.rank)
        what = error_of(diagnosis, event.code, words) or harmless(diagnosis.line)
    what = what or _in_short(event, words) or words.say("happened", event.kind)
    _, remedy = advice_of(event, diagnosis, words)
    return rank, what, words.frame("to_do", remedy=remedy) if remedy else ""


def error_of(diagnosis: Diagnosed, code: str, words: Words) -> str:
    """Return the error's own name, as EI0006, or what went wrong in some words; empty where nothing tells."""
    if _OWN_NAME.fullmatch(diagnosis.error) and (not code or code == diagnosis.code):
        return diagnosis.error
    return words.title(code) or words.title(diagnosis.code) or harmless(diagnosis.error)


def advice_of(event: Event, diagnosis: Diagnosed | None, words: Words) -> tuple[str, str]:
    """Return cause and remedy, each empty where nobody knows; in the words' language where that has them."""
    rank, device = (None, None) if diagnosis is None else (diagnosis.rank, diagnosis.device)
    code = diagnosis.code if diagnosis is not None and diagnosis.code else event.code
    if advice := words.advice_of(code, job=event.job, rank=rank, device=device):
        return advice.cause, advice.remedy
    return ("", "") if diagnosis is None else (harmless(diagnosis.cause), harmless(diagnosis.remedy))


def _in_short(event: Event, words: Words) -> str:
    """Return what went wrong: by its code, else as glmd says it."""
    return words.title(event.code) or harmless(event.text.removeprefix(f"{event.name}: "))


def _came_to(facts: Facts, words: Words) -> tuple[str, ...]:
    result = facts.result
    if result is None:
        return ()
    return tuple(
        part
        for part in (
            loss_and_change(result.final_loss, facts.change, words),
            "" if result.bytes is None else format_size(result.bytes),
            "" if result.seconds is None else format_duration(result.seconds),
        )
        if part
    )


def loss_and_change(loss: float | None, change: float | None, words: Words) -> str:
    """Return a final loss, with its change to the run before where that is known; empty for none."""
    if loss is None:
        return ""
    if change is None:
        return words.frame("loss", loss=f"{loss:.4g}")
    return words.frame("loss_change", loss=f"{loss:.4g}", change=f"{change:+.4g}")
