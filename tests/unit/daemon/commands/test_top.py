"""Promises of `glmd top`."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.commands.terminal.keys import DOWN, ENTER, ESCAPE, UP
from daemon.commands.top import Screen, View, after
from daemon.commands.top_lines import lines, look
from daemon.core.states import State
from daemon.face.cells import cells
from tests.unit.daemon.commands.conftest import PATIENCE, Site, environment
from tests.unit.daemon.commands.trained import log_lines, record
from tests.unit.daemon.face.placed import runs

TRAINING = (State.PREPARING, State.TRAINING)
JOBS = (7, 8, 9)


@pytest.mark.parametrize(
    ("screen", "key", "then"),
    (
        (Screen(chosen=7), DOWN, Screen(chosen=8)),
        (Screen(chosen=9), "j", Screen(chosen=9)),
        (Screen(chosen=8), UP, Screen(chosen=7)),
        (Screen(chosen=7), "k", Screen(chosen=7)),
        (Screen(chosen=8), ENTER, Screen(View.JOB, 8)),
        (Screen(chosen=8), "l", Screen(View.LOG, 8)),
        (Screen(), "l", Screen()),
        (Screen(chosen=8), "n", Screen(View.NIGHT, 8)),
        (Screen(chosen=8), "?", Screen(View.HELP, 8)),
        (Screen(View.JOB, 8), "q", Screen(chosen=8)),
        (Screen(View.NIGHT, 8), ESCAPE, Screen(chosen=8)),
        (Screen(View.LOG, 8), "x", Screen(View.LOG, 8)),
        (Screen(chosen=8), "x", Screen(chosen=8)),
        (Screen(chosen=8), "", Screen(chosen=8)),
        (Screen(chosen=8), "q", None),
    ),
)
def test_keys_do_what_the_help_says(screen: Screen, key: str, then: Screen | None) -> None:
    """They move within the jobs, open what is chosen, and lead back."""
    assert after(key, screen, JOBS) == then


def test_once_prints_what_matters(site: Site) -> None:
    """What runs, with its curve, first; then what waits, and what ended."""
    job = site.add("runs", *TRAINING)
    record(site, job, range(1, 9))
    site.add("waits", devices=(0, 1))
    site.add("broke", *TRAINING, State.FAILED, reason="rank 3 on device 3 exited 1 first", devices=(4, 5))
    printed = site.glmd("top", "--once", COLUMNS="120").stdout
    assert printed.index(" runs ") < printed.index(" waits ") < printed.index(" broke ")
    assert "devices held: [0,2) by 1" in printed
    assert "1. queued  its devices are held" in printed
    assert "rank 3 on device 3" in printed
    assert "glmd does not run: no job goes further" in printed


def test_ranks_are_told_by_their_nodes(site: Site) -> None:
    """Where Slurm has placed them: a node that lags is seen at once; one number stands for all that are as far."""
    job = site.add("far", State.PREPARING, State.SUBMITTED, State.TRAINING, devices=(), nodes=2, ranks=4)
    runs(job, site.root.path)
    for rank in (0, 1, 2):
        log = job.directory(site.root.path).rank_log(rank)
        log.parent.mkdir(parents=True)
        log.write_text(log_lines(range(1, 9 - 3 * (rank == 2))))
    assert "ranks at step n2: 8  n1: 5! -" in site.glmd("top", "--once", COLUMNS="160").stdout


def test_lines_fit_the_screen(site: Site) -> None:
    """Whatever names and reasons are: none is wider, and none is more than there is room for."""
    for number in range(12):
        site.add(f"任务{'名' * 40}{number}", *TRAINING, State.FAILED, reason="原因\n" * 200, devices=(number,))
    shown = look(site.root)
    told = list(lines(shown, shown.jobs[0], datetime.now(UTC), 60, 8))
    assert len(told) == 8
    assert all(cells(line) <= 60 for line in told)


def test_without_a_terminal_it_says_how(site: Site) -> None:
    """A script gets no full screen."""
    run = site.glmd("top")
    assert run.returncode == 2
    assert "glmd top --once" in run.stderr


def test_it_fills_a_terminal_and_leaves_it_as_it_was(site: Site, terminal: tuple[int, int]) -> None:
    """A job is chosen and opened by keys; at the end the terminal echoes again."""
    site.add("first", *TRAINING)
    site.add("second", devices=(0, 1))
    outer, inner = terminal
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    before = termios.tcgetattr(inner)
    env = environment() | {"TERM": "xterm"}
    with subprocess.Popen(site.command("top"), stdin=inner, stdout=inner, stderr=inner, env=env) as process:
        try:
            seen(outer, "enter job")
            os.write(outer, b"\x1b[B")
            seen(outer, ">   2 second")
            os.write(outer, b"\r")
            seen(outer, "0002-second: queued")
            os.write(outer, b"q")
            seen(outer, "enter job")
            os.write(outer, b"q")
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert termios.tcgetattr(inner) == before


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Its outer and its inner end."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def seen(terminal: int, text: str) -> None:
    """Wait until a terminal has shown a text."""
    shown, deadline = "", time.monotonic() + PATIENCE
    while text not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 1 << 16).decode()


def test_the_curve_of_a_job_as_a_picture(site: Site, tmp_path: Path) -> None:
    """`glmd status JOB --svg FILE` writes it whole, and says nothing else; without a record it says why not."""
    job = site.add("runs", *TRAINING)
    file = tmp_path / "loss.svg"
    without = site.glmd("status", "1", "--svg", file)
    assert without.returncode == 2
    assert "no step is recorded" in without.stderr
    assert not file.exists()
    record(site, job, range(1, 9))
    run = site.glmd("status", "1", "--svg", file)
    assert (run.returncode, run.stdout) == (0, "")
    assert "<svg" in file.read_text()
    assert site.glmd("status", "--svg", file).returncode == 2
