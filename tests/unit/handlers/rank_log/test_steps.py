"""One step with all its fields, from the line of each version of MindFormers, and from lines that are not as they were.

The lines are those that 0.8.0 and 1.9.0 printed in rehearsals, and those that the sources of the others would print.
"""

import math
import time
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.rank_log.steps import StepLine, is_step, samples_in, step_in
from handlers.rank_log.tail import lines_of

AT = time.mktime((2026, 11, 28, 14, 38, 36, 0, 0, -1)) + 0.471
LOGGER = "2026-11-28 14:38:36,471 - mindformers/data/t1/output/log[mindformers/core/callback/callback.py:747] - INFO - "
WHERE = {"epoch": 2, "epochs": 31, "step": 3, "steps": 4}
OF_0_8 = (
    "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.776], per_step_time: 1237ms, "
    "overflow cond: True, loss_scale: 536870900.0"
)
FORMS = {
    "0.6": (
        (
            "Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.776], time:4948.120 ms, "
            "lr:[5.e-05], overflow cond: False, loss_scale: 65536.0"
        ),
        {"loss": 11.77, "mean": 11.776, "learning_rate": 5e-05, "overflow": False, "loss_scale": 65536.0},
    ),
    "0.6, without lr": (
        (
            "Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.776], time:4948.120 ms, "
            "overflow cond: False, loss_scale: unavailable"
        ),
        {"loss": 11.77, "mean": 11.776, "overflow": False},
    ),
    "0.8": (
        OF_0_8,
        {"loss": 11.77, "mean": 11.776, "milliseconds": 1237, "overflow": True, "loss_scale": 536870900.0},
    ),
    "1.0, sinking": (
        (
            "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.770, per_step_time: 1237ms, lr: [5e-05], "
            "overflow cond: [ True], loss_scale: [65536.]"
        ),
        {"loss": 11.77, "milliseconds": 1237, "learning_rate": 5e-05, "overflow": True, "loss_scale": 65536.0},
    ),
    "1.3": (
        (
            "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.770, per_step_time: 1237ms, lr: 0., "
            "overflow cond: False, loss_scale: 1.0, global_norm: None"
        ),
        {"loss": 11.77, "milliseconds": 1237, "learning_rate": 0.0, "overflow": False, "loss_scale": 1.0},
    ),
    "1.5": (
        (
            "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.770123/11.776000], per_step_time: 1237ms, lr: "
            "0.00013425417, overflow cond: False, loss_scale: 1.0, global_norm: [1.1446204], "
            "train_throughput_per_npu: 120.000T"
        ),
        {
            "loss": 11.770123,
            "mean": 11.776,
            "milliseconds": 1237,
            "learning_rate": 0.00013425417,
            "overflow": False,
            "loss_scale": 1.0,
            "norm": 1.1446204,
            "teraflops": 120.0,
        },
    ),
    "1.7 and newer, losses apart": (
        (
            "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.770123, lm_loss: 11.500000, load_balancing_loss: "
            "0.100000, mtp_loss: 0.200000, per_step_time: 1237ms, lr: 5e-05, overflow cond: False, loss_scale: 1.0, "
            "global_norm: [1.1446204]"
        ),
        {
            "loss": 11.770123,
            "lm_loss": 11.5,
            "balancing_loss": 0.1,
            "mtp_loss": 0.2,
            "milliseconds": 1237,
            "learning_rate": 5e-05,
            "overflow": False,
            "loss_scale": 1.0,
            "norm": 1.1446204,
        },
    ),
    "1.7 and newer, one loss apart, and its mean": (
        (
            "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.770123/11.776000], lm_loss: 11.500000, per_step_time: "
            "1237ms, overflow cond: False, loss_scale: unavailable, global_norm: 1.5"
        ),
        {
            "loss": 11.770123,
            "mean": 11.776,
            "lm_loss": 11.5,
            "milliseconds": 1237,
            "overflow": False,
            "norm": 1.5,
        },
    ),
}


@pytest.mark.parametrize("version", FORMS)
@pytest.mark.parametrize(("prefix", "at"), (("", None), (LOGGER, AT)))
def test_every_field_of_every_version(version: str, prefix: str, at: float | None) -> None:
    """What a version says is read, and what it does not say is None."""
    line, fields = FORMS[version]
    assert step_in(prefix + line) == StepLine(time=at, **WHERE, **fields)
    assert is_step(prefix + line)


def test_the_newest_trainer_counts_no_epochs() -> None:
    """Its steps are those of the whole training."""
    found = step_in(LOGGER + "{ step:[    3/   10], loss: 11.800000, per_step_time: 37ms, lr: 1.000000e-05 }")
    assert found == StepLine(
        time=AT, epoch=1, epochs=1, step=3, steps=10, loss=11.8, milliseconds=37, learning_rate=1e-05
    )
    assert found.number == 3


