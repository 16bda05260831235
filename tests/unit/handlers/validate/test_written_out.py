"""Plain data as YAML: what is read of it is what was written, type by type."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.validate.document import parse
from handlers.validate.written_out import written_out
from handlers.validate.yaml_nodes import Data
from handlers.validate.yaml_scalars import Scalar

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.sampled_from(
    (
        "on",
        "No",
        "~",
        "null",
        "010",
        "31_4",
        "1:30",
        "5e-5",
        "5.e-5",
        "=",
        "<<",
        ".inf",
        "0x1F",
        "- a",
        "a: b",
        "# a",
        "'",
        "\u2028",
        "🙂",
    )
)
SCALARS: st.SearchStrategy[Scalar] = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | TEXTS
)
VALUES: st.SearchStrategy[Data] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


def read(content: bytes) -> Data:
    """Read it back."""
    document = parse(content, "a.yaml")
    assert document.problems == ()
    return document.root.data


def types(value: Data) -> object:
    """Return the value with its types, for True == 1 == 1.0."""
    if isinstance(value, dict):
        return {key: types(inner) for key, inner in value.items()}
    return list(map(types, value)) if isinstance(value, list) else (type(value), value)


@given(st.dictionaries(TEXTS, VALUES, max_size=6))
def test_what_is_written_is_what_is_read(data: dict[Scalar, Data]) -> None:
    """As PyYAML's rules have it: a text that looks like a number stays a text, a float one with a dot."""
    assert types(read(written_out(data))) == types(data)


@pytest.mark.parametrize(
    ("value", "text"),
    (
        (1e-05, "1.0e-05"),
        (5e22, "5.0e+22"),
        (-math.inf, "-.inf"),
        (math.nan, ".nan"),
        (True, "True"),
        (None, "null"),
        ("./output", '"./output"'),
        ("AdamW", "AdamW"),
        ("on", '"on"'),
        ("5e-5", '"5e-5"'),
        ("a\tb\n", '"a\\u0009b\\u000a"'),
        ([], "[]"),
        ({}, "{}"),
    ),
)
def test_how_it_looks(value: Data, text: str) -> None:
    """Short where it can be."""
    assert written_out({"a": value}, ["why"]).decode() == f"# why\na: {text}\n"


def test_how_what_lies_in_each_other_looks() -> None:
    """A key a line, lists indented."""
    data: dict[Scalar, Data] = {"a": [{"b": 1, "c": [2, [3]]}, "d"], "e": {"f": {}}}
    text = "a:\n  - b: 1\n    c:\n      - 2\n      - - 3\n  - d\ne:\n  f: {}\n"
    assert written_out(data).decode() == text
    assert read(text.encode()) == data
