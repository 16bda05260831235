"""What becomes of jobs whose training failed, hung or was lost with its host, as their users meet it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.core.store import Transition
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan
from handlers.records.process import ProcessIdentity
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit, Survivor
from tests.acceptance.house import CONFIG, House

NPU_SMI = Path(__file__).parents[1] / "fixtures" / "npu_smi"


def history(house: House) -> tuple[Transition, ...]:
    """Return the first job's transitions."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return store.history(1)


def locks(house: House) -> dict[int, int]:
    """Return which job holds each device."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return store.locks()


def is_saved(job: JobDir, tag: str) -> bool:
    """Tell whether both ranks have closed their shards of `tag`."""
    shards = [job.output / f"checkpoint/rank_{rank}/glm-6b_rank_{rank}-{tag}.ckpt" for rank in (0, 1)]
    return all(path.exists() and path.stat().st_mode & 0o777 == 0o400 for path in shards)


def lose_host(house: House) -> None:
    """Do what a reboot does: all processes are gone, and their records are of another boot."""
    record = house.directory().step(house.job().attempt, Step.TRAIN).shim
    shim = house.shim()
    house.stop(signal.SIGKILL)
    shim.signal(signal.SIGKILL)
    house.wait(lambda: not shim.alive(), "the shim to end")
    before = ShimRecord.read(record)
    before.model_copy(update={"boot_id": "11111111-1111-1111-1111-111111111111"}).publish(record)


def test_a_training_that_fails_after_a_save_is_resumed_from_it(house: House) -> None:
    """By itself, with its devices kept; the first attempt's output stays, and nothing is trained twice."""
    house.environment(STANDIN_SAVE="17", STANDIN_FAIL="1", STANDIN_FAIL_AT="17")
    house.start().drop()
    job = house.until(State.DONE)
    assert [(step.state, step.attempt) for step in history(house)] == [
        (State.QUEUED, 1), (State.PREPARING, 1), (State.TRAINING, 1), (State.TRAINING, 2), (State.MERGING, 2),
        (State.DONE, 2),
    ]  # fmt: skip
    directory = job.directory(house.root)
    assert "Epoch:[ 18/ 31]" in directory.rank_log(0).read_text()
    assert "Epoch:[ 17/ 31]" not in directory.rank_log(0).read_text()
    assert (directory.earlier_output(1) / "checkpoint/rank_0/glm-6b_rank_0-17_4.ckpt").exists()
    shown = house.run("status", "1").stdout
    assert "resumed from 17_4 after: rank 1 on device 1 exited 1" in shown
    assert "attempt 1, train: failed" in shown
    assert "attempt 2, train: completed" in shown


def test_a_stricter_rule_ends_no_training_that_has_begun(house: House) -> None:
    """Of another MindFormers, here; the next file is held against it, and a job that waits."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="17")
    house.start().drop()
    house.until(State.TRAINING)
    house.drop("next.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + "# another\n")
    house.wait(lambda: is_saved(house.directory(), "17_4"), "a save")
    house.training["mindformers"] = "1.3"  # where a callback has another name
    (house.root / "glmd.yaml").write_text(json.dumps(house.settings))
    assert house.run("reload").returncode == 0
    rank = int((house.devices / "1").read_text().rpartition(" ")[2][:-1])
    os.kill(rank, signal.SIGKILL)
    house.wait(lambda: house.job().attempt == 2, "the next attempt")
    house.gate.touch()
    assert house.until(State.DONE).attempt == 2
    assert "CheckpointMonitor" in house.until(State.FAILED, 2).reason


def test_a_resumed_training_without_progress_is_the_last(house: House) -> None:
    """It fails at the same place again: the devices are needed elsewhere."""
    house.environment(STANDIN_SAVE="17", STANDIN_FAIL="1", STANDIN_FAIL_AT="20")
    house.start().drop()
    job = house.until(State.FAILED)
    assert job.attempt == 2
    assert "rank 1 on device 1 exited 1" in job.reason
    assert "no save newer than 17_4" in job.reason
    assert locks(house) == {}


def as_one_epoch(house: House, *, sinks: bool, killed_at: int) -> str:
    """Return a config, and let the trainings be one epoch with three saves, one of which is followed by a failure."""
    house.environment(
        STANDIN_DATA="1,12", STANDIN_SAVE="1,2", STANDIN_FAIL="1", STANDIN_FAIL_AT=str(killed_at)
    )  # fmt: skip
    config = CONFIG.format(data=house.data, devices="[0,2)")
    return config if sinks else config.replace("sink_mode: True", "sink_mode: False")


@pytest.mark.parametrize(("killed_at", "tag"), ((1, "1_4"), (2, "2_4")))
def test_with_data_sinking_an_epoch_is_resumed_from_its_saves(house: House, killed_at: int, tag: str) -> None:
    """Each sink is an epoch of MindFormers'."""
    text = as_one_epoch(house, sinks=True, killed_at=killed_at)
    house.start().drop(text=text)
    job = house.until(State.DONE)
    assert job.attempt == 2
    assert history(house)[3].reason.startswith(f"resumed from {tag} after: rank 1 on device 1 exited 1")
    assert json.loads((job.directory(house.root).merged / "manifest.json").read_text())["tag"] == "3_4"