def test_number_counts_over_all_epochs() -> None:
    """It is where the step stands on the axis of a curve."""
    found = step_in(OF_0_8)
    assert found is not None
    assert found.number == 7


@pytest.mark.parametrize("text", ("nan", "inf", "-inf", "-0.500", "1e-3", "0.", "5.e-05", "12"))
def test_numbers_as_python_and_numpy_print_them(text: str) -> None:
    """Padded or not, in each place."""
    line = f"{{ Epoch:[  2/ 31], step:[    3/    4], loss:[{text:>6}/{text:>6}], per_step_time: 5ms, lr: [{text}], "
    found = step_in(line + f"overflow cond: False, loss_scale: [{text}], global_norm: [{text}]")
    assert found is not None
    for number in (found.loss, found.mean, found.learning_rate, found.loss_scale, found.norm):
        assert number == float(text) or (number is not None and math.isnan(number) and text == "nan")


@pytest.mark.parametrize(
    ("line", "samples"),
    (
        ("   4.0% |██▮▮▮▮                                            | 6.46 samples/s/p  0:00:06 }", 6.46),
        ("  12.5% |██████                                            | 0.11818 samples/s/p  0:01:58 }", 0.11818),
        ("  100.0% |██████████████████████████████████████████████████| 22.84386 samples/s/p  0:00:00 }", 22.84386),
        ("  12.5% |██████                                            | inf samples/s/p  0:00:00 }", math.inf),
        ("  12.5% |██████                                            | 0.118", None),
        ("it went at 7 samples/s/p", None),
        (OF_0_8, None),
    ),
)
def test_samples_of_the_line_that_follows(line: str, samples: float | None) -> None:
    """With the bar of each version; a line that was cut off has none."""
    assert samples_in(LOGGER + line) == samples


@pytest.mark.parametrize(
    "line",
    (
        "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.7",
        "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.770/11.7",
        "{ Epoch:[  2/ 31], step:[    3/    4], loss: 11.7",
        "{ Epoch:[  2/ 31], step:[    3/    4], loss:[11.77011.770/11.776], ",
        "{ Epoch:[  2/ 31], step:[    3/    4], loss:[1.2.3/1.0], ",
        "{ Epoch:[  2/ 31], step:[    3/    4], loss: ٣, ",
        f"{{ Epoch:[  2/ 31], step:[{'9' * 5000}/    4], loss: 1.0, ",
        f"{{ Epoch:[  2/ 31], step:[    3/    4], loss: {'9' * 5000}, ",
        "step:[",
    ),
)
def test_a_damaged_step_is_none(line: str) -> None:
    """Half a number is another number: rather nothing is read than that, and nothing breaks over it."""
    assert step_in(LOGGER + line) is None
    assert not is_step(LOGGER + line)


def test_fields_are_not_taken_from_the_step_that_ran_into_a_line() -> None:
    """Two processes that write one log cut each other's lines off."""
    whole = FORMS["1.5"][0]
    cut = LOGGER + "{ Epoch:[  2/ 31], step:[    2/    4], loss:[9.000000/9.000000], per_step_time: 1" + LOGGER + whole
    found = step_in(cut)
    assert found is not None
    assert (found.step, found.loss, found.milliseconds, found.norm) == (2, 9.0, None, None)
    late = step_in(
        LOGGER + "{ Epoch:[  2/ 31], step:[    2/    4], loss:[9.0" + LOGGER.replace("36,471", "37,000") + whole
    )
    assert late is not None
    assert (late.step, late.loss, late.time) == (3, 11.770123, AT + 0.529)


def test_a_time_that_is_none() -> None:
    """A date that no calendar has does not lose the step."""
    line = OF_0_8
    found = step_in("9999-99-99 99:99:99,999 - mindformers - INFO - " + line)
    assert found is not None
    assert found.loss == 11.77


@given(st.binary(max_size=80), st.integers(0, 120), st.integers(0, 40))
def test_whatever_bytes_run_into_a_line(noise: bytes, at: int, cut: int) -> None:
    """Nothing is raised, and what is found can be kept: numbers are numbers, counts are in their bounds."""
    line = (LOGGER + FORMS["1.5"][0]).encode()
    for text in lines_of(line[: at + len(LOGGER)] + noise + line[at + len(LOGGER) + cut :]):
        found = step_in(text)
        samples_in(text)
        if found is not None:
            assert 0 <= found.number < 1 << 62
            assert all(isinstance(value, int | float | bool | None) for value in asdict(found).values())


def test_a_long_line_of_strangers_costs_little() -> None:
    """It is read in time that grows with its length alone: the shim has a training to look after."""
    for hostile in ("Epoch:[1/1], step:[1/1], loss: 1," * 30_000, "step:[1/1], loss:[1/" * 50_000, "{" * 1_000_000):
        began = time.process_time()
        step_in(hostile)
        samples_in("1.0% |" + hostile + "samples/s/p")
        assert time.process_time() - began < 5.0
