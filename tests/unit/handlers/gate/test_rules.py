"""Promises of handlers.gate.rules: what passes, what does not, and what cannot be told."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.gate.gate import Gate, LossLimits, MetricLimits
from handlers.gate.rules import decide, of_evaluation, of_output
from handlers.gate.standing import Candidate, Champion, Evaluated, Loss, Trained
from handlers.gate.verdict import Input, Rule, Verdict

DATA = (Input(path="/data/train.json", bytes=3, sha256="a"),)
TRAINED = Trained("same", DATA)
GOOD = Candidate(loss=Loss(2.0, 20), trained=TRAINED)
BEFORE = Champion("job 40", "/var/glm/jobs/0040-run/merged", 40, loss=2.12, trained=TRAINED)
RISE = Gate(loss=LossLimits(max_rise="5%"))

numbers = st.floats(min_value=-1e6, max_value=1e6)


def judged(gate: Gate, candidate: Candidate, champion: Champion | None = None) -> Rule:
    """Return the last rule that needs no evaluation."""
    return [*of_output(gate, candidate, champion)][-1]


def measured(limits: MetricLimits, value: float, champion: Champion | None = None) -> Rule:
    """Return the last rule of an evaluation."""
    gate = Gate(evaluate="bleu", metrics={"bleu": limits})
    return [*of_evaluation(gate, Evaluated("bleu", {"bleu": value}), champion)][-1]


def test_the_default_asks_for_a_whole_and_finite_output_alone() -> None:
    """Whatever its loss, and whatever there was before."""
    bad_loss = replace(GOOD, loss=Loss(math.nan, 20))
    rules = [*of_output(Gate(), bad_loss, BEFORE)]
    assert [(rule.name, rule.passed) for rule in rules] == [("whole", True), ("finite", True)]


def test_what_is_not_whole_or_not_finite_never_passes() -> None:
    """And of what is not whole nothing else is said."""
    torn = [*of_output(Gate(loss=LossLimits(max=9)), Candidate(damage="m.ckpt is not there"), None)]
    assert [(rule.name, rule.passed, rule.code) for rule in torn] == [("whole", False, "gate.not-whole")]
    rule = judged(Gate(), replace(GOOD, not_finite="2 parameters hold NaN", not_finite_count=2))
    assert (rule.passed, rule.value, rule.code) == (False, 2, "gate.not-finite")
    assert judged(Gate(), replace(GOOD, not_finite_count=None)).passed is None
    assert judged(Gate(finite=False), replace(GOOD, not_finite="x", not_finite_count=1)).name == "whole"


def test_a_rise_is_told_as_the_settings_mean_it() -> None:
    """The reason names both losses and the job before; the rule has what it was allowed to be."""
    rule = judged(RISE, replace(GOOD, loss=Loss(2.31, 20)), BEFORE)
    assert (rule.passed, rule.code) == (False, "gate.loss")
    assert rule.why == "loss 2.31 is 9 % above 2.12 of job 40"
    assert (rule.value, rule.champion, rule.limit) == (2.31, 2.12, pytest.approx(2.226))
    assert decide([rule]).reason == rule.why


@given(numbers, numbers, st.integers(0, 1000))
def test_a_rise_is_of_the_loss_before_also_below_zero(loss: float, before: float, percent: int) -> None:
    """It passes exactly where it is no further above than so many parts of its size."""
    gate = Gate(loss=LossLimits(max_rise=f"{percent}%"))
    rule = judged(gate, replace(GOOD, loss=Loss(loss, 20)), replace(BEFORE, loss=before))
    assert rule.passed is (loss <= before + abs(before) * (percent / 100))
    assert bool(rule.why) is not rule.passed


@pytest.mark.parametrize(
    ("candidate", "champion", "why"),
    (
        (GOOD, None, "nothing was promoted before"),
        (GOOD, replace(BEFORE, is_judged=False), "there is no verdict of job 40"),
        (GOOD, replace(BEFORE, loss=None), "the loss of job 40 is not known"),
        (GOOD, replace(BEFORE, trained=Trained("other", DATA)), "another configuration"),
        (GOOD, replace(BEFORE, trained=Trained("", DATA)), "its configuration is not known"),
        (GOOD, replace(BEFORE, trained=Trained("same", None)), "its data are not known"),
        (GOOD, replace(BEFORE, trained=Trained("same", (*DATA, *DATA))), "other data"),
        (replace(GOOD, loss=None), BEFORE, "no step of its training was recorded"),
    ),
)
def test_what_cannot_be_compared_is_not_judged_and_the_others_decide(
    candidate: Candidate, champion: Champion | None, why: str
) -> None:
    """It says why, and holds nothing up."""
    rule = judged(RISE, candidate, champion)
    assert rule.passed is None
    assert rule.why.startswith("not judged: ")
    assert why in rule.why
    assert decide([rule]).passed
    others = Rule(name="loss.max", passed=False, why="loss 3 is above 2", code="gate.loss")
    assert decide([rule, others]).reason == "loss 3 is above 2"


def test_the_same_data_under_another_name_are_the_same() -> None:
    """A night's file may have a date in its name; where it was not hashed, size and time tell."""
    renamed = Trained("same", (Input(path="/data/2026-11-29.json", bytes=3, sha256="a"),))
    assert not renamed.unlike(TRAINED)
    seen = Trained("same", (Input(path="/data/train.json", bytes=3, mtime_ns=7),))
    assert not seen.unlike(seen)
    assert "other data" in seen.unlike(Trained("same", (Input(path="/data/train.json", bytes=3, mtime_ns=8),)))
    assert "other data" in seen.unlike(TRAINED)