@pytest.mark.parametrize(("killed_at", "tag"), ((1, "1_4"), (2, "1_8")))
def test_without_data_sinking_a_save_inside_the_only_epoch_is_no_end(house: House, killed_at: int, tag: str) -> None:
    """Nothing half-trained is merged, and `latest` stays where it was; a retry begins anew, and says why."""
    text = as_one_epoch(house, sinks=False, killed_at=killed_at)
    house.start().drop(text=text)
    job = house.until(State.FAILED)
    directory = job.directory(house.root)
    assert job.attempt == 1
    assert job.reason.startswith("rank 1 on device 1 exited 1")
    assert f"not resumed: {tag} falls inside an epoch of 12 steps" in job.reason
    assert "set runner_config.sink_mode to True, or save_checkpoint_steps to 12" in job.reason
    assert not directory.merged.exists()
    assert not list((house.root / "latest").iterdir())
    assert locks(house) == {}
    house.stop()
    house.environment(STANDIN_DATA="1,12")
    house.start()
    assert house.run("retry", "1").returncode == 0
    assert house.until(State.DONE).attempt == 2
    assert "step:[    4/   12]" in directory.rank_log(0).read_text()
    training = next(step for step in history(house) if (step.state, step.attempt) == (State.TRAINING, 2))
    assert training.reason.startswith(f"starts from the beginning: {tag} falls inside an epoch of 12 steps")
    assert json.loads((directory.merged / "manifest.json").read_text())["tag"] == "1_12"


@pytest.mark.parametrize(("sinks", "tag"), ((True, "3_4"), (False, "1_12")))
def test_what_fails_after_its_last_save_is_merged(house: House, *, sinks: bool, tag: str) -> None:
    """All is trained."""
    text = as_one_epoch(house, sinks=sinks, killed_at=3)
    house.start().drop(text=text)
    job = house.until(State.DONE)
    assert job.attempt == 1
    assert history(house)[3].reason.startswith(f"the training is complete and saved as {tag}, although rank 1")
    assert json.loads((job.directory(house.root).merged / "manifest.json").read_text())["tag"] == tag


def test_without_data_sinking_the_newest_save_at_an_epochs_end_is_resumed_from(house: House) -> None:
    """MindFormers would go on from 2_4 with the third epoch; nothing is left out, and the job says why."""
    house.environment(STANDIN_DATA="3,8", STANDIN_SAVE="1,2,3", STANDIN_FAIL="1", STANDIN_FAIL_AT="3")
    config = CONFIG.format(data=house.data, devices="[0,2)").replace("sink_mode: True", "sink_mode: False")
    house.start().drop(text=config)
    job = house.until(State.FAILED)
    assert job.attempt == 2
    assert history(house)[3].reason.startswith("resumed from 1_8 after: rank 1")
    assert "2_4 falls inside an epoch of 8 steps" in history(house)[3].reason
    assert "`glmd retry 1` would resume from 1_8" in job.reason  # it failed at the same place again
    log = job.directory(house.root).rank_log(0).read_text()
    assert "Epoch:[  1/  3]" not in log
    assert "Epoch:[  2/  3], step:[    4/    8]" in log


