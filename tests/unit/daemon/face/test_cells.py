"""Promises of daemon.face.cells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.face.cells import cells, cut


def test_what_is_cut_says_so_and_fits() -> None:
    """Also when a character of two cells is at the edge."""
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("全全全全", 6) == "全全…"


@pytest.mark.parametrize("whole", ("e\u0301", "\U0001f469\u200d\U0001f4bb", "\U0001f44d\U0001f3fd", "\u2764\ufe0f"))
def test_a_character_keeps_its_marks(whole: str) -> None:
    """Accents, joined signs, colours of skin: where they do not fit, the whole goes."""
    text = f"ab{whole}" * 9
    for room in range(1, 20):
        shown = cut(text, room)
        assert shown.endswith("…")
        assert shown[:-1].replace(f"ab{whole}", "") in {"", "a", "ab"}


@given(st.text(), st.integers(1, 80))
def test_nothing_is_wider_than_its_room(text: str, room: int) -> None:
    """Whatever it is made of; and what fits stays as it is."""
    shown = cut(text, room)
    assert cells(shown) <= room
    assert shown == text if cells(text) <= room else shown.endswith("…") and text.startswith(shown[:-1])
