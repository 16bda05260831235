"""Which step a process works for, as the kernel tells it."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handlers.records.job_dir import JobDir, Step
from handlers.shim.marks import NAME, Marked, has_lost_its_lock, mark, marked_processes

WAIT = "print(flush=True); input()"
FORK = "import os, signal; child = os.fork() or signal.pause(); " + WAIT + "; os.kill(child, 9); os.wait()"
LOCK = "import fcntl, sys; lock = open(sys.argv[1], 'ab'); fcntl.flock(lock, fcntl.LOCK_EX); " + WAIT


@contextmanager
def process(*words: str, **environment: str) -> Iterator[int]:
    """Run a process that waits; yield its pid."""
    command = [sys.executable, "-SEc", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **environment}) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running.pid
        running.communicate("\n")


def of(pid: int) -> Marked | None:
    """Return what is said of a process."""
    return next((one for one in marked_processes() if one.identity.pid == pid), None)


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """Return where a step of a job has its records."""
    path = JobDir(tmp_path / "jobs" / "0001-run").step(2, Step.TRAIN).path
    path.mkdir(parents=True)
    return path


def test_a_process_is_known_by_its_environment_and_so_are_its_children(step: Path) -> None:
    """However they were started: a fork keeps what the kernel has of it."""
    with process(FORK, **{NAME: mark(step, (0, 1))}) as pid:
        found = [one for one in marked_processes() if one.step == step]
        assert len(found) == 2
        assert pid in {one.identity.pid for one in found}
        assert {(one.devices, one.is_shim) for one in found} == {((0, 1), False)}


def test_a_shim_is_known_by_its_lock_wherever_that_is_moved(step: Path) -> None:
    """A lock that is removed is known, too."""
    with process(LOCK, str(step / "lock")) as pid:
        found = of(pid)
        assert found is not None
        assert (found.step, found.is_shim, has_lost_its_lock(pid)) == (step, True, False)
        moved = step.parents[3].rename(step.parents[4] / "elsewhere")
        found = of(pid)
        assert found is not None
        assert found.place == moved / step.relative_to(step.parents[3])
        shutil.rmtree(moved)
        assert of(pid) is not None
        assert has_lost_its_lock(pid)


@pytest.mark.parametrize("how", ("directory", "instance"))
def test_a_shim_is_known_by_its_command_line(step: Path, tmp_path: Path, how: str) -> None:
    """As spawned, and as a unit: its lock may be gone."""
    by_instance = ("--root", str(tmp_path), "--instance", "0001-2-train")
    words = (str(step.parents[2]), "2", "train") if how == "directory" else by_instance
    with process(WAIT, "handlers.shim", *words) as pid:
        found = of(pid)
        assert found is not None
        assert (found.step, found.is_shim) == (step, True)


def test_a_units_shim_whose_directory_is_gone_is_known_by_its_lock(step: Path, tmp_path: Path) -> None:
    """Its command line names the job's number alone."""
    by_instance = ("--root", str(tmp_path), "--instance", "0001-2-train")
    with process(LOCK, str(step / "lock"), "handlers.shim", *by_instance) as pid:
        shutil.rmtree(step.parents[3])
        found = of(pid)
        assert found is not None
        assert (found.step, found.is_shim) == (step, True)


@pytest.mark.parametrize("value", ("", "0", "x:/a", "0:relative", f"{1 << 70}:/jobs/0001-run/attempts/1/train"))
def test_a_mark_that_says_nothing_harms_nobody(value: str) -> None:
    """Anybody may set a variable."""
    with process(WAIT, **{NAME: value}) as pid:
        found = of(pid)
        assert found is None or found.devices == ()


def test_who_asks_is_not_among_them(step: Path) -> None:
    """The daemon itself holds a step's lock at times."""
    with (step / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert of(os.getpid()) is None
