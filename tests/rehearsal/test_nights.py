"""Three nights of a cycle with the real MindFormers: the second diverges, the third goes on from the first.

Nothing waits for the clock: `glmd night --try` drops each night's YAML now.
"""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.client.rehearsal import Stage, training_python
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from daemon.face.nights import night_of
from daemon.face.training import training_of

pytestmark = pytest.mark.rehearsal

CYCLE = """\
stop_on:
  not_finite: 4
nightly:
- name: tiny
  cron: "0 2 * * *"
  template: "{template}"
  continue_from: latest
"""
PATIENCE = 180.0
CALM = b"learning_rate: 1.e-2"
WILD = b"learning_rate: 1.e+30"
"""At which the weights are no numbers after one step."""


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return a root with data for the rehearsal, and a cycle whose loss scale fits from the first step on."""
    stage = Stage(tmp_path, training_python(Path(os.environ.get("GLMD_TRAINING_PYTHON", ""))))
    stage.furnish()
    template(stage).write_bytes(
        stage.yaml()
        .replace(b"loss_scale_value: 4294967296", b"loss_scale_value: 1024")
        .replace(b"1.e-6", b"1.e-3")
        .replace(b"epochs: 31", b"epochs: 12")
    )
    with stage.settings_file.open("a") as settings:
        settings.write(CYCLE.format(template=template(stage)))
    return stage


def template(stage: Stage) -> Path:
    """Return the cycle's template."""
    return stage.root.path / "template.yaml"


def glmd(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the stage."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "daemon.cli", *words, "--root", str(stage.root.path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def night(stage: Stage) -> Job:
    """Let one night come and pass; return its job."""
    with ReadStore.open(stage.root.store) as store:
        number = store.highest() + 1
    tried = glmd(stage, "night", "--try", "tiny")
    assert tried.returncode == 0, tried.stderr
    deadline = time.monotonic() + PATIENCE
    while (job := job_at(stage, number)) is None or not job.state.is_over:
        assert time.monotonic() < deadline, stage.daemon_log.read_text()[-3000:]
        time.sleep(0.1)
    return job


def job_at(stage: Stage, number: int) -> Job | None:
    """Return a job; None while it is not there yet."""
    with ReadStore.open(stage.root.store) as store:
        return store.readable(number)


def losses(stage: Stage, job: Job) -> list[float]:
    """Return the loss of each recorded step."""
    training = training_of(job.directory(stage.root.path))
    assert training is not None
    return [loss for _, loss in training.points()]


def test_a_bad_night_harms_nothing(stage: Stage) -> None:
    """What diverges is stopped early and not promoted; the night behind it goes on from the last good one."""
    latest = stage.root.latest / "glm-6b"
    with stage:
        stage.start_daemon()
        first = night(stage)
        assert (first.state, first.continues) == (State.DONE, None), first.reason
        good = first.directory(stage.root.path).merged
        assert latest.resolve() == good

        template(stage).write_bytes(template(stage).read_bytes().replace(CALM, WILD))
        second = night(stage)
        ended = (second.state, second.code, second.continues)
        assert ended == (State.FAILED, "training.diverged", first.id), second.reason
        assert latest.resolve() == good
        needy = glmd(stage, "night", night_of(datetime.now(UTC)).isoformat(), "--json")

        template(stage).write_bytes(template(stage).read_bytes().replace(WILD, CALM))
        third = night(stage)
        assert (third.state, third.continues) == (State.DONE, first.id), third.reason
        assert latest.resolve() == third.directory(stage.root.path).merged

    assert losses(stage, third)[0] == pytest.approx(losses(stage, first)[-1], rel=0.15)
    assert losses(stage, third)[0] < 0.75 * losses(stage, first)[0]
    assert len(losses(stage, second)) < len(losses(stage, first)), "it was not stopped early"
    assert needy.returncode == 1
    assert [need["job"] for need in json.loads(needy.stdout)["needs"]] == [second.id]
    assert glmd(stage, "doctor", "--state").returncode == 0
