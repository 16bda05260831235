"""The rehearsal behind `glmd demo`: a throw-away root with a daemon of its own, and the certainty that both end.

Training data, checkpoint and ranks are real; what is made up is the host: two CPU ranks and a sample hccn.conf.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from daemon.client.stacks import GLM_6B, Stack
from daemon.core.control import NotRunningError, RequestRefusedError, ask
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import OVER, Job, State
from handlers.codes import Code
from handlers.errors import BadInputError, HandlerError
from handlers.rank_log.tail import tail
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord

READY_WITHIN = 30.0
GRACE = 5.0
"""Seconds between TERM and KILL of the ranks; nothing of theirs is worth waiting longer for."""
END_WITHIN = 60.0

_SETTINGS = """\
# Written by glmd demo: everything in one directory, two CPU ranks for the devices.
devices: "[0,2)"
runner: spawn
training:
  python: "{python}"
  checkout: "{checkout}"
  grace: {grace}
rank_table:
  server_ip: 192.168.1.196
  hccn_tool: no-hccn_tool-in-a-rehearsal
  hccn_conf: "{checkout}/hccn.conf"
"""


class RehearsalError(HandlerError):
    """The rehearsal could not be played to its end."""

    code = Code.DEMO_FAILED


class Stage:
    """The throw-away root and what runs on it. Leaving the block ends everything that was started."""

    def __init__(self, root: Path, python: Path, stack: Stack = GLM_6B) -> None:
        self.root = Root(root)
        self.stack = stack
        self._python = python
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    @property
    def data(self) -> Path:
        """Training rows, tokenizer and initial checkpoint."""
        return self.root.path / "data"

    @property
    def settings_file(self) -> Path:
        """The settings of the stage's daemon."""
        return self.root.path / "glmd.yaml"

    @property
    def daemon_log(self) -> Path:
        """What the stage's daemon says."""
        return self.root.path / "serve.log"

    def furnish(self) -> None:
        """Make the data with the training interpreter (some seconds), and write the settings."""
        self.run_training_script("make_data.py", str(self.data))
        self.settings_file.write_text(_SETTINGS.format(python=self._python, checkout=self.stack.checkout, grace=GRACE))

    def yaml(self) -> bytes:
        """Return the YAML to drop, with its data in place."""
        return self.stack.yaml.read_text(encoding="utf-8").replace("{data}", str(self.data)).encode()

    def run_training_script(self, name: str, *arguments: str, fine: tuple[int, ...] = (0,)) -> str:
        """Run a script of the rehearsal with the training interpreter and return what it prints.

        Raises RehearsalError with its last words when its exit code is none of `fine`.
        """
        log = self.root.path / f"{Path(name).stem}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [self._python, self.stack.checkout / name, *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stream, start_new_session=True,
                cwd=self.root.path, env=_environment(LOCAL_DEFAULT_PATH=self.data / "mindformers"),
            )  # fmt: skip
            try:
                printed, _ = process.communicate()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        if process.returncode not in fine:
            words = "\n".join(f"  {line}" for line in tail(log)[-8:])
            raise RehearsalError(f"{name} failed with exit code {process.returncode}:\n{words}\nall of it: {log}")
        return printed.decode(errors="replace")

    def start_daemon(self) -> None:
        """Start `glmd serve` on the stage and wait until it answers. Raises RehearsalError."""
        with self.daemon_log.open("ab") as stream:
            self._daemon = subprocess.Popen(
                [sys.executable, "-P", "-m", "daemon.cli", "serve", "--allow-root", "--root", self.root.path],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, env=_environment(),
            )  # fmt: skip
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline and self._daemon.poll() is None:
            with contextlib.suppress(NotRunningError):
                ask(self.root.path, "ping", timeout=1.0)
                return
            time.sleep(0.1)
        words = "\n".join(f"  {line}" for line in tail(self.daemon_log)[-8:])
        raise RehearsalError(f"glmd serve did not come up:\n{words}\nall of it: {self.daemon_log}")

    @property
    def daemon_runs(self) -> bool:
        """Whether the daemon that was started is still there."""
        return self._daemon is not None and self._daemon.poll() is None

    # The end

    def end(self) -> None:
        """End the job, the daemon and whatever runs for this root; returns when nothing of it is left."""
        deadline = time.monotonic() + END_WITHIN
        if self.daemon_runs:
            self._cancel_jobs(deadline)
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(10)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
        for signum, seconds in ((signal.SIGTERM, 2 * GRACE), (signal.SIGKILL, 5.0)):
            _end_shims(list(self._living_shims()), signum, seconds)

    def _cancel_jobs(self, deadline: float) -> None:
        for job in self._unfinished():
            with contextlib.suppress(NotRunningError, RequestRefusedError):
                ask(self.root.path, "cancel", job.id)
        while time.monotonic() < deadline and self.daemon_runs and self._unfinished():
            time.sleep(0.1)

    def _unfinished(self) -> tuple[Job, ...]:
        with ReadStore.open(self.root.store) as store:
            return store.jobs(set(State) - OVER)

    def _living_shims(self) -> Iterator[ProcessIdentity]:
        """Yield the shims of this root that live; the kernel ends their ranks with them."""
        for record in self.root.jobs.glob("*/attempts/*/*/shim.json"):
            identity = ShimRecord.read(record).identity
            if identity.alive():
                yield identity


def _end_shims(shims: list[ProcessIdentity], signum: signal.Signals, seconds: float) -> None:
    for shim in shims:
        shim.signal(signum)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(shim.alive() for shim in shims):
        time.sleep(0.1)


def training_python(configured: Path, stack: Stack = GLM_6B) -> Path:
    """Return the interpreter to train with: the configured one, else the newest that `make demo` has built for `stack`.

    Raises BadInputError when there is neither.
    """
    if configured.is_file() and os.access(configured, os.X_OK):
        return configured
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glmd"
    marks = cache.glob(f"{stack.environment}-*/.complete")
    built = [mark for mark in marks if os.access(mark.parent / "bin" / "python", os.X_OK)]
    if built:
        return max(built, key=lambda mark: mark.stat().st_mtime).parent / "bin" / "python"
    raise BadInputError(
        f"{configured}: no training interpreter. This rehearsal trains with {stack.needs}: "
        f"`make demo STACK={stack.name}` in glmd's source tree builds that environment and rehearses. If you have one, "
        f"name it: GLMD_TRAINING__PYTHON=/path/to/bin/python glmd demo --stack {stack.name}",
        Code.TRAINING_NO_INTERPRETER,
    )


def new_root(wish: Path | None) -> Path:
    """Make the directory to rehearse in: `wish`, which must be empty or not there, or a temporary one."""
    if wish is None:
        import tempfile  # noqa: PLC0415

        return Path(tempfile.mkdtemp(prefix="glmd-demo-"))
    if wish.exists() and (not wish.is_dir() or any(wish.iterdir())):
        raise BadInputError(f"{wish}: is not empty; the rehearsal wants a directory of its own", Code.DEMO_NOT_EMPTY)
    wish.mkdir(parents=True, exist_ok=True)
    return wish.absolute()


def remove(root: Path) -> None:
    """Remove a rehearsal's directory."""
    shutil.rmtree(root)


def _environment(**more: Path) -> dict[str, str]:
    """Return this process's environment without settings of another glmd and without a service manager's sockets."""
    foreign = ("GLMD_", "NOTIFY_SOCKET", "WATCHDOG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **{name: str(value) for name, value in more.items()}}
