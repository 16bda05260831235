"""Promises of daemon.face.event_lines."""

import pytest

from daemon.face.event_lines import event_line, last_state


@pytest.mark.parametrize(
    ("line", "told"),
    (
        (
            '{"job": 1, "rank": 3, "p": "/a b", "event": "x", "level": "warning", "timestamp": "2026-11-24T09:14:07Z"}',
            '2026-11-24 09:14:07 WARNING x rank=3 p="/a b"',
        ),
        ('{"event": "x", "timestamp": "2026-11-24T09:14:07Z", "l": [1]}', "2026-11-24 09:14:07 x l=[1]"),
        ('{"event": "cut', '{"event": "cut'),
        ("[]", "[]"),
        ("\x1b[2J", "\\x1b[2J"),
        ("[" * 100_000, "[" * 100_000),
    ),
)
def test_a_line_for_people(line: str, told: str) -> None:
    """What is no event stays as it is, but for what drives a terminal."""
    assert event_line(line) == told


def test_a_bar_is_shown_as_it_stands_in_the_end() -> None:
    """Whether or not it ends with a carriage return."""
    assert last_state("10%\r20%\r30%\r") == last_state("10%\r30%") == "30%"
