"""Promises of `glmd demo`, kept with a real training."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.core.store import StoreError
from tests.rehearsal.recording.record import FILE, said, told

pytestmark = pytest.mark.rehearsal

MINUTES = 60.0


def words(root: Path) -> list[str]:
    """Return the command that rehearses in `root`."""
    return [sys.executable, "-m", "daemon.cli", "demo", "--root", str(root)]


def environment() -> dict[str, str]:
    """Return an environment that names the training interpreter, where tests were given one."""
    given = os.environ.get("GLMD_TRAINING_PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLMD_")}
    return kept | ({"GLMD_TRAINING__PYTHON": given} if given else {})


def processes_of(root: Path) -> Iterator[str]:
    """Yield the command line of every process, but this one, that runs in `root` or for it."""
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if bytes(root) in told or (process / "cwd").readlink().is_relative_to(root):
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended, or is another user's
            continue


def states(root: Path) -> set[State]:
    """Return the states of the jobs at `root`."""
    try:
        with ReadStore.open(root / "glmd.db") as store:
            return {job.state for job in store.jobs()}
    except StoreError:
        return set()


def test_the_whole_way_on_real_parts(tmp_path: Path) -> None:
    """A dropped YAML becomes a merged checkpoint with the trained ranks' loss; then nothing runs any more.

    The recording in README.md says line for line what it prints; where it does not, `make recording` makes it anew.
    """
    root = tmp_path / "demo"
    done = subprocess.run(
        words(root), capture_output=True, text=True, timeout=10 * MINUTES, check=False, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to the last bit" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("/jobs/1"), "how to open the page comes last"
    printed = [line for line in done.stdout.splitlines() if not line.startswith(("...   ", "      "))]
    assert told(said(FILE.read_text("utf-8"))) == told(printed)
    merged = root / "jobs" / "0001-rehearsal" / "merged"
    assert {path.name for path in merged.iterdir()} == {"filtered_transformed.ckpt", "manifest.json"}
    assert (root / "latest" / "glm-6b").resolve() == merged
    shards = root / "jobs" / "0001-rehearsal" / "output" / "checkpoint"
    assert {path.name for path in shards.glob("rank_*/*.ckpt")} == {
        "glm-6b_rank_0-31_4.ckpt", "glm-6b_rank_1-31_4.ckpt",
    }  # fmt: skip
    assert not list(processes_of(root))


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_an_interrupted_rehearsal_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and TERM in the middle of training: exit code 130, and daemon, shim and ranks are gone."""
    root = tmp_path / "demo"
    with subprocess.Popen(words(root), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()) as demo:
        deadline = time.monotonic() + 3 * MINUTES
        while State.TRAINING not in states(root) or not list(root.glob("jobs/*/output/log/rank_1/*.log")):
            assert demo.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert len(list(processes_of(root))) > 3
        demo.send_signal(number)
        printed, _ = demo.communicate(timeout=2 * MINUTES)
        assert demo.returncode == 130, printed.decode()
    assert b"interrupted" in printed
    assert not list(processes_of(root))
    assert states(root) == {State.CANCELLED}
