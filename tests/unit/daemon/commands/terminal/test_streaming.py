"""Promises of daemon.commands.terminal.streaming."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.commands.terminal.streaming import json_lines
from handlers.printable import to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_what_is_written_in_pieces_is_what_json_writes(document: dict[str, object]) -> None:
    """Letter for letter; arrays that come one by one are arrays like others."""
    lazy = ((key, iter(value) if isinstance(value, list) else value) for key, value in document.items())
    whole = to_json(document)
    assert "\n".join(json_lines(lazy)) == (whole if document else "{\n}")


def test_elements_are_asked_for_one_by_one() -> None:
    """The first line comes before the second element is made."""

    def elements() -> Iterator[int]:
        yield 1
        yield 2
        pytest.fail("it was asked for too much")

    lines = json_lines([("a", 0), ("b", elements())])
    assert [next(lines) for _ in range(3)] == ["{", '  "a": 0,', '  "b": [']
