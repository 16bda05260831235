"""What a training is at."""

from pathlib import Path

import pytest

from handlers.rank_log.phase import Phase, phase_in

TRAINS = (
    "2026-11-24 09:14:01,100 - mindformers[base_trainer.py:656] - INFO - .........Starting Training Model.........."
)
STEP = "{ Epoch:[  1/  2], step:[    3/    4], loss:[11.770/11.776], per_step_time: 1237ms, overflow cond: False"
SAVES = "2026-11-24 09:14:01,100 - mindformers[callback.py:553] - INFO - ......Saving ckpt......"

SAVES_IN_NEW_FORMAT = SAVES.replace("......Saving ckpt......", "....... Start to save checkpoint as new format .......")


@pytest.mark.parametrize(
    ("lines", "phase"),
    (
        ((), Phase.LOAD),
        (("loading",), Phase.LOAD),
        (("loading", TRAINS), Phase.FIRST_STEP),
        ((TRAINS, "compiles"), Phase.FIRST_STEP),
        ((TRAINS, STEP, "  37.5% |█████     |"), Phase.STEP),
        ((TRAINS, STEP, SAVES, "writes"), Phase.SAVING),
        ((TRAINS, STEP, SAVES, STEP), Phase.STEP),
        (("{ step:[    1/   10], loss: 11.800000, per_step_time: 37ms }",), Phase.STEP),
        ((TRAINS, STEP, SAVES_IN_NEW_FORMAT, "....... Start to save model weight ......."), Phase.SAVING),
    ),
)
def test_last_line_that_tells_counts(tmp_path: Path, lines: tuple[str, ...], phase: Phase) -> None:
    """Each of MindFormers' lines begins a phase, which lasts until the next one."""
    log = tmp_path / "mindformer.log"
    log.write_text("\n".join(lines))
    assert phase_in(log) is phase


def test_no_log_yet(tmp_path: Path) -> None:
    """A rank that has printed nothing is loading."""
    assert phase_in(tmp_path / "mindformer.log") is Phase.LOAD
