"""Starting a step's shim so that it outlives the daemon, and telling what has become of it."""

import fcntl
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from daemon.core.setting_sections import Runner as Choice
from daemon.core.states import Job
from handlers.ckpt.files.bounded import without_waiting
from handlers.ckpt.files.durable import make_directory, open_lock
from handlers.codes import Code
from handlers.host.service_manager import for_children, runs_this_host
from handlers.records.job_dir import Step, StepDir
from handlers.records.step_exit import Outcome, StepExit
from handlers.shim import marks
from handlers.shim.service_result import ServiceResult


class RunnerError(Exception):
    """A shim could not be started: which, why, and what to do. An OSError as its cause: no process was made."""

    code = Code.SHIM_NOT_STARTED


class Runner(Protocol):
    """Starts shims, which outlive the daemon, and tells of those that could not say themselves what became of them.

    It keeps nothing that a daemon which is started again would lack: who runs a step, and how it ended, the step's own
    records say.
    """

    def start(self, job: Job, step: Step, root: Path) -> None:
        """Start the shim of `step` of the job's present attempt; `root` is the daemon's. Raises RunnerError.

        It may block for seconds, and is called from a worker's thread. When it returns the shim is on its way, and
        shim.json will say when it is there. The shim stays when the process that started it ends. To start a step again
        is harmless, whether it runs or has ended, no matter who started it: the later shim refuses, by the lock and
        exit.json. So a start that failed may have been one.
        """

    def cause_of_death(self, directory: StepDir) -> str | None:
        """Return, in one line, why a shim died that could not say so itself; None where that is not known, or not yet.

        It waits for nothing, and is asked again for a moment. A record that is damaged says nothing. Raises OSError
        where it cannot be read.
        """

    def reap(self) -> None:
        """Collect the processes that have ended, so that no zombie is left; it waits for none that runs."""


class SpawnRunner:
    """Starts a shim in a session of its own. It stays when the daemon ends, unless a service manager sweeps it up."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, job: Job, step: Step, root: Path) -> None:
        """Start it as a child; what it says before it has a log goes to the step's. See Runner."""
        directory = job.directory(root)
        log = directory.step(job.attempt, step).log
        try:
            make_directory(log.parent)
            with open(log, "ab", opener=without_waiting) as stream:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "handlers.shim", str(directory.path), str(job.attempt), step],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                    cwd="/",
                    env={**for_children(os.environ), marks.NAME: marks.mark(log.parent, job.devices)},
                )
        except OSError as error:
            raise RunnerError(
                f"the shim of {job.label} could not be started: {error}; fix that, then glmd retry {job.id}"
            ) from error
        self._children.append(child)

    def cause_of_death(self, directory: StepDir) -> str | None:
        """Return None: nobody was there to see it."""
        del directory
        return None

    def reap(self) -> None:
        """Collect the children that have ended."""
        for child in tuple(self._children):  # not a new list: a worker may add to this one meanwhile
            if child.poll() is not None:
                self._children.remove(child)


class SystemdRunner:
    """Starts a shim as the unit glmd-job@ID-ATTEMPT-STEP.service, which the polkit rule allows to the user glm."""

    def start(self, job: Job, step: Step, root: Path) -> None:
        """Let systemd start it; see Runner."""
        del root  # the unit names it
        unit = f"glmd-job@{job.id:04d}-{job.attempt}-{step}.service"
        remedy = f"see journalctl -u {unit}, then glmd retry {job.id}"
        try:
            done = subprocess.run(
                ["systemctl", "start", unit],  # noqa: S607 - wherever this host has it
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunnerError(f"{unit} could not be started: {error}; {remedy}") from error
        if done.returncode != 0:
            raise RunnerError(f"{unit} could not be started: {done.stderr.strip()}; {remedy}")

    def cause_of_death(self, directory: StepDir) -> str | None:
        """Return systemd's words for it, which the unit writes down a moment after the end."""
        try:
            result = ServiceResult.read_of(directory)
        except (FileNotFoundError, ValidationError):  # not there yet; or damaged, and then it tells nothing
            return None
        return f"systemd says {result.service_result}, {result.exit_code} {result.exit_status}"

    def reap(self) -> None:
        """Do nothing: systemd collects its own children."""


def choose_runner(choice: Choice) -> Runner:
    """Return the runner for the setting `runner`; `auto` is systemd where the daemon itself is a unit of it."""
    under_systemd = "NOTIFY_SOCKET" in os.environ and runs_this_host()
    if choice is Choice.SYSTEMD or (choice is Choice.AUTO and under_systemd):
        return SystemdRunner()
    return SpawnRunner()


def forestall(
    directory: StepDir, step: Step, reason: str, outcome: Outcome = Outcome.FAILED, *, code: Code = Code.SHIM_LATE
) -> bool:
    """Keep a shim that has not come up from ever doing so; return False when one has come up after all.

    A shim that is late (a service manager under load) would else train on devices that are another job's by then.
    """
    make_directory(directory.path)
    with open_lock(directory.lock) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not directory.exit.exists():
            now = datetime.now(UTC)
            step_exit = StepExit(step=step, outcome=outcome, reason=reason, code=code, started=now, ended=now)
            step_exit.publish(directory.exit)
    return True
