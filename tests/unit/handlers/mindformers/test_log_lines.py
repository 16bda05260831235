"""The lines that MindFormers writes while it trains, in each of its forms."""

import pytest

from handlers.mindformers.log_lines import PREFIX, SAVED, SAVING, STARTING, STEP, all_is_well

LOGGER = "2026-11-28 14:38:36,471 - mindformers/data/t1/output/log[mindformers/core/callback/callback.py:747] - INFO - "

STEPS = {
    "to 0.6": "Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.776], time:4948.120 ms, lr:[5e-05], overflow",
    "0.8 on": "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.776], per_step_time: 1237ms, overflow cond",
    "0.8 on, sinking": "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.770, per_step_time: 1237ms, lr: [5e-05]",
    "1.7 on, losses apart": (
        "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.770123, lm_loss: 11.7, load_balancing_loss: 0.1, "
        "per_step_time: 1237ms, lr: 5e-05, overflow cond: False, loss_scale: 1.0, global_norm: [1.1446204]"
    ),
}


@pytest.mark.parametrize("version", STEPS)
@pytest.mark.parametrize("prefix", ("", LOGGER))
def test_a_step_is_read_in_every_version(version: str, prefix: str) -> None:
    """Where it is, and the loss, with the logger's prefix or without."""
    found = STEP.search(prefix + STEPS[version])
    assert found is not None
    assert found.group("epoch", "epochs", "step", "steps") == ("2", "31", "3", "4")
    assert found["loss"].startswith("11.770")
    assert found["milliseconds"] == (None if version == "to 0.6" else "1237")


def test_the_newest_trainer_counts_no_epochs() -> None:
    """Its steps are those of the whole training (mindformers/pynative/callback/loss_callback.py)."""
    found = STEP.search(LOGGER + "{ step:[    1/   10], loss: 11.800000, per_step_time: 37ms, lr: 1.000000e-05 }")
    assert found is not None
    assert found.group("epoch", "epochs", "step", "steps") == (None, None, "1", "10")
    assert found.group("loss", "milliseconds") == ("11.800000", "37")


@pytest.mark.parametrize(
    "line",
    (
        "{ Epoch:[  1/ 31], step:[ half a line",
        "Epoch:[  1/  2], step:[    3/    4] local_norm: 0.1234",
        "Epoch 1 finished. Time: 12.00s",
    ),
)
def test_half_a_step_is_none(line: str) -> None:
    """Without a loss it says nothing of how far the training is."""
    assert STEP.search(LOGGER + line) is None


def test_what_a_training_is_at() -> None:
    """The lines that begin the training proper, and those that begin a save, in both formats of checkpoints."""
    assert STARTING.search(LOGGER + ".........Starting Training Model..........")
    assert SAVING.search(LOGGER + "......Saving ckpt......")
    assert SAVING.search(LOGGER + "....... Start to save checkpoint as new format .......")
    assert SAVED.search(LOGGER + "Finish saving ckpt of epoch 2 step 4 using 0.007 seconds")
    assert SAVED.search(LOGGER + "successfully sync saved checkpoint from step '8' to '/x/output/checkpoint'.")
    assert SAVED.search(LOGGER + "successfully async saved checkpoint from step '8' to '/x/output/checkpoint'.")
    assert SAVED.search(LOGGER + "Save checkpoint cost time: 0.692s.")
    assert not SAVED.search(LOGGER + "Save common info cost time: 0.002s.")
    assert SAVED.search(LOGGER + ".........Training Over!.............")
    assert not SAVING.search(LOGGER + "Finish saving ckpt of epoch 2 step 4 using 0.007 seconds")


@pytest.mark.parametrize(
    "line",
    (
        *STEPS.values(),
        "{ Epoch:[  1/  2], step:[    3/    4], lo",
        "{ step:[    1/   10], loss: 11.800000, per_ste",
        "Epoch:[  1/  2], step:[    3/    4] local_norm: 0.1234",
        "   4.0% |██                                                | 6.46 samples/s/p  0:00:06 }",
        "   0.0% |                                                  | 6.46 samples/s/p  0:00:06 }",
        "  37.5% |█████████",
        "Transforming checkpoint: |▮▮▮▮▮▮▮▮▮▮          |20%",
        "......Saving ckpt......",
        "......Removing redundancy......",
        "....... Start to save checkpoint as new format .......",
        "....... Start to save optimizer weight .......",
        "...... Start saving common info ......",
        "Finish saving ckpt of epoch 2 step 4 using 0.007 seconds",
        "Save checkpoint cost time: 0.692s.",
        "successfully sync saved checkpoint from step '8' to '/x/output/checkpoint'.",
        "successfully async saved checkpoint from step '8' to '/x/output/checkpoint'.",
        ".........Starting Training Model..........",
        ".........Training Over!.............",
        "Training completed. Final checkpoint saved.",
        "Epoch 1 finished. Time: 12.00s",
    ),
)
@pytest.mark.parametrize("prefix", ("", LOGGER))
def test_what_says_that_all_is_well(line: str, prefix: str) -> None:
    """None of these is why a process ended, cut off or whole."""
    assert all_is_well(prefix + line)


@pytest.mark.parametrize(
    "line",
    (
        "ValueError: if run status is finetune, load_checkpoint must be input",
        "Error saving checkpoint: disk quota",
        "Failed to save checkpoint",
        "step:",
        "Epoch",
        "",
    ),
)
def test_other_lines_are_not_taken_for_it(line: str) -> None:
    """An error that speaks of checkpoints is an error."""
    assert not all_is_well(line)
    assert not all_is_well(LOGGER.replace("INFO", "ERROR") + line)


def test_prefix_of_the_logger() -> None:
    """When, where and how grave: what follows is what the line says."""
    found = PREFIX.match(LOGGER + "......Saving ckpt......")
    assert found is not None
    assert found["level"] == "INFO"
    assert (LOGGER + "x")[found.end() :] == "x"
    assert PREFIX.match("2026-11-24 09:14:01 - mindformers[cloud_monitor.py:43] - ERROR - Traceback")
    assert not PREFIX.match("2026-11-24 is a day")
