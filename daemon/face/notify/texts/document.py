"""Events for programs: what a webhook gets.

Names and paths are as they are, but for control characters. Words of strangers are made harmless, too: anyone who gets
them may pass them on to people.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from daemon.face.notify.event import Event
from daemon.face.notify.plan import Plan
from daemon.face.notify.texts.facts import NOTHING, Facts
from daemon.face.notify.texts.harmless import harmless
from daemon.face.notify.texts.links import link_of
from daemon.face.status import job_as_json
from handlers.printable import printable

_WORDS = frozenset({"reason", "text", "line", "cause", "remedy"})
_LONGEST = 4096
"""Characters: no name or path has more."""


def document_of(events: Sequence[Event], facts: Mapping[str, Facts], plan: Plan) -> dict[str, object]:
    """Return one event as it is, and several as a batch, in their order and whole."""
    found = [_event(event, facts.get(event.key, NOTHING), plan) for event in events]
    if len(found) == 1:
        return found[0]
    newest = max(event.at for event in events)
    return {"type": "batch", "timestamp": newest.isoformat(), "data": {"events": found, "host": plan.host}}


def for_programs(value: object, key: str = "") -> object:
    """Return JSON's `value` of a `key` with harmless texts."""
    if isinstance(value, str):
        return harmless(value) if key in _WORDS else printable(value[:_LONGEST])
    if isinstance(value, Mapping):
        return {printable(name): for_programs(item, name) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has none
    return [for_programs(item, key) for item in value] if isinstance(value, list | tuple) else value


def _event(event: Event, facts: Facts, plan: Plan) -> dict[str, object]:
    job, result, diagnosis = facts.job, facts.result, facts.diagnosis
    change = {"loss_change": facts.change, "compared_to": facts.compared_to}
    data = {
        "name": event.name,
        "attempt": event.attempt,
        "job": None if job is None else job_as_json(job, job.directory(plan.root).path),
        "diagnosis": None if diagnosis is None else asdict(diagnosis),
        "result": None if result is None else {**result.as_json(), **change},
        "output": None if facts.output is None else str(facts.output),
        "text": event.text,
        "code": event.code,
        "is_over": event.is_over,
        "host": plan.host,
        "link": link_of(event, facts, plan) or None,
    }
    return {"type": event.kind, "timestamp": event.at.isoformat(), "data": for_programs(data)}
