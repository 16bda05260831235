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

from structlog.typing import FilteringBoundLogger

from handlers.ckpt.durable import make_directory
from handlers.job_plan import ProcessPlan

PATIENCE = 20.0
"""Seconds for all ranks together, after which the training is ended without the rest."""

_THREAD = re.compile(r"^(Thread .*)\n +(\S.*)$", re.MULTILINE)
"""A thread's header and its innermost function, as py-spy writes them."""


def save_stacks(ranks: Mapping[int, ProcessPlan], directory: Path, log: FilteringBoundLogger) -> dict[int, str]:
    """Write rank_N.txt for each of `ranks`, given by pid; return the innermost Python function of those that show it.

    Takes PATIENCE at most, and never fails: what it is for is worth less than the ending of the training.
    """
    try:
        make_directory(directory)
        _dump_python(ranks, directory)
        found = {process.rank: _finish(_file(directory, process), pid) for pid, process in ranks.items()}
    except OSError as error:
        log.warning("stacks_not_saved", path=directory, reason=str(error))
        return {}
    log.info("stacks_saved", path=directory)
    return {rank: frame for rank, frame in found.items() if rank is not None and frame}


def _finish(file: Path, pid: int) -> str:
    """Add what the kernel says to a rank's file; return its main thread's innermost function, where Python tells."""
    dump = file.read_text("utf-8", "replace") if file.exists() else ""
    with file.open("a") as stream:
        stream.write(_kernel_view(pid))
    return _innermost(dump, pid)


def _innermost(dump: str, pid: int) -> str:
    """Return the innermost function of the main thread: known by its name, or by its id where it has no name."""
    threads: dict[str, str] = dict(_THREAD.findall(dump))
    main = (*(h for h in threads if '"MainThread"' in h), *(h for h in threads if h.startswith(f"Thread {pid} ")))
    return threads[main[0]] if main else ""


def _dump_python(ranks: Mapping[int, ProcessPlan], directory: Path) -> None:
    tool = _py_spy()
    if tool is None:
        return
    running = []
    for pid, process in ranks.items():
        with _file(directory, process).open("wb") as stream:
            argv = [tool, "dump", "--nonblocking", "--pid", str(pid)]
            running.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(dump.poll() is None for dump in running):
        time.sleep(0.05)
    for dump in running:
        if dump.poll() is None:
            dump.kill()  # not waited for: the kernel may hold it, and whoever ends the training reaps it


def _py_spy() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _file(directory: Path, process: ProcessPlan) -> Path:
    return directory / f"rank_{process.rank}.txt"


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
