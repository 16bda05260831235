"""What the log events look like, and where they go."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog

from handlers.events import configure, job_log


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def only(lines: str) -> dict[str, object]:
    """Read the one JSON line there is."""
    (line,) = lines.splitlines()
    event: dict[str, object] = json.loads(line)
    return event


def test_one_json_object_a_line() -> None:
    """The journal gets name, level, UTC time and fields of an event."""
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger().info("rank_exited", rank=3, exit_code=1)
    event = only(stream.getvalue())
    assert {"event": "rank_exited", "level": "info", "rank": 3, "exit_code": 1}.items() <= event.items()
    assert datetime.fromisoformat(str(event["timestamp"])).utcoffset() == timedelta(0)


def test_terminal_gets_pretty_lines() -> None:
    """`auto` is for people when people look on, and can be overruled."""
    terminal = Terminal()
    configure(stream=terminal)
    structlog.get_logger().info("rank_exited", rank=3)
    assert "rank_exited" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    terminal = Terminal()
    configure(stream=terminal, format="json")
    structlog.get_logger().info("rank_exited", rank=3)
    assert only(terminal.getvalue())["rank"] == 3


def test_level() -> None:
    """Events below the level are not shown."""
    stream = io.StringIO()
    configure(stream=stream, level="WARNING")
    structlog.get_logger().info("small")
    structlog.get_logger().warning("big")
    assert only(stream.getvalue())["event"] == "big"


def test_unknown_level() -> None:
    """A misspelt level is refused by name."""
    with pytest.raises(ValueError, match="'loud'"):
        configure(level="loud")


def test_job_log_tells_both(tmp_path: Path) -> None:
    """A job's event goes to stderr and to the job's file, with the bound fields."""
    stream = io.StringIO()
    configure(stream=stream)
    log = job_log(tmp_path / "events.jsonl", job=42, attempt=1)
    log.info("rank_exited", rank=3)
    log.bind(tag="31_4").info("published", path=tmp_path)
    first, second = (json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines())
    assert (first["event"], first["job"], first["attempt"], first["rank"]) == ("rank_exited", 42, 1, 3)
    assert (second["tag"], second["path"], second["job"]) == ("31_4", str(tmp_path), 42)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [first, second]


def test_job_log_is_json_beside_a_terminal(tmp_path: Path) -> None:
    """The file's format does not depend on who looks on; a traceback is a field of the event."""
    terminal = Terminal()
    configure(stream=terminal)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        job_log(tmp_path / "events.jsonl", job=42).exception("broke")
    event = only((tmp_path / "events.jsonl").read_text())
    assert "ZeroDivisionError: division by zero" in str(event["exception"])
    assert "ZeroDivisionError" in terminal.getvalue()


def test_other_loggers_do_not_write_to_the_job(tmp_path: Path) -> None:
    """Only the job's own logger appends to its file."""
    configure(stream=io.StringIO())
    job_log(tmp_path / "events.jsonl", job=42)
    structlog.get_logger().info("unrelated")
    assert not (tmp_path / "events.jsonl").exists()


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    """Daemon and shim append to the same file without mixing their lines."""
    path = tmp_path / "events.jsonl"
    code = (
        "import sys; from pathlib import Path; from handlers.events import configure, job_log; configure()\n"
        "log = job_log(Path(sys.argv[1]), who=sys.argv[2])\n"
        "for number in range(200): log.info('event', number=number, reason='x' * 5000)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, path, str(who)], stderr=subprocess.DEVNULL) for who in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for who in ("0", "1", "2"):
        assert [event["number"] for event in events if event["who"] == who] == list(range(200))


def test_job_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The event is still told on stderr, with what kept it from the file."""
    stream = io.StringIO()
    configure(stream=stream)
    job_log(tmp_path / "missing" / "events.jsonl", job=42).info("rank_exited")
    event = only(stream.getvalue())
    assert event["event"] == "rank_exited"
    assert "No such file" in str(event["events_file_error"])


def test_stderr_that_cannot_be_written(tmp_path: Path) -> None:
    """A full disk below stderr raises nothing, and the job's file still gets the event."""
    with Path("/dev/full").open("w") as full:
        configure(stream=full)
        job_log(tmp_path / "events.jsonl", job=42).info("rank_exited")
        full.buffer.raw.close()  # type: ignore[attr-defined]  # what is buffered cannot be flushed
    assert only((tmp_path / "events.jsonl").read_text())["event"] == "rank_exited"


@pytest.mark.parametrize("style", ("json", "pretty"))
def test_no_escape_sequence_reaches_a_terminal(tmp_path: Path, style: str) -> None:
    """A file dropped under a hostile name cannot move the cursor of who reads the log."""
    terminal = Terminal()
    configure(stream=terminal, format="json" if style == "json" else "pretty")
    job_log(tmp_path / "events.jsonl").info("claimed", path=Path("\x1b]0;owned\x07\x9b2J\udcff.yaml"))
    for said in (terminal.getvalue(), (tmp_path / "events.jsonl").read_text()):
        assert "\x1b]" not in said
        assert "\x07" not in said
        assert "\x9b" not in said
        assert "owned" in said