@given(numbers, numbers)
def test_a_loss_has_its_own_limit(loss: float, limit: float) -> None:
    """It may be as high as that."""
    rule = judged(Gate(loss=LossLimits(max=limit)), replace(GOOD, loss=Loss(loss, 20)))
    assert rule.passed is (loss <= limit)


@pytest.mark.parametrize("loss", (None, Loss(math.nan, 20), Loss(math.inf, 3)))
def test_a_limit_that_cannot_be_shown_to_hold_is_not_met(loss: Loss | None) -> None:
    """A training whose loss nobody knows is no better than one that is known to be bad; a tree's has none."""
    rule = judged(Gate(loss=LossLimits(max=2)), replace(GOOD, loss=loss))
    assert (rule.passed, rule.code) == (False, "gate.loss")
    tree = judged(Gate(loss=LossLimits(max=2)), Candidate(is_of_a_training=False))
    assert tree.passed is None


def test_a_loss_that_is_not_finite_is_a_rise() -> None:
    """Above whatever there was."""
    rule = judged(RISE, replace(GOOD, loss=Loss(math.nan, 20)), BEFORE)
    assert (rule.passed, rule.why) == (False, "the loss of its last 20 steps is not finite")


@given(numbers, numbers, st.floats(0, 1e6))
def test_a_metric_is_held_against_its_limits(value: float, other: float, change: float) -> None:
    """Its own, and those against what was measured before."""
    champion = replace(BEFORE, evaluation="bleu", metrics={"bleu": other})
    assert measured(MetricLimits(min=other), value).passed is (value >= other)
    assert measured(MetricLimits(max=other), value).passed is (value <= other)
    assert measured(MetricLimits(max_drop=change), value, champion).passed is (value >= other - change)
    assert measured(MetricLimits(max_rise=change), value, champion).passed is (value <= other + change)


def test_a_metric_says_what_is_wrong_with_it() -> None:
    """In the words of the settings."""
    champion = replace(BEFORE, evaluation="bleu", metrics={"bleu": 0.31})
    assert measured(MetricLimits(min=0.3), 0.28).why == "bleu 0.28 is below 0.3"
    assert measured(MetricLimits(max=0.2), 0.28).why == "bleu 0.28 is above 0.2"
    assert measured(MetricLimits(max_drop=0.01), 0.28, champion).why == "bleu 0.28 is 0.03 below 0.31 of job 40"
    assert measured(MetricLimits(max_rise=0), 0.32, champion).why == "bleu 0.32 is 0.01 above 0.31 of job 40"
    assert measured(MetricLimits(max_drop=0), 0.30, champion).passed is False


@pytest.mark.parametrize(
    "champion", (None, BEFORE, replace(BEFORE, evaluation="other", metrics={"bleu": 0.3})), ids=("none", "not", "other")
)
def test_a_drop_below_what_was_not_measured_is_not_judged(champion: Champion | None) -> None:
    """Or was measured by another evaluation."""
    assert measured(MetricLimits(max_drop=0.01), 0.28, champion).passed is None


def test_an_evaluation_that_told_nothing_fails_by_itself() -> None:
    """So does one that does not tell what the gate limits, and one that is not the gate's."""
    gate = Gate(evaluate="bleu", metrics={"bleu": MetricLimits(min=0.3), "rouge": MetricLimits(min=0.3)})
    (failed,) = of_evaluation(gate, Evaluated("bleu", failure="it exited 1: no data"), None)
    assert (failed.passed, failed.code) == (False, "gate.evaluation")
    assert failed.why == "evaluation bleu: it exited 1: no data"
    missing, _ = of_evaluation(gate, Evaluated("bleu", {"bleu": 0.4}), None)
    assert missing.why == "evaluation bleu does not report rouge, which the gate limits"
    other, *_ = of_evaluation(gate, Evaluated("old", {"bleu": 0.4, "rouge": 0.4}), None)
    assert other.passed is False
    assert "old" in other.why


def test_a_verdict_of_before_can_be_read() -> None:
    """What an older glmd left out has its default."""
    verdict = Verdict.model_validate_json('{"passed": false, "reason": "x", "code": "gate.loss"}')
    assert (verdict.passed, verdict.rules, verdict.inputs, verdict.metrics) == (False, (), None, {})
