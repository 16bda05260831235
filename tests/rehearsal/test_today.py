"""Promises of today's stack, kept by real MindFormers 1.9 on two CPU ranks: few trainings, side by side where they can.

The demo comes first. On what it leaves two nights follow, a job that saves in the new format, and one that trains
adapters; a rank of the first night and one of the new format's job are killed in the second epoch.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.client import submission
from daemon.client.rehearsal import Stage, training_python
from daemon.client.stacks import TODAY
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from daemon.core.store import Transition
from handlers.ckpt import walk
from handlers.ckpt.publishing.manifest import read_manifest

pytestmark = pytest.mark.rehearsal

PATIENCE = 300.0
"""Seconds for what lies between two moments of the play; a quiet machine takes a third of it."""
UNDISTURBED = 5.9291839599609375
"""The demo's loss on the fixed batch at the end; before the training it is 6.2549."""

SETTINGS = """\
  entry: "{entry}"
  environment: {{HALTS: "{halts}"}}
nightly:
- name: tiny
  cron: "0 2 * * *"
  template: "{template}"
  continue_from: latest
"""
NEW_FORMAT = b"""\
checkpoint:
  prefix: "glm4-tree"
  save_max: 2
  save_interleaved_steps: 4
  save_remove_redundancy: True
  no_save_optim: False
  async_save: False
"""
ADAPTERS = b"""\
    pet_config:
      pet_type: lora
      lora_rank: 4
      lora_alpha: 16
      lora_dropout: 0.0
      target_modules: '.*query_key_value*'
"""


def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait for `condition`, and say what was waited for when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def python() -> Path:
    """Return the interpreter of today's environment."""
    return training_python(Path(os.environ.get("GLMD_TODAY_PYTHON", "")), TODAY)


