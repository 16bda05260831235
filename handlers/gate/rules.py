"""The rules of the gate: facts in, verdict out. What a rule cannot tell is not judged, and the other rules decide."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handlers.codes import Code
from handlers.gate.gate import Gate, MetricLimits
from handlers.gate.standing import Candidate, Champion, Evaluated
from handlers.gate.verdict import Rule

_NOT_JUDGED = "not judged: "


@dataclass(frozen=True)
class Decision:
    """What all rules together come to."""

    passed: bool
    reason: str
    code: str


def of_output(gate: Gate, candidate: Candidate, champion: Champion | None) -> Iterator[Rule]:
    """Yield the rules that need no evaluation."""
    yield Rule(
        name="whole", passed=not candidate.damage, why=candidate.damage, code=_if(candidate.damage, Code.GATE_NOT_WHOLE)
    )
    if candidate.damage:
        return
    if gate.finite:
        yield _finite(candidate)
    if gate.loss.max is not None:
        yield _loss_max(gate.loss.max, candidate)
    if gate.loss.rise is not None:
        yield _loss_rise(gate.loss.rise, candidate, champion)


def of_evaluation(gate: Gate, evaluated: Evaluated, champion: Champion | None) -> Iterator[Rule]:
    """Yield the rules that an evaluation decides."""
    missing = "" if evaluated.failure else ", ".join(sorted(gate.metrics.keys() - evaluated.metrics.keys()))
    why = f"evaluation {evaluated.name}: {evaluated.failure}" if evaluated.failure else ""
    if evaluated.name != gate.evaluate:
        why = f"evaluation {evaluated.name} was run, but now the settings ask for {gate.evaluate}"
    elif missing:
        why = f"evaluation {evaluated.name} does not report {missing}, which the gate limits"
    yield Rule(name="evaluate", passed=not why, why=why, code=_if(why, Code.GATE_EVALUATION))
    for name, limits in gate.metrics.items():
        if name in evaluated.metrics:
            yield from _metric(name, evaluated, limits, champion)


def decide(rules: Sequence[Rule]) -> Decision:
    """Say what `rules` come to: none that was judged may have failed."""
    failed = [rule for rule in rules if rule.passed is False]
    code = failed[0].code if failed else ""
    return Decision(not failed, "; ".join(rule.why for rule in failed), code)


def _finite(candidate: Candidate) -> Rule:
    count = candidate.not_finite_count
    if count is None:
        return _unknown("finite", "NaN and infinity were not counted when it was merged")
    found = candidate.not_finite
    return Rule(
        name="finite", passed=count == 0, why=found, code=_if(found, Code.GATE_NOT_FINITE), value=count, limit=0
    )


def _loss_max(limit: float, candidate: Candidate) -> Rule:
    if candidate.loss is None and not candidate.is_of_a_training:
        return _unknown("loss.max", "glmd has not trained it, and knows no loss", limit=limit)
    if why := _no_number(candidate):
        return Rule(name="loss.max", passed=False, why=why, code=Code.GATE_LOSS, limit=limit)
    value = _value(candidate)
    why = f"loss {_short(value)} is above {_short(limit)}" if value > limit else ""
    return Rule(name="loss.max", passed=not why, why=why, code=_if(why, Code.GATE_LOSS), value=value, limit=limit)


def _loss_rise(rise: float, candidate: Candidate, champion: Champion | None) -> Rule:
    name = "loss.max_rise"
    if why := _incomparable(candidate, champion):
        return _unknown(name, why)
    if champion is None or champion.loss is None:
        return _unknown(name, "there is no loss to compare it with")
    if candidate.loss is None:
        return _unknown(name, "no step of its training was recorded")
    limit = min(champion.loss + abs(champion.loss) * rise, sys.float_info.max)
    if why := _no_number(candidate):
        return Rule(name=name, passed=False, why=why, code=Code.GATE_LOSS, champion=champion.loss, limit=limit)
    value, why = _value(candidate), ""
    if value > limit:
        far = f"{_percent((value - champion.loss) / abs(champion.loss))} above" if champion.loss else "above"
        why = f"loss {_short(value)} is {far} {_short(champion.loss)} of {champion.name}"
    code = _if(why, Code.GATE_LOSS)
    return Rule(name=name, passed=not why, why=why, code=code, value=value, champion=champion.loss, limit=limit)


def _incomparable(candidate: Candidate, champion: Champion | None) -> str:
    if champion is None:
        return "nothing was promoted before"
    if not champion.is_judged:
        return f"there is no verdict of {champion.name}, which latest leads to"
    if champion.loss is None:
        return f"the loss of {champion.name} is not known"
    unlike = candidate.trained.unlike(champion.trained)
    return f"{unlike}, beside {champion.name}" if unlike else ""


def _no_number(candidate: Candidate) -> str:
    if candidate.loss is None:
        return "no step of its training was recorded, so that its loss is not known"
    if not math.isfinite(candidate.loss.value):
        return f"the loss of its last {candidate.loss.over} steps is not finite"
    return ""


def _value(candidate: Candidate) -> float:
    return math.nan if candidate.loss is None else candidate.loss.value


def _metric(name: str, evaluated: Evaluated, limits: MetricLimits, champion: Champion | None) -> Iterator[Rule]:
    value = evaluated.metrics[name]
    if limits.min is not None:
        yield _bounded(f"metrics.{name}.min", name, value, limits.min, "below", is_wrong=value < limits.min)
    if limits.max is not None:
        yield _bounded(f"metrics.{name}.max", name, value, limits.max, "above", is_wrong=value > limits.max)
    if limits.max_drop is not None:
        yield _changed(f"metrics.{name}.max_drop", name, evaluated, -limits.max_drop, champion)
    if limits.max_rise is not None:
        yield _changed(f"metrics.{name}.max_rise", name, evaluated, limits.max_rise, champion)


def _bounded(rule: str, metric: str, value: float, limit: float, how: str, *, is_wrong: bool) -> Rule:
    why = f"{metric} {_short(value)} is {how} {_short(limit)}" if is_wrong else ""
    return Rule(name=rule, passed=not why, why=why, code=_if(why, Code.GATE_METRIC), value=value, limit=limit)


def _changed(rule: str, metric: str, evaluated: Evaluated, change: float, champion: Champion | None) -> Rule:
    value = evaluated.metrics[metric]
    if champion is None:
        return _unknown(rule, "nothing was promoted before", value=value)
    if champion.evaluation != evaluated.name or metric not in champion.metrics:
        return _unknown(rule, f"{champion.name} was not measured by evaluation {evaluated.name}", value=value)
    was = champion.metrics[metric]
    limit = was + change
    drops = math.copysign(1.0, change) < 0
    why = ""
    if value < limit if drops else value > limit:
        far = f"{_short(abs(value - was))} {'below' if drops else 'above'}"
        why = f"{metric} {_short(value)} is {far} {_short(was)} of {champion.name}"
    code = _if(why, Code.GATE_METRIC)
    return Rule(name=rule, passed=not why, why=why, code=code, value=value, champion=was, limit=limit)


def _unknown(rule: str, why: str, *, value: float | None = None, limit: float | None = None) -> Rule:
    return Rule(name=rule, passed=None, why=_NOT_JUDGED + why, value=value, limit=limit)


def _if(why: str, code: Code) -> str:
    return code if why else ""


def _short(number: float) -> str:
    """Return a number as people read it: of four digits."""
    return f"{number:.4g}"


def _percent(part: float) -> str:
    """Return a part of 1 in per cent, of two digits, and of all that are before the point."""
    percent = part * 100
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
