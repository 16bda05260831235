"""Where the ranks of a hung training are, kept before they are ended.

py-spy (https://github.com/benfred/py-spy) reads a Python process's stacks from outside, without its help. It does not
pause the rank (`--nonblocking`): one that hangs stands still, and the unit's seccomp filter allows no ptrace.
What the kernel says of each thread follows, for a rank that hangs in a driver.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from handlers.ckpt.files.durable import make_directory
from handlers.event_lines import Log
from handlers.records.train_plan import RankPlan

PATIENCE = 20.0
"""Seconds for all ranks together, after which the training is ended without the rest."""

STOPPED = ", stopped by a signal: SIGSTOP, or a debugger"
"""Behind the function of a rank that is kept from running; those that wait for it are not to blame."""

_THREAD = re.compile(r"^(Thread .*)\n +(\S.*)$", re.MULTILINE)
"""A thread's header and its innermost function, as py-spy writes them."""
_STOPPED = re.compile(r"^State:\s*[Tt] ", re.MULTILINE)
"""What /proc/PID/status says of a process that does not run until somebody lets it."""


def save_stacks(ranks: Mapping[int, RankPlan], directory: Path, log: Log) -> dict[int, str]:
    """Write rank_N.txt for each of `ranks`, by its process's pid; return those innermost Python functions that show.

    Takes PATIENCE at most, and never fails: what it is for is worth less than the ending of the training.
    """
    try:
        make_directory(directory)
        unread = _dump_python(ranks, directory)
        found = {rank.number: _finish(_file(directory, rank), pid) for pid, rank in ranks.items()}
    except OSError as error:
        log.warning("stacks_not_saved", path=directory, reason=str(error))
        return {}
    for pid, why in unread.items():
        log.warning("python_stack_not_read", rank=ranks[pid].number, reason=why)
    log.info("stacks_saved", path=directory)
    return {rank: frame for rank, frame in found.items() if frame}


def stopped(frames: Mapping[int, str]) -> frozenset[int]:
    """Return the ranks that were stopped when `save_stacks` found these functions."""
    return frozenset(rank for rank, frame in frames.items() if frame.endswith(STOPPED))


def _finish(file: Path, pid: int) -> str:
    """Add what the kernel says to a rank's file; return its main thread's innermost function, where Python tells."""
    dump = file.read_text("utf-8", "replace") if file.exists() else ""
    with file.open("a") as stream:
        stream.write(_kernel_view(pid))
    frame = _innermost(dump, pid)
    return f"{frame or 'unknown code'}{STOPPED}" if _STOPPED.search(_read(Path(f"/proc/{pid}/status"))) else frame


def _innermost(dump: str, pid: int) -> str:
    """Return the innermost function of the main thread: the only one, or known by its name, or by its id."""
    threads: dict[str, str] = dict(_THREAD.findall(dump))
    if len(threads) == 1:
        return next(iter(threads.values()))
    main = (*(h for h in threads if '"MainThread"' in h), *(h for h in threads if h.startswith(f"Thread {pid} ")))
    return threads[main[0]] if main else ""


def _dump_python(ranks: Mapping[int, RankPlan], directory: Path) -> dict[int, str]:
    """Let py-spy write each rank's file; return why it did not for those, by pid, that it could not read."""
    tool = _py_spy()
    if tool is None:
        return dict.fromkeys(ranks, "py-spy is neither beside glmd's interpreter nor in PATH")
    unread, running = {}, {}
    for pid, rank in ranks.items():
        argv = [tool, "dump", "--nonblocking", "--pid", str(pid)]
        with _file(directory, rank).open("wb") as out:
            try:
                running[pid] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            except OSError as error:
                unread[pid] = str(error)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(dump.poll() is None for dump in running.values()):
        time.sleep(0.05)
    for pid, dump in running.items():
        if dump.poll() is None:
            dump.kill()  # not waited for: the kernel may hold it, and who ends the training reaps it
            unread[pid] = f"py-spy took longer than {PATIENCE:g} s"
        elif dump.returncode != 0:
            unread[pid] = f"py-spy: {_first_line(_file(directory, ranks[pid]))}"
    return unread


def _first_line(file: Path) -> str:
    """Return the first line that says something: of py-spy's, a backtrace of its own follows."""
    return next((line for line in file.read_text("utf-8", "replace").splitlines() if line.strip()), "it said nothing")


def _py_spy() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _file(directory: Path, rank: RankPlan) -> Path:
    return directory / f"rank_{rank.number}.txt"


def _kernel_view(pid: int) -> str:
    """Return each thread's state and where in the kernel it waits. Nothing that is read can block for a hung one."""
    lines = ["", "What the kernel says (man 5 proc: State, wchan, stack):"]
    for task in sorted(Path(f"/proc/{pid}/task").glob("*")):
        state = re.search(r"^State:\s*(.*)$", _read(task / "status"), re.MULTILINE)
        name, waits = _read(task / "comm").strip(), _read(task / "wchan").strip("\0\n")
        lines.append(f"Thread {task.name} {name}: {state[1] if state else '?'}, wchan {waits or '?'}")
        lines += [f"    {line}" for line in _read(task / "stack").splitlines()]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:  # it is gone, or only root may know
        return ""
