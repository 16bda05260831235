"""Promises of daemon.face.web.log_pieces: every byte of a log is in one line of one piece."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.face.web import log_pieces
from daemon.face.web.log_pieces import Line, Piece, line_start, piece_before, piece_from

PARTS = (b"\n", b"a", b"bc", "全".encode(), "😀".encode(), b"\xff", b"\r")
CONTENTS = st.lists(st.sampled_from(PARTS), max_size=120).map(b"".join)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a piece have 16 bytes."""
    monkeypatch.setattr(log_pieces, "PIECE", 16)
    monkeypatch.setattr(log_pieces, "_LOOK_BACK", 8)


def written(path: Path, content: bytes) -> io.FileIO:
    """Return a file with this content."""
    path.write_bytes(content)
    return path.open("rb", buffering=0)


def forward(stream: io.FileIO) -> Iterator[Piece]:
    """Yield the pieces from the beginning on."""
    at = 0
    while True:
        found = piece_from(stream, at)
        yield found
        if found.end >= found.size:
            return
        assert found.end > at
        at = found.end


def backward(stream: io.FileIO, size: int) -> Iterator[Piece]:
    """Yield the pieces from the end on."""
    while True:
        found = piece_before(stream, size)
        yield found
        if found.start == 0:
            return
        assert found.start < size
        size = found.start


def bytes_of(pieces: list[Piece], content: bytes) -> bytes:
    """Return what lies in pieces that follow each other, by where their lines are."""
    found = b""
    for piece in pieces:
        assert piece.start == len(found)
        for line in piece.lines:
            assert content[line.at : line.at + len(line.content)] == line.content
            assert b"\n" not in line.content
        found += content[piece.start : piece.end]
    return found


@pytest.mark.usefixtures("small")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENTS)
def test_pieces_follow_each_other_without_a_gap(tmp_path: Path, content: bytes) -> None:
    """Forward and backward, of whatever content."""
    with written(tmp_path / "log", content) as stream:
        assert bytes_of(list(forward(stream)), content) == content
        assert bytes_of(list(backward(stream, len(content)))[::-1], content) == content


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("character", ("é", "全", "😀"))
def test_no_character_is_cut(tmp_path: Path, character: str) -> None:
    """In a line that is longer than a piece."""
    content = b"x" + character.encode() * 40
    with written(tmp_path / "log", content) as stream:
        for pieces in (list(forward(stream)), list(backward(stream, len(content)))[::-1]):
            assert "".join(line.text() for piece in pieces for line in piece.lines) == content.decode()


@pytest.mark.parametrize(("at", "start"), ((0, 0), (1, 0), (3, 0), (4, 4), (6, 4), (9, 8), (10, 8)))
def test_a_byte_lies_in_a_line(tmp_path: Path, at: int, start: int) -> None:
    """Its end belongs to it."""
    with written(tmp_path / "log", b"one\ntwo\nend") as stream:
        assert line_start(stream, at) == start


def test_what_is_not_written_to_its_end_comes_again(tmp_path: Path) -> None:
    """So that it is not told in two halves."""
    with written(tmp_path / "log", b"one\ntw") as stream:
        found = piece_from(stream, 0)
        assert (found.next, found.end, [line.content for line in found.lines]) == (4, 6, [b"one", b"tw"])
    with written(tmp_path / "log", b"one\ntwo\n") as stream:
        assert piece_from(stream, 4).next == 8
        assert piece_from(stream, 8).lines == piece_from(stream, 0).lines
    with written(tmp_path / "log", b"") as stream:
        assert piece_from(stream, 0) == Piece(0, 0, 0, (), 0)


@pytest.mark.parametrize(
    ("content", "told"),
    (
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"a\x00b\x1b", r"a\x00b\x1b"),
        ("a\u202eb\u2066".encode(), r"a\u202eb\u2066"),
        (b"\xff", "�"),
        (b" 10%\r 20%\r", " 20%"),
        (b"a\tb", "a\tb"),
    ),
)
def test_a_line_drives_nothing(content: bytes, told: str) -> None:
    """Colours are left out, all else is said."""
    assert Line(0, content).text() == told


def test_of_a_bar_the_state_that_was_looked_for_is_shown() -> None:
    """It may not be its last."""
    assert Line(0, b"10% loss\r20% EI0006\r30%").text("ei0006") == "20% EI0006"
