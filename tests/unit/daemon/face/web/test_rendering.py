"""What templates are given."""

from datetime import UTC, datetime

import jinja2
import pytest

from daemon.face.web.rendering import _environment, exactly, number
from handlers.hidden_keys import NOTHING_HIDDEN


def test_what_is_not_there_is_a_defect() -> None:
    """A template that names what no view gives says nothing wrong by saying nothing."""
    with pytest.raises(jinja2.UndefinedError):
        _environment(NOTHING_HIDDEN).from_string("{{ nobody }}").render()


def test_everything_is_escaped() -> None:
    """In text and in attributes."""
    hostile = "<script>'\"&"
    made = _environment(NOTHING_HIDDEN).from_string('<a title="{{ x }}">{{ x }}</a>').render(x=hostile)
    assert made == '<a title="&lt;script&gt;&#39;&#34;&amp;">&lt;script&gt;&#39;&#34;&amp;</a>'


def test_every_template_can_be_read() -> None:
    """Each is compiled."""
    environment = _environment(NOTHING_HIDDEN)
    for name in environment.list_templates():
        environment.get_template(name)


@pytest.mark.parametrize(
    ("value", "text"), ((None, "–"), (1.23456, "1.235"), (5e-5, "5e-05"), (0.0, "0"), (65536.0, "6.554e+04"))
)
def test_numbers(value: float | None, text: str) -> None:
    """In four digits."""
    assert number(value) == text


def test_moments() -> None:
    """By this host's clock, with its zone."""
    assert exactly(datetime(2026, 11, 28, 2, 0, 1, tzinfo=UTC)) == "2026-11-28 02:00:01 UTC"
