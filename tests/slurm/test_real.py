"""Real MindFormers over two nodes of a real Slurm: whatever is lost on the way costs the steps since a save.

A rank is killed while neither slurmctld nor the daemon is there, and in the second attempt a node is lost, with all
that runs on it. Slurm is late to give back what it has not seen end, and has two more nodes for that.
"""

import json
import os
import re
import shutil
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
from handlers.resume.decision import TakenUp
from tests.acceptance import house as houses
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.house import section
from tests.slurm.test_training import reasons, runs_of, state

pytestmark = [pytest.mark.slurm, pytest.mark.rehearsal, pytest.mark.slow]

PATIENCE = 240.0
"""Seconds for what lies between two moments of the play; a quiet machine takes a tenth of it."""


@dataclass(frozen=True)
class Case:
    """A stack, and how it is played."""

    stack: Stack
    interpreter: str
    """The variable that names it."""
    undisturbed: float
    """The loss on the fixed batch to which the training comes on one host when nothing happens to it."""
    changes: Mapping[str, str] = field(default_factory=dict)
    """To its YAML."""
    entry: Path | None = None
    """What runs, if a rank is to stop where it is struck: the training would be over before."""


# Data come in another order when MindFormers 0.8 resumes: 1.6483 was seen.
TO_GLM_6B = Case(
    GLM_6B, "GLMD_TRAINING_PYTHON", 1.6529, {"save_checkpoint_steps: 500": "save_checkpoint_steps: 16"}
)  # fmt: skip
TO_TODAY = Case(
    TODAY, "GLMD_TODAY_PYTHON", 5.9291839599609375, entry=Path(__file__).parents[1] / "rehearsal" / "halting.py"
)  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return a cluster with two nodes more than the training takes."""
    place = tmp_path / "slurm"
    place.mkdir()
    with Cluster(place, nodes=4) as cluster:
        yield cluster


class Play:
    """One training of a rank on each of two nodes."""

    def __init__(self, house: House, case: Case) -> None:
        self.house, self.case = house, case
        self._python = training_python(Path(os.environ.get(case.interpreter, "")), case.stack)
        self._halts = house.data / "halts"
        self._halts.mkdir()
        self._run("make_data.py", str(house.data))
        del house.training["mindformers"]
        house.training |= {"python": str(self._python), "checkout": str(case.stack.checkout)}
        if case.entry is not None:
            house.training |= {"entry": str(case.entry), "environment": {"HALTS": str(self._halts)}}
        section(house)["devices_per_node"] = 1

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
        """Wait until both ranks of an attempt have saved, and have steps before them."""
        output = self.house.directory().earlier_output(attempt)

        def there() -> bool:
            job = self.house.job()
            assert not job.state.is_over, job.reason
            assert job.attempt == attempt, reasons(self.house)
            if self.case.entry is not None:
                return (self._halts / str(attempt)).exists()
            shards = output.glob("checkpoint/rank_*/*.ckpt")
            return len({path.parent for path in shards if path.stat().st_mode & 0o777 == 0o400}) == 2

        self.house.wait(there, f"what attempt {attempt} saves")

    def until_done(self) -> None:
        """Let the rank stop nowhere any more, and wait for the end."""
        shutil.rmtree(self._halts)
        self.house.until(State.DONE)

    def losses(self) -> dict[str, object]:
        """Return what check_loss.py finds of the merged output."""
        (merged,) = (path for path in self.house.directory().merged.iterdir() if path.suffix != ".json")
        found: dict[str, object] = json.loads(self._run("check_loss.py", str(merged)))
        return found

    def _run(self, script: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._python, self.case.stack.checkout / script, *arguments], capture_output=True, text=True, check=False,
            cwd=self.house.data, env={**os.environ, "LOCAL_DEFAULT_PATH": str(self.house.data / "mindformers")},
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr[-3000:]
        return done.stdout


@pytest.mark.parametrize("case", (TO_GLM_6B, TO_TODAY), ids=lambda case: case.stack.name.value)
def test_a_lost_rank_and_a_lost_node_cost_the_steps_since_the_last_save(
    house: House, cluster: Cluster, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts, three jobs in Slurm, one merged output, and the loss of a training to which nothing happens."""
    monkeypatch.setattr(houses, "PATIENCE", PATIENCE)
    play = Play(house, case)
    house.start()
    play.drop()
    play.until_saved(1)
    struck = state(house, 1)
    cluster.end("slurmctld")
    house.stop(signal.SIGKILL)
    ((rank, pid),) = struck.pids.items()
    os.kill(pid, signal.SIGKILL)
    house.wait(house.directory().step(1, Step.TRAIN).exit.exists, "an end that nobody follows")
    cluster.start_controller()
    house.start()
    house.wait(lambda: house.job().attempt == 2, "the second attempt")
    play.until_saved(2)
    lost = state(house, 1).node
    cluster.lose(lost)
    house.wait(lambda: house.job().attempt == 3, "the third attempt")
    play.until_done()

    one, two = (reason for reason in reasons(house) if reason.startswith("resumed from "))
    assert re.match(rf"resumed from \d+_4 after: rank {rank} on device 0 of {struck.node} was killed by SIGKILL", one)
    assert re.match(
        rf"resumed from \d+_4 after: ({lost} (gave no sign of life|did not record how it "
        rf"ended)|Slurm says .* lost)",
        two,
    )
    assert TakenUp.read(house.directory().resume_record(3)).uncounted == 1
    names = sorted(name[-7:] for name, _ in runs_of(cluster) if name.endswith("-train"))
    assert names == ["1-train", "2-train", "3-train"]
    losses = play.losses()
    assert losses["equal"], losses
    assert losses["loss"] == pytest.approx(case.undisturbed, abs=0.01)
    assert house.run("doctor", "--state").stdout.count("job 1") == 0
