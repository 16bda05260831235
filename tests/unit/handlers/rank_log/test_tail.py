"""The end of a log, cleaned and bounded."""

from pathlib import Path

from handlers.rank_log.tail import TAIL_BYTES, tail


def test_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    """Only whole lines of the last part are returned, and the last is among them."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    lines = tail(log)
    assert lines[-2:] == ["line 99999", ""]
    assert all(line.startswith("line ") for line in lines[:-1])
    assert sum(len(line) + 1 for line in lines) <= TAIL_BYTES


def test_no_log(tmp_path: Path) -> None:
    """A log that is not there yet, or cannot be read, has no lines."""
    assert tail(tmp_path / "log") == []
    assert tail(tmp_path) == []


def test_terminal_sequences_are_taken_out(tmp_path: Path) -> None:
    """Colours, titles and cursor movements do not reach whoever prints the line."""
    log = tmp_path / "log"
    log.write_bytes(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x08\x00end\x9b\xff\n")
    assert tail(log) == ["red end\ufffd\ufffd", ""]


def test_progress_bar_states_are_lines(tmp_path: Path) -> None:
    """A bar that rewrites its line does not hide the line before."""
    log = tmp_path / "log"
    log.write_bytes(b"before\n 10%|#\r 20%|##\r")
    assert tail(log)[:3] == ["before", " 10%|#", " 20%|##"]


def test_one_endless_line(tmp_path: Path) -> None:
    """A line longer than what is read is returned in part rather than not at all."""
    log = tmp_path / "log"
    log.write_bytes(b"x" * (TAIL_BYTES + 10))
    assert tail(log) == ["x" * TAIL_BYTES]


def test_a_quarter_is_read_where_that_is_enough(tmp_path: Path) -> None:
    """And all of it where not; the last line is among them either way."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {number:06d}\n" for number in range(10_000)))
    short, whole = tail(log, enough=lambda _: True), tail(log)
    assert short == whole[-len(short) :]
    assert 0.2 * len(whole) < len(short) < 0.3 * len(whole)
    assert tail(log, enough=lambda _: False) == whole
