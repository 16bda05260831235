"""Promises of handlers.mindformers.tags: where a save falls, by MindFormers' own arithmetic."""

import pytest

from handlers.mindformers.tags import Place, Schedule


@pytest.mark.parametrize(
    ("sink_size", "passes", "steps", "epochs", "size"),
    (
        (None, 3, 125, 3, 125),
        (-1, 3, 125, 3, 125),
        (4, 1, 125, 31, 4),  # 31.25
        (4, 4, 125, 125, 4),
        (125, 3, 125, 3, 125),
        (200, 3, 125, 1, 200),  # 1.875
        (200, 1, 125, 0, 200),  # MindFormers refuses to train no epoch
        (49, 49, 1, 0, 49),  # (1 / 49) * 49 is 0.999…
    ),
)
def test_a_schedule(sink_size: int | None, passes: int, steps: int, epochs: int, size: int) -> None:
    """A sink is an epoch, and those that are whole count."""
    assert Schedule.of(sink_size, (passes, steps)) == Schedule(epochs, size, sinks=sink_size is not None)


@pytest.mark.parametrize("sink_size", (0, -2))
def test_what_is_no_size(sink_size: int) -> None:
    """MindFormers refuses it before the first step."""
    assert Schedule.of(sink_size, (3, 125)) == Schedule(None, None, sinks=True)


@pytest.mark.parametrize(
    ("sink_size", "epoch", "step", "place"),
    (
        (None, 1, 124, Place.INSIDE_EPOCH),
        (None, 1, 125, Place.EPOCH_END),
        (None, 2, 1, Place.INSIDE_EPOCH),
        (None, 2, 125, Place.RUN_END),
        (None, 2, 126, Place.UNKNOWN),
        (-1, 1, 125, Place.EPOCH_END),
        (-1, 2, 125, Place.RUN_END),
        (4, 61, 4, Place.EPOCH_END),
        (4, 62, 4, Place.RUN_END),
        (4, 62, 3, Place.INSIDE_EPOCH),
    ),
)
def test_a_save_of_two_passes_of_125_steps(sink_size: int | None, epoch: int, step: int, place: Place) -> None:
    """Epoch and step decide, never the epoch alone."""
    assert Schedule.of(sink_size, (2, 125)).place(epoch, step) is place


@pytest.mark.parametrize(
    ("sink_size", "step", "place"),
    (
        (None, 125, Place.UNKNOWN),
        (-1, 125, Place.EPOCH_END),
        (4, 4, Place.EPOCH_END),
        (4, 3, Place.INSIDE_EPOCH),
    ),
)
def test_a_save_without_a_log(sink_size: int | None, step: int, place: Place) -> None:
    """It is never the end; with data sinking it is at the end of a sink."""
    assert Schedule.of(sink_size, None).place(31, step) is place


@pytest.mark.parametrize(
    ("sink_size", "epoch", "step", "number"),
    ((None, 1, 125, 125), (None, 2, 5, 130), (-1, 2, 125, 250), (4, 62, 4, 248), (4, 0, 4, None), (4, -1, -1, None)),
)
def test_after_which_step_a_save_was_made(sink_size: int | None, epoch: int, step: int, number: int | None) -> None:
    """As logs count the steps of a run of two passes of 125."""
    assert Schedule.of(sink_size, (2, 125)).number(epoch, step) == number


def test_after_which_step_a_save_was_made_without_a_log() -> None:
    """Known of the first epoch alone, and wherever the size of a sink is."""
    assert [Schedule.of(None, None).number(epoch, 5) for epoch in (1, 2)] == [5, None]
    assert Schedule.of(4, None).number(3, 4) == 12
