"""Where the ranks of a hung training are."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import capture_logs

from handlers.records.job_plan import RankPlan
from handlers.shim import stacks

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

HANGS = "import time\ndef all_reduce():\n    print('hangs', flush=True)\n    time.sleep(600)\nall_reduce()"


@pytest.fixture
def hung(workshop: "Workshop") -> Iterator[dict[int, RankPlan]]:
    """Return a process that hangs, as rank 3."""
    with subprocess.Popen(
        [sys.executable, "-SEc", HANGS], env=workshop.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield {process.pid: workshop.rank(3)}
        process.kill()


def save(ranks: dict[int, RankPlan], directory: Path) -> dict[int, str]:
    """Save the stacks."""
    return stacks.save_stacks(ranks, directory, structlog.get_logger())


def test_python_function_and_kernel_wait_are_told(hung: dict[int, RankPlan], tmp_path: Path) -> None:
    """With py-spy, which glmd brings along."""
    assert save(hung, tmp_path / "stacks") == {3: "all_reduce (<string>:4)"}
    text = (tmp_path / "stacks" / "rank_3.txt").read_text()
    assert "    <module> (<string>:5)\n" in text
    assert "S (sleeping), wchan " in text


def test_without_py_spy_the_kernel_tells(
    hung: dict[int, RankPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without it still learns whether a rank computes, sleeps or sits in the driver."""
    monkeypatch.setattr(stacks, "_py_spy", lambda: None)
    with capture_logs() as logs:
        assert save(hung, tmp_path) == {}
    assert [entry["event"] for entry in logs] == ["python_stack_not_read", "stacks_saved"]
    assert f"Thread {next(iter(hung))} python" in (tmp_path / "rank_3.txt").read_text()


def test_py_spy_that_hangs_does_not_hold_up_the_ending(
    hung: dict[int, RankPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed after the patience, and what the kernel says is saved all the same."""
    tool = tmp_path / "py-spy"
    tool.write_text(
        f"#!{sys.executable} -SE\nimport os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    tool.chmod(0o755)
    monkeypatch.setattr(stacks, "_py_spy", lambda: str(tool))
    monkeypatch.setattr(stacks, "PATIENCE", 2.0)
    kept: list[subprocess.Popen[bytes]] = []
    started = subprocess.Popen

    def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        kept.append(started(*arguments, **options))  # type: ignore[call-overload]
        return kept[-1]

    monkeypatch.setattr(stacks.subprocess, "Popen", start)
    began = time.monotonic()
    assert save(hung, tmp_path) == {}
    assert 2 <= time.monotonic() - began < 30
    assert [dump.wait(30) for dump in kept] == [-9]
    assert "wchan" in (tmp_path / "rank_3.txt").read_text()


def test_py_spy_that_may_not_look_is_told(
    hung: dict[int, RankPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox that forbids it costs the Python stacks; an event says so, and what the kernel says is there."""
    tool = tmp_path / "py-spy"
    tool.write_text("#!/bin/sh\necho; echo 'Permission Denied: mine'; echo ' 0: backtrace'; exit 1\n")
    tool.chmod(0o755)
    monkeypatch.setattr(stacks, "_py_spy", lambda: str(tool))
    with capture_logs() as logs:
        assert save(hung, tmp_path / "stacks") == {}
    assert [(e["event"], e.get("rank"), e.get("reason")) for e in logs] == [
        ("python_stack_not_read", 3, "py-spy: Permission Denied: mine"),
        ("stacks_saved", None, None),
    ]
    assert "wchan" in (tmp_path / "stacks" / "rank_3.txt").read_text()


def test_rank_that_has_gone_meanwhile(workshop: "Workshop", tmp_path: Path) -> None:
    """There is nothing to tell, and no error."""
    with subprocess.Popen([sys.executable, "-SEc", ""]) as process:
        process.wait()
    assert save({process.pid: workshop.rank(0)}, tmp_path) == {}


def test_full_disk_does_not_hold_up_the_ending(hung: dict[int, RankPlan], tmp_path: Path) -> None:
    """Where nothing can be written, nothing is, and the training is ended all the same."""
    (tmp_path / "file").touch()
    assert save(hung, tmp_path / "file" / "stacks") == {}


@pytest.mark.parametrize(
    ("dump", "frame"),
    (
        ("Thread 7 (idle)\n    f (a.py:1)\n    g (a.py:2)\n", "f (a.py:1)"),
        (
            'Thread 0x7FD5 (active): "Thread-1"\n    f (a.py:1)\nThread 0x7FD6 (idle): "MainThread"\n    g (b.py:2)\n',
            "g (b.py:2)",
        ),
        ("Thread 0x7FD5 (active)\n    f (a.py:1)\n    g (a.py:2)\n", "f (a.py:1)"),
        ("Error: Failed to open process 7\n", ""),
        ("", ""),
    ),
)
def test_main_thread_is_known_by_name_or_by_id(dump: str, frame: str) -> None:
    """Python 3.9's threads have other ids than the kernel's, and a process without threading no names."""
    assert stacks._innermost(dump, 7) == frame
