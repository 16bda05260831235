"""Promises of daemon.commands.terminal.progress: a bar for people, events for logs, and neither too often."""

import io
import json
import sys

import pytest
import structlog

from daemon.commands.terminal import progress as module
from daemon.commands.terminal.progress import bar, progress, report, warn
from handlers.events import configure


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Be one."""
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the time be what the list's only number says."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_events_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    """One JSON object a line, at most every five seconds."""
    with progress("merge_progress", "merging") as shown:
        for step in range(21):
            clock[0] = 100.0 + step
            shown(step, 20)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(event["event"], event["done"], event["total"]) for event in events] == [
        ("merge_progress", done, 20) for done in (5, 10, 15, 20)
    ]


def test_events_look_as_those_of_the_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    """The same keys and forms as structlog gives them, so that whoever reads one reads the other."""
    report("merge_planned", tag="31_4", path="/tmp/\x1b[31m", ranks=4)  # noqa: S108 - only a text
    ours = json.loads(capsys.readouterr().err)
    try:
        configure(format="json")
        structlog.get_logger().info("merge_planned", tag="31_4", path="/tmp/\x1b[31m", ranks=4)  # noqa: S108
    finally:
        structlog.reset_defaults()
    theirs = json.loads(capsys.readouterr().err)
    stamps = ours.pop("timestamp"), theirs.pop("timestamp")
    assert ours == theirs
    assert [len(stamp) for stamp in stamps] == [27, 27]
    assert all(stamp.endswith("Z") for stamp in stamps)


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """Rewritten in place at most ten times a second, taken away at the end, and no event in between."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("merge_progress", "merging") as shown:
        for step in range(1001):
            clock[0] = 100.0 + step / 1000
            shown(step, 1000)
        report("merge_published")
    printed = terminal.getvalue()
    assert 9 <= printed.count("merging") <= 10
    assert "merge_published" not in printed
    assert printed.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("done", "total", "text"),
    (
        (0, 0, "100%  0 B of 0 B"),
        (0, 1000, "0%  0 B of 1.0 kB"),
        (250, 1000, "25%  250 B of 1.0 kB  125 B/s  6 s left"),
        (1000, 1000, "100%  1.0 kB of 1.0 kB  500 B/s  0 s left"),
    ),
)
def test_a_bar_says_how_far_how_fast_and_how_long_still(done: int, total: int, text: str) -> None:
    """After two seconds."""
    drawn = bar(done, total, 2.0)
    assert drawn.partition(" ")[2].strip() == text
    assert len(drawn.partition(" ")[0]) == module.BAR


def test_a_warning_is_an_event_or_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log event with its level where no terminal is; on one, in words and in one line."""
    warn("family_dropped", "ema is left out", {"family": "ema"})
    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["level"], event["family"]) == ("family_dropped", "warning", "ema")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    warn("family_dropped", "e\x1bma is left out", {"family": "ema"})
    assert terminal.getvalue() == "warning: e\\x1bma is left out\n"
