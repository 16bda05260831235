"""A rank of a real training is killed past epoch 17; the job goes on from there by itself, to the same end."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.client import submission
from daemon.client.rehearsal import Stage, training_python
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from daemon.core.store import Transition
from handlers.ckpt.publishing.manifest import read_manifest
from handlers.rank_log.progress import progress_in
from handlers.records.job_dir import JobDir
from handlers.records.process import ProcessIdentity

pytestmark = pytest.mark.rehearsal

PATIENCE = 120.0
"""Seconds for each of the two trainings."""
UNINTERRUPTED = 1.6529
"""The loss that the same run comes to, on the fixed batch, when nobody kills a rank; before the training it is 11.8.

Resumed, it came to 1.6525. Weights, moments, step, learning rate and loss scale are restored to the last bit, but
MindFormers 0.8 shuffles the data anew, so that from epoch 18 on the batches are others.
"""


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return a root with data for the rehearsal."""
    given = Path(os.environ.get("GLMD_TRAINING_PYTHON", ""))
    stage = Stage(tmp_path, training_python(given))
    stage.furnish()
    return stage


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait for `condition`, and say what was waited for when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def job_of(stage: Stage) -> tuple[Job, tuple[Transition, ...]]:
    """Return the job and its history."""
    with ReadStore.open(stage.root.store) as store:
        return store.job(1), store.history(1)


def rank(job: JobDir, number: int) -> ProcessIdentity:
    """Return who a rank of the first attempt is."""
    events = map(json.loads, job.events.read_text().splitlines())
    pid = next(event["pid"] for event in events if event["event"] == "process_started" and event.get("rank") == number)
    return ProcessIdentity.of(pid)


def shards(job: JobDir) -> dict[str, int]:
    """Return the mode of each shard of the present output, by name."""
    return {path.name: path.stat().st_mode & 0o777 for path in job.output.glob("checkpoint/rank_*/*.ckpt")}


def test_a_killed_rank_costs_the_epochs_since_the_last_save(stage: Stage) -> None:
    """Killed past 17_4, the job resumes there as its second attempt and ends with the files of an undisturbed run."""
    saved = {"glm-6b_rank_0-17_4.ckpt": 0o400, "glm-6b_rank_1-17_4.ckpt": 0o400}
    yaml = stage.yaml().replace(b"save_checkpoint_steps: 500", b"save_checkpoint_steps: 68")
    with stage:
        stage.start_daemon()
        found = submission.wait_for_job(submission.drop(yaml, "rehearsal.yaml", stage.root), stage.root, 30.0)
        assert found is not None
        job = found.job.directory(stage.root.path)
        wait(lambda: shards(job) == saved or job_of(stage)[0].state.is_over, "17_4")
        assert rank(job, 1).signal(signal.SIGKILL)
        wait(lambda: job_of(stage)[0].attempt == 2 or job_of(stage)[0].state.is_over, "the second attempt")
        wait(lambda: job_of(stage)[0].state.is_over, "the end")
        end, history = job_of(stage)
        assert (end.state, end.attempt) == (State.DONE, 2), f"{end.reason}; {stage.daemon_log.read_text()[-3000:]}"
        merged = job.merged / "filtered_transformed.ckpt"
        losses = json.loads(stage.run_training_script("check_loss.py", str(merged), fine=(0, 1)))

    assert [(step.state, step.attempt) for step in history] == [
        (State.QUEUED, 1), (State.PREPARING, 1), (State.TRAINING, 1), (State.TRAINING, 2), (State.MERGING, 2),
        (State.DONE, 2),
    ]  # fmt: skip
    assert history[3].reason.startswith("resumed from 17_4 after: rank 1 on device 1 was killed by SIGKILL")
    log = job.rank_log(0)
    assert "{ Epoch:[ 18/ 31], step:[    1/    4]" in log.read_text()
    assert "{ Epoch:[ 17/ 31]" not in log.read_text()
    progress = progress_in(log)
    assert progress is not None
    assert (progress.epoch, progress.step) == (31, 4)

    assert set(shards(job)) == {"glm-6b_rank_0-31_4.ckpt", "glm-6b_rank_1-31_4.ckpt"}
    assert {path.name for path in job.merged.iterdir()} == {"filtered_transformed.ckpt", "manifest.json"}
    manifest = read_manifest(job.merged / "manifest.json")
    assert (manifest.tag, manifest.entries_in, len(manifest.parameters)) == ("31_4", 91, 35)
    assert losses["equal"]
    assert losses["loss"] == pytest.approx(UNINTERRUPTED, rel=0.02)


def test_a_save_inside_an_epoch_is_not_gone_on_from(stage: Stage) -> None:
    """Without data sinking MindFormers 0.8 would leave out the rest of the epoch: the job fails, and says what to do.

    Told to resume from 2_2 of 3 epochs of 4 steps it begins with `{ Epoch:[  3/  3], step:[    1/    4]`; of 2 epochs
    it says `the parameter 'epoch' must bigger than parameter 'initial_epoch'`.
    """
    saved = {"glm-6b_rank_0-2_2.ckpt": 0o400, "glm-6b_rank_1-2_2.ckpt": 0o400}
    yaml = stage.yaml().replace(b"save_checkpoint_steps: 500", b"save_checkpoint_steps: 6")
    yaml = yaml.replace(b"sink_mode: True", b"sink_mode: False").replace(b"epochs: 31", b"epochs: 3")
    with stage:
        stage.start_daemon()
        found = submission.wait_for_job(submission.drop(yaml, "rehearsal.yaml", stage.root), stage.root, 30.0)
        assert found is not None
        job = found.job.directory(stage.root.path)
        wait(lambda: shards(job) == saved or job_of(stage)[0].state.is_over, "2_2")
        assert rank(job, 1).signal(signal.SIGKILL)
        wait(lambda: job_of(stage)[0].state.is_over, "the end")
        end, _ = job_of(stage)
    assert (end.state, end.attempt) == (State.FAILED, 1)
    assert "not resumed: 2_2 falls inside an epoch of 4 steps" in end.reason
    assert not job.merged.exists()
