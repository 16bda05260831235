"""A root of its own, with a real daemon over it, to drop files into and to break."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from daemon.core.control import NotRunningError, ask
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import StoreError
from handlers.records.job_dir import JobDir, Step
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.shim.marks import marked_processes

STANDIN = Path(__file__).parent / "standin"
GLMD = [sys.executable, "-m", "daemon.cli"]
PATIENCE = float(os.environ.get("GLMD_TEST_PATIENCE", "60"))

CONFIG = """\
seed: 0
run_mode: 'finetune'
trainer:
  type: CausalLanguageModelingTrainer
  model_name: 'glm_6b'
load_checkpoint: '{data}/base.ckpt'
use_parallel: True
output_dir: './output'
context:
  mode: 0
  device_target: "Ascend"
parallel:
  parallel_mode: 0
  full_batch: False
  gradients_mean: True
parallel_config:
  data_parallel: 2
  model_parallel: 1
  pipeline_stage: 1
runner_config:
  epochs: 1
  batch_size: 2
  sink_mode: True
  sink_size: 4
callbacks:
  - type: MFLossMonitor
  - type: CheckpointMointor
    prefix: "glm-6b"
    save_checkpoint_steps: 4
    keep_checkpoint_max: 1
train_dataset: &train_dataset
  data_loader:
    type: ADGenDataLoader
    dataset_dir: "{data}/train.json"
    phase: "train"
train_dataset_task:
  type: KeyWordGenDataset
  dataset_config: *train_dataset
model:
  model_config:
    type: GLMConfig
    vocab_size: 64
    hidden_size: 8
    num_layers: 1
    num_heads: 2
    inner_hidden_size: 16
    seq_length: 16
  arch:
    type: GLMForPreTraining
glmd:
  devices: "{devices}"