def test_with_no_attempts_allowed_a_retry_resumes(house: House) -> None:
    """`resume: {attempts: 0}` leaves the decision to people, who lose no more than the epochs since the save."""
    house.environment(STANDIN_SAVE="17", STANDIN_FAIL="1", STANDIN_FAIL_AT="17")
    house.start().drop(text=CONFIG.format(data=house.data, devices="[0,2)") + "  resume: {attempts: 0}\n")
    assert house.until(State.FAILED).attempt == 1
    assert house.run("retry", "1").returncode == 0
    job = house.until(State.DONE)
    assert job.attempt == 2
    assert "Epoch:[ 17/ 31]" not in job.directory(house.root).rank_log(0).read_text()


def test_overrides_hold_for_every_attempt(house: House) -> None:
    """For the first, which begins from what continue_from names, and for a retry that goes on from its save."""
    house.environment(STANDIN_SAVE="17", STANDIN_FAIL="1", STANDIN_FAIL_AT="17")
    text = CONFIG.format(data=house.data, devices="[0,2)") + f"  continue_from: {house.data}/base.ckpt\n"
    house.start().drop(text=text + "  resume: {attempts: 0}\n  overrides: {runner_config.epochs: 2}\n")
    directory = house.until(State.FAILED).directory(house.root)
    assert house.run("retry", "1").returncode == 0
    assert house.until(State.DONE).attempt == 2
    assert "Epoch:[ 18/ 31]" in directory.rank_log(0).read_text(), "it was begun anew"
    for config in (directory.config, directory.resumed_config(2)):
        assert "\n  epochs: 2\n" in config.read_text()
    assert "\n  epochs: 1\n" in directory.submitted.read_text()


def test_a_tag_that_an_earlier_attempt_saved_is_merged(house: House) -> None:
    """The file asks for it by name; the resumed training does not save it again."""
    house.environment(STANDIN_SAVE="17", STANDIN_FAIL="1", STANDIN_FAIL_AT="17")
    house.start().drop(text=CONFIG.format(data=house.data, devices="[0,2)") + "  merge: {tag: 17_4}\n")
    job = house.until(State.DONE)
    assert job.attempt == 2
    assert json.loads((job.directory(house.root).merged / "manifest.json").read_text())["tag"] == "17_4"


def test_ranks_that_hang_are_tried_once_more(house: House) -> None:
    """Begun anew, since nothing was saved; the second time it is over."""
    house.environment(STANDIN_HANG="1")
    house.start().drop(text=CONFIG.format(data=house.data, devices="[0,2)") + "  timeout: {first_step: 1s}\n")
    job = house.until(State.FAILED)
    assert job.attempt == 2
    assert "made no save that is complete" in job.reason
    assert "started again after: " in history(house)[3].reason


@pytest.mark.parametrize("saved", (True, False))
def test_after_a_reboot_a_training_goes_on_by_itself(house: House, *, saved: bool) -> None:
    """From its newest save, or anew where there was none."""
    house.environment(STANDIN_GATE=str(house.gate), **({"STANDIN_SAVE": "17"} if saved else {}))
    house.start().drop()
    house.until(State.TRAINING)
    job = house.directory()
    house.wait(lambda: is_saved(job, "17_4") if saved else job.rank_log(1).exists(), "the training")
    lose_host(house)
    house.gate.touch()
    house.start()
    assert house.until(State.DONE).attempt == 2
    how = "resumed from 17_4" if saved else "started again"
    assert history(house)[3].reason == f"{how} after: the host went down during train"


