"""Promises of daemon.face.notify.harmless: no word of a stranger does anything in a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.face.cells import cells
from daemon.face.notify.texts.harmless import LONGEST, harmless


@pytest.mark.parametrize(
    "call",
    (
        "@all",
        "@everyone",
        "@here",
        "@所有人",
        "glm@npu01",
        "<!channel>",
        "<!subteam^S1>",
        "<@U1>",
        "<@all>",
        '<at user_id="all">all</at>',
        "<AT id=all></AT>",
        "<#C1>",
    ),
)
def test_nobody_is_called(call: str) -> None:
    """By DingTalk, Feishu, WeCom, Slack, Discord, Telegram: what calls there is no longer in it."""
    shown = harmless(f"rank 3: {call} x")
    assert "@" not in shown
    assert not any(opening in shown.lower() for opening in ("<!", "<\uff20", "<#", "<at", "</at"))


def test_what_compares_stays() -> None:
    """Not each < is a call."""
    assert harmless("2 < 3, a <b> c") == "2 < 3, a <b> c"


def test_a_value_is_one_line() -> None:
    """Its layout is lost, and what drives a terminal or turns text around is shown as what it is."""
    assert harmless("a\n  b\tc\x1b[31m\x00\u202e\udc80\u2028") == r"a b c\x1b[31m\x00\u202e\udc80\u2028"


@pytest.mark.parametrize("char", ("x", " ", "\n", "全", "\u0301", "\u202e", "@"))
def test_a_huge_value_is_cut_at_once(char: str) -> None:
    """10 MB of anything; that it was cut can be seen."""
    shown = harmless("why: " + char * 10_000_000)
    assert cells(shown) <= LONGEST
    assert shown.endswith("…")


@given(st.text(alphabet=st.characters()) | st.text(alphabet="<@!#a\u202e\udc80\x1b\n全\u0301"))
def test_whatever_it_is_it_is_harmless(text: str) -> None:
    """Printable, bounded, encodable; and what is harmless already stays."""
    shown = harmless(text)
    assert shown.isprintable()
    assert cells(shown) <= LONGEST
    assert "@" not in shown
    shown.encode()
    assert harmless(shown) == shown
