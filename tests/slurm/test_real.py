"""Real MindFormers over two nodes of a real Slurm: whatever is lost on the way costs the steps since a save.

A rank is killed while neither slurmctld nor the daemon is there, and in the second attempt a node is lost, with all
that runs on it; a third one takes its place.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from daemon.client.rehearsal import training_python
from daemon.client.stacks import GLM_6B, TODAY, Stack
from daemon.core.states import State
from handlers.records.job_dir import Step
from tests.acceptance import house as houses
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.test_training import exit_of, reasons, runs_of, state

pytestmark = [pytest.mark.slurm, pytest.mark.rehearsal]

PATIENCE = 240.0
"""Seconds for what lies between two moments of the play; a quiet machine takes a tenth of it."""


@dataclass(frozen=True)
class Case:
    """A stack, and how it is played."""

    stack: Stack
    interpreter: str
    """The variable that names it."""
    saved: tuple[str, str]
    """What each rank has saved when its first and its second attempt are struck: patterns, in checkpoint/rank_N."""
    undisturbed: float
    """The loss on the fixed batch to which the same training comes on one host, when nothing happens to it."""
    changes: Mapping[str, str] = field(default_factory=dict)
    """To its YAML."""
    entry: Path | None = None


GLM_6B_CASE = Case(
    GLM_6B, "GLMD_TRAINING_PYTHON", saved=("*-4_4.ckpt", "*-8_4.ckpt"), undisturbed=1.6529,
    changes={"save_checkpoint_steps: 500": "save_checkpoint_steps: 16"},
)  # fmt: skip
TODAY_CASE = Case(
    TODAY, "GLMD_TODAY_PYTHON", saved=("*-1_4.safetensors",) * 2, undisturbed=5.9291839599609375,
    entry=Path(__file__).parents[1] / "rehearsal" / "halting.py",
)  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with a node more than the training takes."""
    place = tmp_path / "slurm"
    place.mkdir()
    with Cluster(place, nodes=3) as cluster:
        yield cluster


class Play:
    """One training of a rank on each of two nodes."""

    def __init__(self, house: House, case: Case) -> None:
        self.house, self.case = house, case
        self._python = training_python(Path(os.environ.get(case.interpreter, "")), case.stack)
        self.run("make_data.py", str(house.data))
        self.halts = house.data / "halts"
        self.halts.mkdir()
        del house.training["mindformers"]
        house.training |= {"python": str(self._python), "checkout": str(case.stack.checkout)}
        if case.entry is not None:
            house.training |= {"entry": str(case.entry), "environment": {"HALTS": str(self.halts)}}
        house.settings["slurm"] = {**dict(house.settings["slurm"]), "devices_per_node": 1}  # type: ignore[call-overload]

    def run(self, script: str, *arguments: str) -> str:
        """Run one of the rehearsal's scripts, and return what it prints."""
        done = subprocess.run(
            [self._python, self.case.stack.checkout / script, *arguments], capture_output=True, text=True, check=False,
            cwd=self.house.data, env={**os.environ, "LOCAL_DEFAULT_PATH": str(self.house.data / "mindformers")},
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr[-3000:]
        return done.stdout

    def drop(self) -> None:
        """Drop the rehearsal's file, for two nodes."""
        text = self.case.stack.yaml.read_text(encoding="utf-8").replace("{data}", str(self.house.data))
        places = {'  devices: "[0,2)"\n': "  launcher: cluster\n  slurm: {nodes: 2}\n"}
        for before, after in {**places, **self.case.changes}.items():
            assert before in text
            text = text.replace(before, after)
        self.house.drop("rehearsal.yaml", text=text)
        self.house.until(State.TRAINING)

    def until_saved(self, attempt: int) -> None:
        """Wait until both ranks of an attempt have saved, and go on."""
        output = self.house.directory().earlier_output(attempt)

        def there() -> bool:
            job = self.house.job()
            assert not job.state.is_over, job.reason
            assert job.attempt == attempt, reasons(self.house)
            if self.case.entry is not None:
                return (self.halts / str(attempt)).exists()
            return len(list(output.glob(f"checkpoint/rank_*/{self.case.saved[attempt - 1]}"))) == 2

        self.house.wait(there, f"what attempt {attempt} saves")


@pytest.mark.parametrize("case", (GLM_6B_CASE, TODAY_CASE), ids=lambda case: case.stack.name.value)
def test_a_lost_rank_and_a_lost_node_cost_the_steps_since_the_last_save(
    house: House, cluster: Cluster, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts, three jobs in Slurm, one output, and the loss of a training to which nothing happens."""
    import time
    began = time.monotonic()
    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} {what}", flush=True)
    monkeypatch.setattr(houses, "PATIENCE", PATIENCE)
    play = Play(house, case)
    say("data")
    house.start()
    play.drop()
    say("trains")
    play.until_saved(1)
    say("saved")
    cluster.end("slurmctld")
    house.stop(signal.SIGKILL)
    struck = next(iter(state(house, 1).pids.items()))
    os.kill(struck[1], signal.SIGKILL)
    house.wait(house.directory().step(1, Step.TRAIN).exit.exists, "its end, which nobody follows")
    say("exit")
    cluster.start_controller()
    house.start()
    say("back")
    house.wait(lambda: house.job().attempt == 2, "the second attempt")
    say("2")
    try:
        play.until_saved(2)
        say("saved 2")
        cluster.lose(state(house, 1).node)
        house.wait(lambda: house.job().attempt == 3, "the third attempt")
        say("3")
        import shutil
        shutil.rmtree(play.halts)
        house.until(State.DONE)
        say("done")
    finally:
        print(house.run("status", "1", "--json").stdout)
        print(cluster.run("squeue", "-h", "-a", "-t", "all", "-o", "%i|%j|%T|%r|%N"))
    loss = json.loads(play.run("check_loss.py", str(next(house.directory().merged.glob("*.[cs]*t*")))))
    say("checked")
    print(loss)
    assert loss["equal"]
    assert loss["loss"] == pytest.approx(case.undisturbed, abs=0.01)
    first = exit_of(house).first
    assert first is not None
    print(struck, first, runs_of(cluster))
    assert 0
