"""Steps to be recorded."""

from collections.abc import Callable

import pytest

from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine
from handlers.training_record.rows import Header

Making = Callable[..., LoggedStep]


@pytest.fixture
def header() -> Header:
    """Return the header of a training of eight ranks."""
    return Header(job=42, attempt=1, rank=7, devices=8, host="npu01", epochs=31, steps=4)


@pytest.fixture
def logged() -> Making:
    """Return what makes the step of a number."""

    def make(number: int, loss: float = 2.5, **fields: float | bool | None) -> LoggedStep:
        epoch, step = divmod(number - 1, 4)
        line = StepLine(epoch=epoch + 1, epochs=31, step=step + 1, steps=4, loss=loss, **fields)
        return LoggedStep(line, 1000 * number)

    return make