@pytest.fixture(scope="module")
def told(python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Play the demo; return its directory, and what it told."""
    root = tmp_path_factory.mktemp("today") / "root"
    done = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "demo", "--stack", "today", "--root", str(root)],
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
        env={**os.environ, "GLMD_TRAINING__PYTHON": str(python)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done.stdout


@dataclass(frozen=True)
class Ended:
    """A job that is over."""

    job: Job
    history: tuple[Transition, ...]
    losses: dict[str, object]
    """What check_loss.py found."""
    directory: Path

    @property
    def merged(self) -> Path:
        """The one file that came of it."""
        (path,) = self.directory.glob("merged/*.safetensors")
        return path


class Play:
    """The jobs that follow the demo's, on its root, with four devices."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.halts = stage.root.path / "halts"
        self.halts.mkdir()
        template = stage.root.path / "template.yaml"
        template.write_bytes(stage.yaml())
        entry = Path(__file__).with_name("halting.py")
        settings = stage.settings_file.read_text().replace("[0,2)", "[0,4)")
        before, rank_table, after = settings.partition("rank_table:")
        more = SETTINGS.format(entry=entry, halts=self.halts, template=template)
        stage.settings_file.write_text(before + more + rank_table + after)

    def night(self) -> int:
        """Let a night come; return the job's number."""
        tried = subprocess.run(
            [sys.executable, "-P", "-m", "daemon.cli", "night", "--try", "tiny", "--root", str(self.stage.root.path)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert tried.returncode == 0, tried.stderr
        number = self._number() + 1
        wait(lambda: self._number() >= number, "the night's job")
        return number

    def drop(self, name: str, content: bytes) -> int:
        """Drop a YAML for the other two devices; return the job's number."""
        content = content.replace(b'devices: "[0,2)"', b'devices: "[2,4)"')
        found = submission.wait_for_job(submission.drop(content, name, self.stage.root), self.stage.root, 30.0)
        assert found is not None, self.stage.daemon_log.read_text()[-3000:]
        return found.job.id

    def kill(self, number: int) -> None:
        """Kill rank 1 of the job where it stops."""
        wait(lambda: self._halted(number) is not None or self.look(number)[0].state.is_over, "step 6")
        place = self._halted(number)
        assert place is not None, self.look(number)
        os.kill(int(place.read_text()), signal.SIGKILL)

    def end(self, number: int) -> None:
        """Wait for the end of the job, which has to be a good one."""
        wait(lambda: self.look(number)[0].state.is_over, f"the end of job {number}")
        job, _ = self.look(number)
        assert job.state is State.DONE, f"{job.reason}; {self.stage.daemon_log.read_text()[-3000:]}"

    def look(self, number: int) -> tuple[Job, tuple[Transition, ...]]:
        """Return the job and its history."""
        with ReadStore.open(self.stage.root.store) as store:
            return store.job(number), store.history(number)

    def _number(self) -> int:
        with ReadStore.open(self.stage.root.store) as store:
            return store.highest()

    def _halted(self, number: int) -> Path | None:
        return next((path for path in self.halts.glob(f"{number:04}-*") if path.suffix != ".tmp"), None)


@pytest.fixture(scope="module")
def ended(python: Path, told: tuple[Path, str]) -> dict[str, Ended]:
    """Play the rest; return what came of each job."""
    with Stage(told[0], python, TODAY) as stage:
        play = Play(stage)
        yaml = stage.yaml()
        stage.start_daemon()
        numbers = {"first night": play.night()}
        tree = yaml.replace(b"\nglmd:", b"\n" + NEW_FORMAT + b"glmd:") + b"  continue_from: glm4\n"
        numbers["new format"] = play.drop("tree.yaml", tree)
        for number in numbers.values():
            play.kill(number)
        for number in numbers.values():
            play.end(number)
        shutil.rmtree(play.halts)
        numbers["second night"] = play.night()
        adapters = yaml.replace(b"  arch:\n", ADAPTERS + b"  arch:\n")
        adapters = adapters.replace(b'prefix: "glm4"', b'prefix: "glm4-lora"')
        adapters = adapters.replace(b"    format: safetensors\n", b"    format: safetensors\n    lora: merge\n")
        numbers["adapters"] = play.drop("adapters.yaml", adapters + b"  continue_from: glm4\n")
        for number in numbers.values():
            play.end(number)
        found = {name: play.look(number) for name, number in numbers.items()}
        directories = {name: job.directory(stage.root.path).path for name, (job, _) in found.items()}
        files = [str(next(directory.glob("merged/*.safetensors"))) for directory in directories.values()]
        printed = stage.run_training_script("check_loss.py", *files, fine=(0, 1))
    losses = dict(zip(found, map(json.loads, printed.splitlines()), strict=True))
    return {name: Ended(*found[name], losses[name], directories[name]) for name in found}


def test_the_whole_way_on_real_parts(told: tuple[Path, str]) -> None:
    """Shards without redundancy become one file, which MindFormers loads into one process: the loss is the ranks'."""
    root, printed = told
    assert "to the last bit" in printed
    assert f"{UNDISTURBED:.17g}" in printed
    job = root / "jobs" / "0001-rehearsal"
    assert {path.name for path in (job / "merged").iterdir()} == {"model.safetensors", "manifest.json"}
    assert (root / "latest" / "glm4").exists()
    shards = (job / f"output/checkpoint/rank_{rank}/glm4_rank_{rank}-2_4.safetensors" for rank in (0, 1))
    names = [set(walk(shard).entries) for shard in shards]
    assert names[0] != names[1]
    assert len(names[0] | names[1]) == read_manifest(job / "merged" / "manifest.json").entries_in


@pytest.mark.parametrize(("name", "tag"), (("first night", "1_4"), ("new format", "iteration_00000004")))
def test_a_killed_rank_costs_the_steps_since_the_last_save(ended: dict[str, Ended], name: str, tag: str) -> None:
    """The job goes on from there by itself, and what is merged gives the trained ranks' loss to the last bit."""
    job = ended[name]
    assert job.job.attempt == 2
    reasons = [step.reason for step in job.history if step.attempt == 2 and step.state is State.TRAINING]
    assert reasons[0].startswith(f"resumed from {tag} after: rank 1")
    assert "SIGKILL" in reasons[0]
    assert job.losses["equal"], job.losses


def test_a_night_continues_from_the_one_before(ended: dict[str, Ended]) -> None:
    """The second begins with the file that the first has published, and goes on learning."""
    first, second = ended["first night"], ended["second night"]
    assert second.job.continues == first.job.id
    assert second.losses["equal"], second.losses
    assert float(str(second.losses["loss"])) < float(str(first.losses["loss"]))


def test_adapters_are_merged_into_what_they_were_trained_on(ended: dict[str, Ended]) -> None:
    """A plain network with the merged file has the loss of the ranks with adapters, to 6 digits."""
    assert int(str(ended["adapters"].losses["digits"])) >= 6, ended["adapters"].losses
    assert ended["adapters"].losses["loss"] != ended["first night"].losses["loss"]
