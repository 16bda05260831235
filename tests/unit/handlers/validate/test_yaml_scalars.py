"""Promises of handlers.validate.yaml_scalars."""

import math

import pytest

from handlers.validate.document import parse
from handlers.validate.yaml_scalars import TAG, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    (
        ("8", 8),
        ("-8", -8),
        ("+8", 8),
        ("130_528", 130528),
        ("31_4", 314),
        ("010", 8),
        ("0", 0),
        ("0x1F", 31),
        ("0b101", 5),
        ("1:30", 90),
        ("5.e-5", 5e-5),
        ("1.0", 1.0),
        (".5", 0.5),
        ("1.5e+3", 1500.0),
        ("5e-5", "5e-5"),
        ("1.5e3", "1.5e3"),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("True", True),
        ("on", True),
        ("No", False),
        ("y", "y"),
        ("tRUE", "tRUE"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'8'", "8"),
        ('"on"', "on"),
        ("2026-11-24", "2026-11-24"),
        ("!!str 8", "8"),
        ("!!float 8", 8.0),
    ),
)
def test_plain_texts_mean_what_pyyaml_has_them_mean(text: str, value: object) -> None:
    """MindFormers reads with PyYAML, so that a check must see the values PyYAML sees, of the same type."""
    data = parse(f"key: {text}\n".encode(), "a.yaml").node.data
    assert isinstance(data, dict)
    assert data["key"] == value
    assert type(data["key"]) is type(value)


def test_nan_equals_itself() -> None:
    """A document with a NaN can be compared with itself, as cutting out a section does."""
    assert [scalar(TAG + "float", ".nan")] == [scalar(TAG + "float", ".NaN")]


@pytest.mark.parametrize("text", ("9" * 101, "0x" + "f" * 1000, "1" + ":5" * 100))
def test_very_long_numbers_are_refused(text: str) -> None:
    """No number makes the check slow, or its message fail."""
    document = parse(f"key: {text}\n".encode(), "a.yaml")
    assert "too long" in document.problems[0].message


@pytest.mark.parametrize("text", ("!!int x", "!!bool maybe", "!!float 1.2.3", "!!int 089"))
def test_a_tag_that_does_not_fit_is_a_problem(text: str) -> None:
    """An explicit tag that the text cannot have is a problem at its place, not a crash."""
    problem = parse(f"key: {text}\n".encode(), "a.yaml").problems[0]
    assert (problem.line, problem.column) == (1, 6)
    assert "not what its tag says" in problem.message
