"""A root in a temporary directory, the real command line as a subprocess, and a real daemon for it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.core.control import NotRunningError, ask
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store

PATIENCE = 60.0
"""Seconds that anything here may take on a busy machine."""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for `condition`, or fail."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain until {what}")
        time.sleep(0.02)


def environment() -> dict[str, str]:
    """Return this process's environment without settings of a glmd that is really used here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GLMD_")} | {"TZ": "UTC"}


class Site:
    """A root that glmd could run at."""

    def __init__(self, path: Path) -> None:
        self.root = Root(path)
        self.root.create()
        Store.open(self.root.store).close()

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the words of a command at this root."""
        return [sys.executable, "-m", "daemon.cli", "--root", str(self.root.path), *map(str, arguments)]

    def glmd(self, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command at this root to its end."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=environment() | env,
        )

    def add(self, name: str = "run_glm_6b", *ways: State, reason: str = "", code: str = "", **of_job: object) -> Job:
        """Add a job and let it go the `ways`; `reason` and `code` are those of the last one."""
        with Store.open(self.root.store) as store:
            new = {"claim": f"{name}-{time.monotonic_ns()}", "name": name, "devices": (0, 1), "prefix": "glm-6b"}
            job = store.add(NewJob(**(new | of_job)))  # type: ignore[arg-type] # keywords of a test
            for state in ways:
                job = store.move(job, state, *((reason, code) if state is ways[-1] else ("", "")))
        job.directory(self.root.path).path.mkdir(parents=True, exist_ok=True)
        return job

    def move(self, job: Job, state: State, reason: str = "") -> Job:
        """Let a job go on."""
        with Store.open(self.root.store) as store:
            return store.move(store.job(job.id), state, reason)

    @contextlib.contextmanager
    def daemon(self, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a real daemon here for the length of the block."""
        with (self.root.path / "serve.log").open("wb") as log:
            daemon = subprocess.Popen(
                self.command("serve", "--allow-root"), stdout=log, stderr=log, env=environment() | env
            )
        try:
            until(lambda: self._answers() or daemon.poll() is not None, "the daemon answers")
            assert daemon.poll() is None, (self.root.path / "serve.log").read_text()
            yield daemon
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(PATIENCE)

    def _answers(self) -> bool:
        try:
            ask(self.root.path, "ping", timeout=1.0)
        except NotRunningError:
            return False
        return True


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "root")


@pytest.fixture
def good_yaml(tmp_path: Path) -> Path:
    """A file that glmd takes: the rehearsal's, with data that has only to be there."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.json", "ice_text.model", "initial.ckpt"):
        (data / name).write_bytes(b"{}")
    text = (Path(__file__).parents[4] / "configs" / "rehearsal" / "rehearsal.yaml").read_text()
    path = tmp_path / "run_glm_6b.yaml"
    path.write_text(text.replace("{data}", str(data)))
    return path