"""


class House:
    """A root with settings and data, and a daemon over it that can be started, killed and asked."""

    def __init__(self, path: Path) -> None:
        self.root = path / "root"
        self.data = path / "data"
        self.gate = path / "gate"
        self.root.mkdir()
        self.data.mkdir()
        (self.data / "base.ckpt").write_bytes(b"weights")
        (self.data / "train.json").write_text("{}\n")
        (path / "hccn.conf").write_text("".join(f"address_{n}=192.168.100.10{n}\n" for n in range(8)))
        self.training: dict[str, object] = {
            "python": sys.executable,
            "checkout": str(STANDIN),
            "mindformers": "0.8",  # what the stand-in speaks
            "grace": 2,
        }
        self.devices = path / "devices"
        """Where each rank holds a lock of its device."""
        self.environment()
        self.settings: dict[str, object] = {
            "devices": "[0,8)",
            "runner": "spawn",
            "inbox": {"settle": 0.1},
            "training": self.training,
            "rank_table": {
                "server_ip": "192.168.1.196",
                "hccn_tool": str(path / "no_hccn_tool"),
                "hccn_conf": str(path / "hccn.conf"),
            },
        }
        self.daemon: subprocess.Popen[bytes] | None = None
        self.daemon_environment: dict[str, str] = {}
        """What the daemon, and with it the shims, have in their environment beyond ours."""
        self.log = path / "daemon.log"

    def environment(self, **values: str) -> None:
        """Let the ranks have `values` in their environment."""
        # HCCL's own ports are among those that the kernel gives to whoever asks for any, as other tests do.
        ours = {"STANDIN_DEVICES": str(self.devices), "HCCL_IF_BASE_PORT": "20000"}
        self.training["environment"] = {**ours, **values}

    def start(self) -> Self:
        """Start the daemon, and wait until it answers."""
        (self.root / "glmd.yaml").write_text(json.dumps(self.settings))  # JSON is YAML
        self.launch()
        self.wait(self.answers, "the daemon")
        return self

    def answers(self) -> bool:
        """Say whether a daemon answers; the socket of one that was killed is still there."""
        with contextlib.suppress(NotRunningError):
            ask(self.root, "ping", timeout=PATIENCE)
            return True
        return False

    def launch(self) -> None:
        """Start the daemon, and wait for nothing."""
        with self.log.open("ab") as stream:
            self.daemon = subprocess.Popen(
                [*GLMD, "serve", "--allow-root", "--root", str(self.root)],
                stdout=stream,
                stderr=stream,
                env={**os.environ, **self.daemon_environment},
            )

    @property
    def pid(self) -> int:
        """The daemon's."""
        assert self.daemon is not None
        return self.daemon.pid

    @property
    def is_up(self) -> bool:
        """Whether the daemon that was started still runs."""
        return self.daemon is not None and self.daemon.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        assert self.daemon is not None
        self.daemon.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the daemon, and return its exit code."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        code = self.daemon.wait(PATIENCE)
        self.daemon = None
        return code

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `glmd ARGUMENTS --root ROOT`."""
        return subprocess.run(
            [*GLMD, *arguments, "--root", str(self.root)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def drop(self, name: str = "run.yaml", *, devices: str = "[0,2)", text: str | None = None) -> None:
        """Copy a config into the inbox, as a user's `cp` does."""
        (self.root / "inbox" / name).write_text(text or CONFIG.format(data=self.data, devices=devices))

    def jobs(self) -> tuple[Job, ...]:
        """Return all jobs."""
        with contextlib.suppress(StoreError), ReadStore.open(Root(self.root).store) as store:
            return store.jobs()
        return ()

    def job(self, number: int = 1) -> Job:
        """Return one job."""
        return next(job for job in self.jobs() if job.id == number)

    def directory(self, number: int = 1) -> JobDir:
        """Return a job's directory."""
        return self.job(number).directory(self.root)

    def until(self, state: State, number: int = 1) -> Job:
        """Wait until a job is in `state`; fail at once when it is over in another one."""

        def there() -> bool:
            job = next((job for job in self.jobs() if job.id == number), None)
            if job and job.state.is_over and job.state is not state:
                pytest.fail(f"job {number} is {job.state}: {job.reason}\n{self.log.read_text()}")
            return job is not None and job.state is state

        self.wait(there, f"job {number} {state}")
        return self.job(number)

    def until_taken(self, name: str) -> None:
        """Wait until the dropped file `name` is a job's."""
        self.wait(lambda: any(job.name == Path(name).stem for job in self.jobs()), f"{name} to be taken")

    def wait(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait for `condition`, and say what was waited for when it does not come."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {patience:g} s in vain for {what}\n{self.log.read_text()}")
            time.sleep(0.02)

    def shim(self, number: int = 1, step: Step = Step.TRAIN) -> ProcessIdentity:
        """Wait for a job's shim, and return who it is."""
        path = self.directory(number).step(self.job(number).attempt, step).shim
        self.wait(path.exists, str(path))
        return ShimRecord.read(path).identity

    def close(self) -> None:
        """End everything that was started."""
        self.gate.touch()
        if self.daemon:
            self.stop(signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGKILL):  # what has lost its shim may be deaf
            for one in (mine := self.processes()):
                one.signal(number)
            deadline = time.monotonic() + 15
            while any(one.alive() for one in mine) and time.monotonic() < deadline:
                time.sleep(0.02)
        assert not self.processes()
        assert self.taken_twice() == [], self.log.read_text()

    def processes(self) -> list[ProcessIdentity]:
        """Return the shims, ranks and their children that are left of this root."""
        mine = Path(os.path.realpath(self.root.parent))  # also where a test has moved the root
        return [one.identity for one in marked_processes() if mine in one.step.parents or mine in one.place.parents]

    def taken_twice(self) -> list[str]:
        """Return which devices two attempts were on at once. None ever may be."""
        return [path.read_text() for path in self.devices.glob("taken-*")]