def test_after_a_reboot_a_job_that_was_to_be_cancelled_is(house: House) -> None:
    """What a user asked for before holds after."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="17")
    house.start().drop()
    house.until(State.TRAINING)
    house.wait(lambda: is_saved(house.directory(), "17_4"), "17_4")
    lose_host(house)
    with sqlite3.connect(house.root / "glmd.db") as connection:
        connection.execute("UPDATE jobs SET cancel = 1")
    connection.close()
    house.start()
    assert house.until(State.CANCELLED).attempt == 1


def test_after_a_reboot_a_merge_is_done_again(house: House) -> None:
    """Its training is not repeated."""
    house.start().drop()
    house.until(State.DONE)
    house.stop()
    step = house.directory().step(1, Step.MERGE)
    step.exit.unlink()
    ShimRecord.read(step.shim).model_copy(update={"boot_id": "11111111-1111-1111-1111-111111111111"}).publish(step.shim)
    with sqlite3.connect(house.root / "glmd.db") as connection:
        connection.execute("UPDATE jobs SET state = 'merging'")
    connection.close()
    house.start()
    assert house.until(State.DONE).attempt == 2
    assert not house.directory().step(2, Step.TRAIN).path.exists()
    assert history(house)[-2].reason == "merges again after: the host went down during merge"


def test_a_retry_after_the_last_save_has_only_to_merge(house: House) -> None:
    """The job failed before glmd could see that nothing was left to train."""
    house.start().drop()
    house.until(State.DONE)
    house.stop()
    exit_ = house.directory().step(1, Step.TRAIN).exit
    StepExit.read(exit_).model_copy(update={"outcome": Outcome.FAILED}).publish(exit_)
    shutil.rmtree(house.directory().merged)
    with sqlite3.connect(house.root / "glmd.db") as connection:
        connection.execute("UPDATE jobs SET state = 'failed'")
        connection.execute("DELETE FROM transitions WHERE state IN ('merging', 'done')")
    connection.close()
    house.start()
    assert house.run("retry", "1").returncode == 0
    house.wait(lambda: house.job().state.is_over, "the job to be over")
    assert house.job().state is State.DONE, house.job().reason
    assert "nothing is left to train" in " ".join(step.reason for step in history(house))
    assert not house.directory().step(2, Step.TRAIN).shim.exists()


def test_time_limits_are_learned_from_earlier_trainings(house: House) -> None:
    """Of the same configuration that were completed; the user's own words count for more."""
    house.environment(STANDIN_PAUSE="0.1")  # what is over in a moment teaches nothing
    house.start()
    for number, timeout in ((1, ""), (2, ""), (3, "  timeout: {silence: 20m, first_step: 40m}\n")):
        house.drop(f"run{number}.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + timeout)
        house.until(State.DONE, number)
    plans = [JobPlan.read(house.directory(number).plan).train for number in (1, 2, 3)]
    limits = [plan.limits for plan in plans if plan is not None]
    assert [limit.learned_from for limit in limits] == [0, 1, 0]
    assert [limit.silence for limit in limits] == [1800, 300, 1200]


@pytest.fixture
def survivor() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that stands in for one in state D: nothing that glmd does ends it."""
    with subprocess.Popen([sys.executable, "-SEc", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


def test_devices_stay_locked_while_a_process_that_cannot_be_ended_is_on_them(
    house: House, survivor: subprocess.Popen[bytes]
) -> None:
    """Not even a retry gets them; when the process is gone they are free by themselves."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="17")
    house.start().drop()
    house.until(State.TRAINING)
    shim, exit_ = house.shim(), house.directory().step(1, Step.TRAIN).exit
    house.wait(lambda: is_saved(house.directory(), "17_4"), "17_4")
    house.stop(signal.SIGKILL)
    shim.signal(signal.SIGKILL)
    house.wait(lambda: not shim.alive(), "the shim to end")
    who, now = ProcessIdentity.of(survivor.pid), datetime.now(UTC)
    left = Survivor(
        pid=who.pid, start_time=who.start_time, boot_id=who.boot_id, name="python", state="D", rank=0, device=0
    )
    reason = f"hung; still there after SIGKILL, an operator is needed: pid {who.pid}"
    StepExit(
        step=Step.TRAIN, outcome=Outcome.TIMED_OUT, reason=reason, survivors=(left,), started=now, ended=now
    ).publish(exit_)  # fmt: skip
    house.start()
    assert house.until(State.FAILED).reason == reason
    assert locks(house) == {0: 1, 1: 1}
    assert "devices held: [0,2) by job 1" in house.run("status").stdout
    for action in ("retry", "cancel"):
        refused = house.run(action, "1")
        assert refused.returncode != 0
        assert f"pid {who.pid}" in refused.stderr
    house.drop("next.yaml", text=CONFIG.format(data=house.data, devices="[0,2)") + "  priority: 1\n")
    house.until_taken("next.yaml")
    assert house.job(2).state is State.QUEUED
    survivor.kill()
    survivor.wait()
    house.gate.touch()
    assert "is failed already" in house.run("cancel", "1").stderr  # the loop turns, and finds the process gone
    house.until(State.DONE, 2)
    assert house.run("retry", "1").returncode == 0
    assert house.until(State.DONE).attempt == 2


@pytest.fixture
def npu_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an npu-smi into PATH, and return the file that it prints."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "npu-smi").write_text(f"#!/bin/sh\nexec cat {tools}/printed.txt\n")
    (tools / "npu-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    return tools / "printed.txt"


def test_a_job_waits_for_devices_that_others_use(house: House, npu_smi: Path) -> None:
    """It says for what; it starts by itself when they are free; others are not kept up meanwhile."""
    npu_smi.write_text((NPU_SMI / "910b.txt").read_text())
    house.start().drop(devices="[2,4)")
    house.wait(lambda: any("device 2 is in use by pid 1333928" in job.reason for job in house.jobs()), "the reason")
    assert house.job().state is State.QUEUED
    assert locks(house) == {}
    house.drop("other.yaml", devices="[0,2)")
    house.until(State.DONE, 2)
    npu_smi.write_text((NPU_SMI / "910a_idle.txt").read_text())
    house.until(State.DONE)


def test_a_retry_that_was_cancelled_in_the_queue_loses_nothing(house: House, npu_smi: Path) -> None:
    """The attempt that never began left no directory, and the save before it counts all the same."""
    npu_smi.write_text((NPU_SMI / "910a_idle.txt").read_text())
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="17")
    house.start().drop(devices="[2,4)")
    house.until(State.TRAINING)
    house.wait(lambda: is_saved(house.directory(), "17_4"), "17_4")
    npu_smi.write_text((NPU_SMI / "910b.txt").read_text())
    for action, state in (("cancel", State.CANCELLED), ("retry", State.QUEUED), ("cancel", State.CANCELLED)):
        assert house.run(action, "1").returncode == 0
        house.until(state)
    npu_smi.write_text((NPU_SMI / "910a_idle.txt").read_text())
    house.gate.touch()
    assert house.run("retry", "1").returncode == 0
    job = house.until(State.DONE)
    assert job.attempt == 3
    assert "Epoch:[ 17/ 31]" not in job.directory(house.root).rank_log(0).read_text()


def test_a_job_on_an_ill_device_fails(house: House, npu_smi: Path) -> None:
    """Nobody's waiting mends it."""
    npu_smi.write_text((NPU_SMI / "910b.txt").read_text())
    house.start().drop(devices="[4,6)")
    assert house.until(State.FAILED).reason == "not started: the health of device 5 is Alarm (npu-smi info)"


@pytest.mark.parametrize(("setting", "state"), (("refuse", State.FAILED), ("off", State.DONE)))
def test_whether_a_job_waits_is_a_setting(house: House, npu_smi: Path, setting: str, state: State) -> None:
    """`refuse` fails it, `off` looks at nothing."""
    npu_smi.write_text((NPU_SMI / "910b.txt").read_text())
    house.settings["preflight"] = setting
    house.start().drop(devices="[2,4)")
    house.until(state)
