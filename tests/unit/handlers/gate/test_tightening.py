"""Promises of handlers.gate: a dropped file can only make the gate of the settings stricter."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from handlers.gate.gate import Gate
from handlers.gate.tightening import looser, tightened

limits = st.none() | st.integers(-5, 5)
changes = st.none() | st.integers(0, 5)
shares = st.none() | st.integers(0, 5).map(lambda percent: f"{percent}%")


def without_none(value: Mapping[str, object]) -> dict[str, object]:
    """Return a mapping as a file has it: a key without a value is none."""
    return {key: inner for key, inner in value.items() if inner is not None}


metrics = st.fixed_dictionaries({"max": limits, "max_drop": changes, "max_rise": changes}).map(without_none)
gates = st.fixed_dictionaries(
    {
        "finite": st.none() | st.booleans(),
        "loss": st.fixed_dictionaries(
            {"max": limits, "max_rise": shares, "over": st.none() | st.integers(1, 3)}
        ).map(without_none),
        "evaluate": st.none() | st.sampled_from(("a", "b")),
        "metrics": st.dictionaries(st.sampled_from(("x", "y")), metrics, max_size=2),
    }
).map(without_none)  # fmt: skip


@given(gates, gates)
def test_what_is_not_looser_is_what_holds(settings: dict[str, object], wish: dict[str, object]) -> None:
    """Each value that a file gives is in the gate that its output has to pass, unless it is looser, and told so."""
    ours, theirs = Gate.model_validate(settings), Gate.model_validate(wish)
    whole = tightened(ours, theirs)
    assert not [*looser(ours, whole)]
    if not [*looser(ours, theirs)]:
        assert whole.loss.max == (theirs.loss.max if theirs.loss.max is not None else ours.loss.max)
        assert whole.evaluate == (theirs.evaluate or ours.evaluate)
        assert whole.finite is (theirs.finite if "finite" in theirs.model_fields_set else ours.finite)


@given(gates)
def test_a_file_that_says_nothing_changes_nothing(settings: dict[str, object]) -> None:
    """Its defaults are not wishes: `finite: false` of the settings stays."""
    ours = Gate.model_validate(settings)
    whole = tightened(ours, Gate())
    assert (whole.finite, whole.loss.max, whole.loss.over) == (ours.finite, ours.loss.max, ours.loss.over)
    assert whole.metrics.keys() == ours.metrics.keys()


@pytest.mark.parametrize(
    ("settings", "wish", "keys"),
    (
        ({}, {"finite": False}, ("finite",)),
        ({"loss": {"max": 2}}, {"loss": {"max": 3}}, ("loss", "max")),
        ({"loss": {"max_rise": "5%"}}, {"loss": {"max_rise": "5.5 %"}}, ("loss", "max_rise")),
        ({"loss": {"max": 2}}, {"loss": {"over": 1}}, ("loss", "over")),
        ({"evaluate": "a"}, {"evaluate": "b"}, ("evaluate",)),
        ({"metrics": {"x": {"min": 2}}}, {"metrics": {"x": {"min": 1}}}, ("metrics", "x", "min")),
        ({"metrics": {"x": {"max": 1}}}, {"metrics": {"x": {"max": 2}}}, ("metrics", "x", "max")),
        ({"metrics": {"x": {"max_drop": 0}}}, {"metrics": {"x": {"max_drop": 0.1}}}, ("metrics", "x", "max_drop")),
        ({"metrics": {"x": {"max_rise": 0}}}, {"metrics": {"x": {"max_rise": 1}}}, ("metrics", "x", "max_rise")),
    ),
)
def test_what_is_looser_is_named(settings: object, wish: object, keys: tuple[str, ...]) -> None:
    """With its place; and the other way round nothing is."""
    ours, theirs = Gate.model_validate(settings), Gate.model_validate(wish)
    assert [one.keys for one in looser(ours, theirs)] == [keys]
    if keys not in {("evaluate",), ("loss", "over")}:
        assert not [*looser(theirs, ours)]


@pytest.mark.parametrize(
    "gate",
    (
        {"loss": {"max": "2"}},
        {"loss": {"max": float("nan")}},
        {"loss": {"max": float("inf")}},
        {"loss": {"max": True}},
        {"loss": {"max": 1e31}},
        {"loss": {"max_rise": 0.05}},
        {"loss": {"max_rise": 5}},
        {"loss": {"max_rise": "-5%"}},
        {"loss": {"max_rise": "nan%"}},
        {"loss": {"max_rise": "1001%"}},
        {"loss": {"max_rise": "5"}},
        {"loss": {"over": 0}},
        {"loss": {"over": 1.5}},
        {"loss": {"min": 1}},
        {"finite": "yes"},
        {"evaluate": "rm -rf /"},
        {"evaluate": ["a"]},
        {"metrics": {"bleu": {"max_drop": -0.1}}},
        {"metrics": {"bleu": {"min": 2, "max": 1}}},
        {"metrics": {"b l": {"min": 2}}},
        {"command": ["touch"]},
    ),
)
def test_what_nobody_means_is_refused(gate: object) -> None:
    """In a file and in the settings alike."""
    with pytest.raises(ValidationError):
        Gate.model_validate(gate)


def test_what_was_read_is_read_again_the_same() -> None:
    """checked.json keeps a file's gate as data."""
    gate = Gate.model_validate({"loss": {"max_rise": "2.5 %", "max": 3}, "metrics": {"x": {"min": 1}}})
    assert Gate.model_validate(gate.model_dump(mode="json", exclude_unset=True)) == gate
    assert gate.loss.rise == pytest.approx(0.025)
