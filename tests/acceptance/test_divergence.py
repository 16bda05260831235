"""What becomes of a training that diverges, as its user meets it."""

import json
import os
import signal

from daemon.core.read_store import ReadStore
from daemon.core.states import State
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Divergence, StepExit
from tests.acceptance.house import CONFIG, House


def is_saved(job: JobDir, tag: str) -> bool:
    """Tell whether both ranks have closed their shards of `tag`."""
    shards = [job.output / f"checkpoint/rank_{rank}/glm-6b_rank_{rank}-{tag}.ckpt" for rank in (0, 1)]
    return all(path.exists() and path.stat().st_mode & 0o777 == 0o400 for path in shards)


def diverging(house: House, section: str = "  stop_on: {not_finite: 5}\n") -> str:
    """Return a config whose learning rate is too high."""
    config = CONFIG.format(data=house.data, devices="[0,2)")
    return f"lr_schedule:\n  type: polynomial\n  learning_rate: 1.0\n{config}{section}"


def reasons(house: House) -> list[str]:
    """Return those of the first job's transitions."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return [step.reason for step in store.history(1)]


def divergence(house: House, attempt: int) -> Divergence | None:
    """Return what exit.json says of an attempt of the first job."""
    return StepExit.read(house.directory().step(attempt, Step.TRAIN).exit).divergence


def test_a_training_that_diverges_without_a_save_of_before_fails(house: House) -> None:
    """Long before its end; the reason says since when and what to do, and its devices are the next one's."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="7")
    house.start().drop(text=diverging(house))
    job = house.until(State.FAILED)
    assert (job.attempt, job.code) == (1, "training.diverged")
    assert job.reason.startswith(
        "diverged at epoch 10 step 4: the loss is nan on 5 printed lines on end, since epoch 6 step 4; "
        "loss 8.9 → 8.7 → 8.5 → nan; cause: usually a learning rate that is too high"
    )
    assert "not resumed: no earlier save is complete on all ranks (7_4 was saved when" in job.reason
    assert divergence(house, 1) == Divergence(epoch=6, step=4, number=24, sound=20)
    shown = house.run("status", "1").stdout
    assert "attempt 1, train: failed" in shown
    assert "[training.diverged]" in shown
    assert "`glmd steps 1`" in " ".join(shown.split())
    assert not list((house.root / "latest").iterdir())
    house.gate.touch()
    house.drop("next.yaml")
    house.wait(lambda: len(house.jobs()) == 2, "the next job")
    house.until(State.DONE, 2)


def test_a_training_that_diverges_goes_on_once_from_a_save_of_before(house: House) -> None:
    """Not from the newest, which is lost; and when it goes well then, it is done."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="3,4,7", STANDIN_DIVERGE_ONCE="1")
    house.start().drop(text=diverging(house))
    house.wait(lambda: house.jobs() != () and house.job().attempt == 2, "the second attempt")
    house.gate.touch()
    job = house.until(State.DONE)
    resumed = reasons(house)[3]
    assert resumed.startswith("resumed from 4_4 after: diverged at epoch 10 step 4: the loss is nan")
    assert resumed.endswith("; 7_4 was saved when the training may have gone wrong already")
    assert "Epoch:[  5/ 31]" in job.directory(house.root).rank_log(0).read_text()
    assert "Epoch:[  4/ 31]" not in job.directory(house.root).rank_log(0).read_text()
    assert json.loads((job.directory(house.root).merged / "manifest.json").read_text())["tag"] == "31_4"
    assert "not finite" not in job.reason
    assert list((house.root / "latest").iterdir())


def test_a_training_that_diverges_twice_is_left_to_people(house: House) -> None:
    """Whoever repeats it goes on from the save of before, too; what was saved later is never gone on from."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="3,4,7")
    house.start().drop(text=diverging(house))
    job = house.until(State.FAILED)
    assert (job.attempt, job.code) == (2, "training.diverged")
    assert "not resumed: an earlier attempt diverged too" in job.reason
    assert divergence(house, 2) == Divergence(epoch=6, step=4, number=24, sound=20)
    with ReadStore.open(house.root / "glmd.db") as store:
        assert store.locks() == {}
    house.stop()
    house.environment(STANDIN_DIVERGE="99")  # somebody has mended what was wrong
    house.start()
    house.gate.touch()
    assert house.run("retry", "1").returncode == 0
    job = house.until(State.DONE)
    assert job.attempt == 3
    assert any(reason.startswith("resumes from 4_4: 7_4 was saved when") for reason in reasons(house))
    assert "Epoch:[  5/ 31]" in job.directory(house.root).rank_log(0).read_text()


def test_the_file_wins_over_the_settings(house: House) -> None:
    """Whoever wants to see it train on does; nothing is published of it all the same."""
    house.settings["stop_on"] = {"not_finite": 3}
    house.start().drop(text=diverging(house, section=""))
    assert "the loss is nan on 3 printed lines on end" in house.until(State.FAILED).reason
    house.drop("off.yaml", text=diverging(house, section="  stop_on: {not_finite: off}\n"))
    house.wait(lambda: len(house.jobs()) == 2, "the next job")
    assert "NaN or infinity" in house.until(State.DONE, 2).reason
    assert not list((house.root / "latest").iterdir())


def test_a_failure_of_another_kind_after_a_divergence_goes_on_from_what_is_good(house: House) -> None:
    """That is what the second attempt saved itself, though the first one's save of that number is lost."""
    house.environment(STANDIN_GATE=str(house.gate), STANDIN_SAVE="4,7", STANDIN_DIVERGE_ONCE="1")
    house.start().drop(text=diverging(house))
    house.wait(lambda: house.jobs() != () and house.job().attempt == 2, "the second attempt")
    directory = house.directory()
    house.wait(lambda: is_saved(directory, "7_4") and "Epoch:[ 30/" in directory.rank_log(1).read_text(), "7_4")
    rank = int((house.devices / "1").read_text().rpartition(" ")[2][:-1])
    os.kill(rank, signal.SIGKILL)
    house.wait(lambda: house.job().attempt == 3, "the third attempt")
    house.gate.touch()
    job = house.until(State.DONE)
    assert job.attempt == 3
    assert reasons(house)[4].startswith("resumed from 7_4 after: rank 1 on device 1 was killed by SIGKILL")
    assert "NaN" not in job.reason
