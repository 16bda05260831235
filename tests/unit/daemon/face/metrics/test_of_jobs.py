"""Samples of a training."""

import math
import os
from datetime import timedelta

from daemon.core.states import State
from daemon.core.store import NewJob, Store
from handlers.records.job_dir import Step
from handlers.training_record.record import NAME
from tests.unit.daemon.commands.trained import log_lines
from tests.unit.daemon.face.metrics.scene import NOW, Scene, of
from tests.unit.daemon.face.placed import runs


def test_how_far_it_is(scene: Scene) -> None:
    """As its logs and its record tell: the same as `glmd status`."""
    job = scene.train()
    values = scene.values()
    expected = {
        "job_epoch": 2,
        "job_epochs": 31,
        "job_steps_done": 8,  # by the log of the highest rank
        "job_steps_planned": 124,
        "job_loss": 1.125,
        "job_learning_rate": 5e-5,
        "job_loss_scale": 65536,
        "job_overflow_steps_total": 3,
        "job_step_duration_seconds": 0.5,
        "job_samples_per_second": 13,
        "job_remaining_seconds": 58,
        "job_silence_limit_seconds": 600,
    }
    assert {name: of(values, name, job_id=job.id, job_name=job.name) for name in expected} == expected
    assert of(values, "job_rank_steps_done", rank=0, id=4) == 9
    assert of(values, "job_rank_last_line_timestamp_seconds", rank=1, id=5) == NOW.timestamp() - 31
    assert of(values, "job_info", prefix="glm-6b", cycle="", attempt=1) == 1
    assert of(values, "job_state_entered_timestamp_seconds", state="training") is not None


def test_signs_of_life(scene: Scene) -> None:
    """A log, a shard, or that it began: whichever was last."""
    job = scene.train()
    scene.diary.sql("UPDATE transitions SET at = ?", (NOW - timedelta(hours=2)).isoformat())
    sign = "job_last_sign_of_life_timestamp_seconds"
    assert of(scene.values(), sign) == NOW.timestamp() - 30
    shard = job.directory(scene.root.path).output / "checkpoint" / "rank_0" / "a.ckpt"
    shard.parent.mkdir(parents=True)
    shard.touch()
    os.utime(shard, (NOW.timestamp() - 5,) * 2)
    assert of(scene.values(), sign) == NOW.timestamp() - 5
    scene.diary.sql("UPDATE transitions SET at = ?", NOW.isoformat())
    assert of(scene.values(), sign) == NOW.timestamp()


def test_the_limit_is_that_of_what_it_is_at(scene: Scene) -> None:
    """As the shim has it: another one while it loads."""
    job = scene.train()
    for rank in (0, 1):
        job.directory(scene.root.path).rank_log(rank).write_text("loads\n")
    assert of(scene.values(), "job_silence_limit_seconds") == 1800
    plan = job.directory(scene.root.path).plan
    for content in ("", "[]", '{"train": null}', '{"train": {"limits": {"silence": "x"}}}'):
        plan.write_text(content)
        assert of(scene.values(), "job_silence_limit_seconds") is None
    plan.unlink()
    assert of(scene.values(), "job_silence_limit_seconds") is None


def test_a_loss_that_is_no_number(scene: Scene) -> None:
    """It is told: an alert goes by it."""
    job = scene.train()
    with job.directory(scene.root.path).rank_log(1).open("a") as log:
        log.write("{ Epoch:[  3/ 31], step:[    1/    4], loss:[  nan/  nan], per_step_time: 500ms }\n")
    assert math.isnan(of(scene.values(), "job_loss") or 0.0)


def test_overflows_of_all_attempts(scene: Scene) -> None:
    """Each row is counted once, also where the record grows between two scrapes, or was thinned."""
    job = scene.train()
    assert of(scene.values(), "job_overflow_steps_total") == 3
    scene.record(job, range(10, 16))
    assert of(scene.values(), "job_overflow_steps_total") == 5
    scene.record(job, range(12, 31), attempt=2)
    assert of(scene.values(), "job_overflow_steps_total") == 5 + 7
    record = job.directory(scene.root.path).step(2, Step.TRAIN).path / NAME
    lines = record.read_bytes().splitlines(keepends=True)
    thinned = record.with_suffix(".new")
    thinned.write_bytes(lines[0] + lines[-1] + b'{"t":1,"over":tr')  # and a line that has no end yet
    thinned.rename(record)
    assert of(scene.values(), "job_overflow_steps_total") == 5 + 1


def test_a_record_that_leads_elsewhere_is_not_followed(scene: Scene) -> None:
    """Whoever writes in a job's directory shows nobody another file."""
    job = scene.train()
    record = job.directory(scene.root.path).step(1, Step.TRAIN).path / NAME
    record.rename(record.with_name("other"))
    record.symlink_to("other")
    values = scene.values()
    assert of(values, "job_learning_rate") is None
    assert of(values, "job_loss") == 1.125


def test_a_training_that_has_said_nothing_yet(scene: Scene) -> None:
    """There is no log, no record, no plan: it is there, since when it began."""
    with Store.open(scene.root.store) as store:
        job = store.move(store.add(NewJob("a", "a", devices=(1,), prefix="p")), State.PREPARING)
        job = store.move(job, State.TRAINING)
    values = scene.values()
    assert of(values, "job_info", job_id=job.id) == 1
    assert of(values, "job_last_sign_of_life_timestamp_seconds", job_id=job.id) is not None
    assert of(values, "job_steps_done") is None


def test_ranks_on_nodes_have_no_id(scene: Scene) -> None:
    """Which device of a node is whose, this host does not know; what joins by it must not find another's."""
    with Store.open(scene.root.store) as store:
        job = store.move(store.add(NewJob("far", "far", nodes=2, ranks=2)), State.PREPARING)
        job = store.move(store.move(job, State.SUBMITTED), State.TRAINING)
    log = job.directory(scene.root.path).rank_log(0)
    log.parent.mkdir(parents=True)
    log.write_text(log_lines(range(1, 4)))
    values = scene.values()
    assert of(values, "job_rank_steps_done", job_id=job.id, rank=0, id="") == 3
    assert of(values, "device_job_info", job_id=job.id) is None


def test_ranks_on_nodes_name_their_node(scene: Scene) -> None:
    """Beside an id that stays empty; a job that waits in Slurm's queue is counted by its state."""
    with Store.open(scene.root.store) as store:
        waits = store.move(store.add(NewJob("far", "far", nodes=2, ranks=4)), State.PREPARING)
        waits = store.move(waits, State.SUBMITTED)
        trains = store.move(store.add(NewJob("too", "too", nodes=2, ranks=4)), State.PREPARING)
        trains = store.move(store.move(trains, State.SUBMITTED), State.TRAINING)
    runs(trains, scene.root.path)
    log = trains.directory(scene.root.path).rank_log(2)
    log.parent.mkdir(parents=True)
    log.write_text(log_lines(range(1, 4)))
    values = scene.values()
    assert of(values, "job_rank_steps_done", job_id=trains.id, rank=2, id="", node="n1") == 3
    assert of(values, "jobs", state="submitted") == 1
    assert of(values, "job_state_entered_timestamp_seconds", job_id=waits.id, state="submitted") is not None
