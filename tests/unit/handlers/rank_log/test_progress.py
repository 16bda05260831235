"""How far a training is, from its ranks' logs."""

import math
from pathlib import Path

import pytest

from handlers.rank_log.progress import Progress, progress_in, read_progress

PREFIX = "2026-11-24 09:14:01,100 - mindformers[callback.py:312] - INFO - "


def write(output: Path, rank: int, *lines: str) -> Path:
    """Let a rank log `lines`; return its log."""
    log = output / "log" / f"rank_{rank}" / "mindformer.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(PREFIX + line + "\n" for line in lines))
    return log


STEP_LINES = {
    "0.8 on": (
        "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.776], "
        "per_step_time: 1237ms, overflow cond: False, loss_scale: unavailable"
    ),
    "sink mode": (
        "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.770, "
        "per_step_time: 1237ms, lr: [5e-05], overflow cond: False, loss_scale: 65536.0"
    ),
    "1.3 on": (
        "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.770, per_step_time: 1237ms, lr: 5e-05, "
        "overflow cond: False, loss_scale: 65536.0, global_norm: [1.2], train_throughput_per_npu: 120.000T"
    ),
    "to 0.6": (
        "Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.776], time:4948.120 ms, "
        "lr:[5e-05], overflow cond: False, loss_scale: 65536.0"
    ),
}


@pytest.mark.parametrize(
    ("version", "seconds"), (("0.8 on", 1.237), ("sink mode", 1.237), ("1.3 on", 1.237), ("to 0.6", None))
)
def test_lines_of_mindformers(tmp_path: Path, version: str, seconds: float | None) -> None:
    """The step line of each version is understood."""
    progress = progress_in(write(tmp_path, 0, STEP_LINES[version], "   4.0% |██    | 6.46 samples/s/p  0:00:06 }"))
    assert progress == Progress(epoch=2, epochs=31, step=3, steps=4, loss=11.77, seconds_per_step=seconds)


def test_trainer_that_counts_no_epochs(tmp_path: Path) -> None:
    """MindFormers' newer one has the steps of the whole training: they are those of one epoch."""
    lines = [f"{{ step:[{number:5d}/   10], loss: 11.800000, per_step_time: 500ms }}" for number in (1, 2)]
    progress = progress_in(write(tmp_path, 0, *lines))
    assert progress == Progress(epoch=1, epochs=1, step=2, steps=10, loss=11.8, seconds_per_step=0.5)
    assert progress.eta_seconds == 8 * 0.5


def step(epoch: int, number: int, milliseconds: int = 1000, loss: str = "1.000") -> str:
    """Return the line of a step, as MindFormers 0.8 writes it."""
    return f"{{ Epoch:[{epoch:3d}/ 31], step:[{number:5d}/    4], loss:[{loss}/1.000], per_step_time: {milliseconds}ms,"


def test_last_step_counts(tmp_path: Path) -> None:
    """Progress is that of the last step in the log."""
    progress = progress_in(write(tmp_path, 0, step(1, 4), step(2, 1), "......Saving ckpt......"))
    assert progress is not None
    assert (progress.epoch, progress.step) == (2, 1)


def test_eta_is_the_steps_left_at_the_usual_speed(tmp_path: Path) -> None:
    """One step that compiled for 20 s does not spoil the estimate."""
    progress = progress_in(write(tmp_path, 0, step(30, 1, 20_000), step(30, 2, 500), step(30, 3, 500)))
    assert progress is not None
    assert progress.seconds_per_step == 0.5
    assert progress.eta_seconds == 5 * 0.5


def test_eta_at_the_end_is_nothing(tmp_path: Path) -> None:
    """After the last step nothing is left."""
    progress = progress_in(write(tmp_path, 0, step(31, 4)))
    assert progress is not None
    assert progress.eta_seconds == 0


def test_no_speed_no_eta() -> None:
    """Without a time per step there is no estimate."""
    assert Progress(epoch=1, epochs=2, step=1, steps=4, loss=1.0, seconds_per_step=None).eta_seconds is None


@pytest.mark.parametrize(("text", "value"), (("nan", math.nan), ("inf", math.inf), ("-0.500", -0.5), ("1e-3", 1e-3)))
def test_odd_losses(tmp_path: Path, text: str, value: float) -> None:
    """A loss that went astray is shown as it is."""
    progress = progress_in(write(tmp_path, 0, step(1, 1, loss=text)))
    assert progress is not None
    assert progress.loss == value or (math.isnan(progress.loss) and math.isnan(value))


def test_highest_rank_is_asked_first(tmp_path: Path) -> None:
    """With pipeline stages only the last rank's loss means something."""
    write(tmp_path, 0, step(1, 1, loss="0.000"))
    write(tmp_path, 1, step(1, 1, loss="7.000"))
    progress = read_progress(tmp_path, [0, 1])
    assert progress is not None
    assert progress.loss == 7.0


def test_a_rank_without_a_step_is_passed_over(tmp_path: Path) -> None:
    """Where the highest rank shows no step another one answers."""
    write(tmp_path, 0, step(3, 1))
    write(tmp_path, 1, ".........Build Net..........")
    progress = read_progress(tmp_path, [0, 1])
    assert progress is not None
    assert progress.epoch == 3


def test_before_the_first_step(tmp_path: Path) -> None:
    """No log, and a log without a step, are no progress and no error."""
    assert read_progress(tmp_path, [0, 1]) is None
    write(tmp_path, 0, ".........Build context config..........", "{ Epoch:[  1/ 31], step:[ half a line")
    assert read_progress(tmp_path, [0, 1]) is None


@pytest.mark.parametrize("between", (0, 2_000, 40_000))
def test_the_speed_is_that_of_all_recent_steps(tmp_path: Path, between: int) -> None:
    """However much is logged between two of them: a shorter piece of the log is enough only where it has them all."""
    times = [*range(1000, 1010), *range(400, 410)]
    lines = [text for time in times for text in (step(1, 1, time), *["." * 200] * (between // 20 // 200))]
    progress = progress_in(write(tmp_path, 0, *lines))
    assert progress is not None
    assert progress.seconds_per_step == pytest.approx(0.7045)
