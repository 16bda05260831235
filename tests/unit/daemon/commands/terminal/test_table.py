"""Promises of the text that commands print."""

import pytest

from daemon.commands.terminal.table import WIDEST, table
from daemon.face.cells import cells


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Chinese takes two cells; numbers are flush right; there are no blanks at a line's end."""
    rows = [("1", "全量", "x"), ("10", "a", "")]
    assert list(table(("N", "NAME", "WHY"), rows, right=frozenset({0}))) == [" N  NAME  WHY", " 1  全量  x", "10  a"]


def test_a_row_is_one_line() -> None:
    """A cell of several lines is told in one, without the blanks that were their layout."""
    assert list(
        table(("N", "WHY"), [("1", "a.yaml:1:1: no\n  1 |   seed: x\n    |         ^ bad\n"), ("2", "a  b")])
    ) == [
        "N  WHY",
        "1  a.yaml:1:1: no 1 | seed: x | ^ bad",
        "2  a  b",
    ]


def test_a_row_drives_no_terminal() -> None:
    """Nor does it end where a stranger's text says so."""
    (_, row) = table(("N", "WHY"), [("1", "no\r\x1b]0;title\x07\u202e\u2028\x85\x0b")])
    assert row == r"1  no\r\x1b]0;title\x07\u202e\u2028\x85\x0b"


def test_a_row_has_an_end() -> None:
    """Also on a pipe, which has no width: the last column is cut where nobody reads on."""
    (_, row) = table(("N", "WHY"), [("1", "word " * 10_000)])
    assert cells(row) == 3 + WIDEST
    assert row.endswith("…")
    (_, row) = table(("N", "WHY"), [("1", "w" * WIDEST)])
    assert row.endswith("w")


@pytest.mark.parametrize("name", ("short", "n" * 64, "全" * 32))
@pytest.mark.parametrize("columns", (50, 60, 80, 200))
def test_rows_fit_a_terminal(monkeypatch: pytest.MonkeyPatch, name: str, columns: int) -> None:
    """However long a name: the last column gives way first, then the widest of the others."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [("1", name, "training", "[0,8)", "long words " * 20), ("1000", "b", "done", "", "")]
    lines = list(table(("JOB", "NAME", "STATE", "DEVICES", "WHY"), rows, right=frozenset({0})))
    assert max(map(cells, lines)) <= columns
    assert all(line.lstrip().split()[0] in {"JOB", "1", "1000"} for line in lines)
    assert "training" in lines[1]
