"""A merge by the shim of its job: a real shim, without Slurm around it."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handlers.ckpt.files.staging import staging
from handlers.records.job_dir import Step
from handlers.records.nodes import Control, NodesDir, Owner, Request
from handlers.records.step_exit import Outcome, StepExit
from handlers.shim.run import EXIT_NOT_COMPLETED, EXIT_REFUSED
from tests.held_merge import held_by, is_held, published
from tests.unit.handlers.ckpt.ckpt_writer import small_run

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop


class Merging:
    """A job whose shards are to be merged as the batch step of a job of Slurm's."""

    def __init__(self, workshop: "Workshop", place: Path) -> None:
        self.workshop = workshop
        self.merged = workshop.job_dir.merged
        self.gate = place / "gate"
        self.records = workshop.job_dir.step(1, Step.MERGE)
        self.directory = NodesDir(self.records)
        self.directory.lay_out(0)
        workshop.publish(None)
        small_run(workshop.job_dir.output).write()
        self.environment = {
            **workshop.environment,
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NODELIST": "n1",
            "PYTHONPATH": held_by(self.gate, place),
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Start the shim, as the batch script does."""
        command = [sys.executable, "-m", "handlers.shim.job", str(self.workshop.job_dir.path), "1", "merge"]
        return subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)

    def held(self) -> subprocess.Popen[bytes]:
        """Start it, and wait until it holds."""
        shim = self.start()
        self.workshop.eventually(lambda: is_held(self.merged), "the merge holds")
        return shim

    def ask(self, stop: str) -> None:
        """Want it to end, as the daemon does."""
        Request(seq=1, stop=stop).publish(self.directory.request)

    def exit(self) -> StepExit:
        """Read exit.json."""
        return StepExit.read(self.records.exit)


@pytest.fixture
def merging(workshop: "Workshop", tmp_path: Path) -> Merging:
    """Return one that holds before its last file."""
    return Merging(workshop, tmp_path)


def test_it_merges_and_gives_signs_of_life(merging: Merging) -> None:
    """Who does it is written down, and that it lives, for whoever asks on another host."""
    shim = merging.held()
    merging.workshop.eventually(lambda: Control.now(merging.directory.control), "a sign of life")
    assert published(merging.merged) == []
    merging.gate.touch()
    assert shim.wait(60) == 0
    assert (merging.exit().step, merging.exit().outcome) == (Step.MERGE, Outcome.COMPLETED)
    assert "manifest.json" in published(merging.merged)
    owner = Owner.read(merging.directory.owner)
    assert (owner.job, owner.pid, owner.nodelist) == ("4711", shim.pid, "n1")


@pytest.mark.parametrize("before", (True, False), ids=("before it began", "meanwhile"))
def test_who_asks_for_its_end_gets_it(merging: Merging, *, before: bool) -> None:
    """Without Slurm; and nothing of it is to be seen."""
    if before:
        merging.ask("glmd cancel")
        shim = merging.start()
    else:
        shim = merging.held()
        merging.ask("glmd cancel")
    assert shim.wait(60) == EXIT_NOT_COMPLETED
    assert (merging.exit().outcome, merging.exit().reason) == (Outcome.CANCELLED, "stopped by glmd cancel")
    assert not merging.merged.exists() or published(merging.merged) == []


def test_a_term_of_slurms_may_mean_anything(merging: Merging) -> None:
    """Slurm's own word says what."""
    shim = merging.held()
    shim.send_signal(signal.SIGTERM)
    assert shim.wait(60) == EXIT_NOT_COMPLETED
    assert (merging.exit().outcome, merging.exit().reason) == (
        Outcome.ENDED_OUTSIDE, "stopped by SIGTERM from Slurm",
    )  # fmt: skip


def test_a_second_job_touches_nothing(merging: Merging) -> None:
    """Slurm took a request twice."""
    shim = merging.held()
    owner = Owner.read(merging.directory.owner)
    assert merging.start().wait(60) == EXIT_REFUSED
    assert Owner.read(merging.directory.owner) == owner
    merging.gate.touch()
    assert shim.wait(60) == 0


def test_the_lock_of_a_lost_host_is_waited_for(merging: Merging) -> None:
    """Its file server frees it late; the merge goes on then."""
    merging.gate.touch()
    merging.merged.mkdir(mode=0o750)
    events = merging.workshop.job_dir.events
    with staging(merging.merged):
        shim = merging.start()
        merging.workshop.eventually(lambda: events.exists() and "merge_waits" in events.read_text(), "it waits")
    assert shim.wait(60) == 0
    assert "manifest.json" in published(merging.merged)


def test_what_the_merge_refuses_is_its_reason(merging: Merging) -> None:
    """As on the daemon's host."""
    (merging.workshop.job_dir.output / "strategy").rename(merging.workshop.job_dir.path / "elsewhere")
    assert merging.start().wait(60) == EXIT_NOT_COMPLETED
    assert (merging.exit().outcome, merging.exit().code) == (Outcome.FAILED, "merge.no-strategy")
