"""Starting processes so that none of them, nor any of their children, can get away."""

import contextlib
import functools
import os
import signal
import subprocess
from pathlib import Path

from handlers.ckpt.files.durable import make_directory
from handlers.host.prctl import adopt_orphans, die_with, let_look
from handlers.records.process import ProcessIdentity
from handlers.records.train_plan import ProcessPlan


class Children:
    """All descendants of this process. There can be one instance, for it reaps whatever child there is.

    A descendant whose parent dies becomes a child of this process (a subreaper, man 2 prctl) instead of init's, however
    it was started; so none is lost from sight. If this process is killed, the kernel kills those that it started.
    """

    def __init__(self) -> None:
        adopt_orphans()
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, plan: ProcessPlan, errors: Path | None = None) -> int:
        """Start a process in its own session, with its output in its log, and return its pid.

        What it says on its standard error goes there, too, or else to `errors`. Raises OSError, or ValueError when the
        system cannot take what the plan says.
        """
        make_directory(plan.directory)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(_new_log(plan.log).open("ab"))
            process = subprocess.Popen(
                plan.argv,
                env=plan.environment,
                cwd=plan.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if errors is None else stack.enter_context(_new_log(errors).open("ab")),
                start_new_session=True,
                preexec_fn=functools.partial(_bind_to, os.getpid()),  # noqa: PLW1509 - this process has one thread
            )
        self._started[process.pid] = process
        return process.pid

    def reap(self) -> list[tuple[int, int]]:
        """Return (pid, exit code) of those started that have ended since the last call.

        The code is minus a signal's number where a signal ended it. Other descendants are reaped too, silently.
        """
        ended = []
        while (found := _wait_for_any()) is not None:
            pid, exit_code = found
            process = self._started.pop(pid, None)
            if process is not None:
                process.returncode = exit_code  # so that Popen waits for it no more
                ended.append(found)
        return ended

    def pids(self) -> list[int]:
        """Return the pids of all descendants. Reap first: the dead count until then."""
        import psutil  # noqa: PLC0415 - no rank waits for it; handlers.shim.supervise has it by then

        return sorted({*self._started, *(process.pid for process in psutil.Process().children(recursive=True))})

    def signal(self, signum: signal.Signals) -> None:
        """Send `signum` to all descendants, each once. Those that they start meanwhile are not reached: do it again."""
        import psutil  # noqa: PLC0415 - as above

        for pid in self._started:
            # Not by what /proc says: ProtectProc= hides one that is not dumpable. Unreaped, it is still itself.
            with contextlib.suppress(PermissionError):
                os.kill(pid, signum)
        for process in psutil.Process().children(recursive=True):
            try:
                identity = ProcessIdentity.of(process.pid)
                if process.pid not in self._started and process.is_running():  # and so not recycled meanwhile
                    identity.signal(signum)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
            except PermissionError:  # it changed its user: it stays among the pids, for the caller to report
                continue


def _wait_for_any() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None


def _new_log(log: Path) -> Path:
    """Move what an earlier attempt logged out of the way, so that nobody takes its last words for this one's."""
    make_directory(log.parent)
    if log.exists() and log.stat().st_size > 0:
        number = 1
        while (older := log.with_name(f"{log.name}.{number}")).exists():
            number += 1
        log.rename(older)
    return log


def _bind_to(parent: int) -> None:
    """Between fork and exec: let the kernel kill this process when `parent` dies, and `parent` look at its stacks."""
    die_with(parent)
    let_look(parent)  # py-spy is a sibling
