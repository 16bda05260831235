"""Promises of the text that commands print."""

import pytest

from daemon.commands.table import cells, cut, printable, size, table


@pytest.mark.parametrize(
    ("text", "shown"),
    (("plain 全", "plain 全"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\nb\tc", "a\\nb\\tc"), ("\u202egnp", "\\u202egnp")),
)
def test_nothing_that_is_shown_drives_a_terminal(text: str, shown: str) -> None:
    """Control characters, line ends and direction marks are spelt out."""
    assert printable(text) == shown


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Chinese takes two cells; numbers are flush right; there are no blanks at a line's end."""
    rows = [("1", "全量", "x"), ("10", "a", "")]
    assert list(table(("N", "NAME", "WHY"), rows, right=frozenset({0}))) == [" N  NAME  WHY", " 1  全量  x", "10  a"]


def test_what_is_cut_says_so_and_fits() -> None:
    """Also when a character of two cells is at the edge."""
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cells(cut("全全全全", 6)) <= 6


@pytest.mark.parametrize(("count", "text"), ((0, "0 B"), (999, "999 B"), (25_100_000, "25.1 MB"), (12.3e9, "12.3 GB")))
def test_sizes_have_the_unit_that_fits(count: float, text: str) -> None:
    """Decimal units, as file systems' makers and `ls --si` have them."""
    assert size(count) == text
