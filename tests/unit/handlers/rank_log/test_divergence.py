"""Promises of handlers.rank_log.divergence: when a loss is lost, and that a search for the loss scale is none."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.rank_log.divergence import DEFAULT_LINES, Diverged, DivergenceWatch
from handlers.rank_log.steps import StepLine, step_in

NAN = math.nan
SHIPPED = 4294967296.0
"""The loss scale that the YAMLs in configs/ begin with."""


def step(number: int, loss: float, *, overflow: bool | None = None, scale: float | None = None) -> StepLine:
    """Return a step of epochs of four."""
    epoch, inside = divmod(number - 1, 4)
    return StepLine(
        epoch=epoch + 1, epochs=31, step=inside + 1, steps=4, loss=loss, overflow=overflow, loss_scale=scale
    )


def seen(steps: Iterable[StepLine], *, not_finite: int | None = 3, rise: float | None = None) -> Diverged | None:
    """Return what a watch finds in steps."""
    watch = DivergenceWatch(not_finite=not_finite, rise=rise)
    for each in steps:
        watch.take(each)
    return watch.found


def series(*losses: float) -> list[StepLine]:
    """Return steps, one after the other, of a version that tells no overflow."""
    return [step(number, loss) for number, loss in enumerate(losses, 1)]


def test_a_loss_that_is_lost() -> None:
    """So many printed lines on end; it is told since when, which step was the last good one, and the curve."""
    assert seen(series(11.78, 4.2, 2.3123, NAN, NAN)) is None
    found = seen(series(11.78, 4.2, 2.3123, NAN, NAN, NAN))
    assert found is not None
    assert (found.since.epoch, found.since.step, found.since.number, found.sound) == (1, 4, 4, 3)
    assert found.reason == (
        "diverged at epoch 2 step 2: the loss is nan on 3 printed lines on end, since epoch 1 step 4; "
        "loss 11.78 → 4.2 → 2.312 → nan"
    )


@pytest.mark.parametrize("loss", (NAN, math.inf, -math.inf))
def test_what_is_no_finite_number(loss: float) -> None:
    """NaN and both infinities; the reason names what was printed."""
    found = seen(series(1.0, loss, loss, loss))
    assert found is not None
    assert f"the loss is {loss} on 3 printed lines" in found.reason
    mixed = seen(series(1.0, math.inf, NAN, NAN))
    assert mixed is not None
    assert "the loss is inf or the loss is nan on 3" in mixed.reason


def test_one_finite_loss_between_begins_the_count_anew() -> None:
    """On end, it says."""
    assert seen(series(1.0, NAN, NAN, 2.0, NAN, NAN)) is None
    found = seen(series(1.0, NAN, NAN, 2.0, NAN, NAN, NAN))
    assert found is not None
    assert (found.since.number, found.sound) == (5, 4)


def test_a_training_without_a_finite_loss() -> None:
    """No step of it was good, and there is no curve to show."""
    found = seen(series(NAN, NAN, NAN))
    assert found is not None
    assert (found.sound, found.since.number) == (None, 1)
    assert found.reason.endswith("since epoch 1 step 1; no step before was clean")


def test_what_is_off_finds_nothing() -> None:
    """Neither kind."""
    assert seen(series(1.0, *[NAN] * 100), not_finite=None) is None
    assert seen(series(*[1.0] * 50, *[1e9] * 100), not_finite=3) is None


def halving(lines: int, loss: float, begin: float = SHIPPED) -> list[StepLine]:
    """Return how MindFormers looks for its loss scale, as the rehearsal prints it."""
    return [step(n, loss, overflow=True, scale=max(1.0, begin / 2 ** (n - 1))) for n in range(1, lines + 1)]


@pytest.mark.parametrize("loss", (11.78, NAN, math.inf))
def test_a_loss_scale_that_is_being_looked_for_is_no_divergence(loss: float) -> None:
    """The shipped YAMLs begin at 2³² and halve it twenty times, whatever is printed for the loss meanwhile."""
    searching = halving(21, loss)
    clean = [step(n, 11.7, overflow=False, scale=4096.0) for n in range(22, 40)]
    assert seen([*searching, *clean]) is None


def test_after_the_first_clean_step_an_overflow_excuses_nothing() -> None:
    """Also when the scale falls with each: the weights are lost, and every gradient overflows."""
    clean = [*halving(21, NAN), step(22, 11.7, overflow=False, scale=4096.0)]
    lost = [step(22 + n, NAN, overflow=True, scale=4096.0 / 2**n) for n in range(1, 4)]
    found = seen([*clean, *lost])
    assert found is not None
    assert (found.since.number, found.sound) == (23, 22)


def test_at_the_smallest_scale_an_overflow_excuses_nothing() -> None:
    """It cannot be halved any more: 33 lines from 2³² on it is 1, and two lines later there were three of them."""
    assert seen(halving(34, NAN)) is None
    found = seen(halving(35, NAN))
    assert found is not None
    assert (found.since.number, found.sound) == (1, None)


def test_a_finite_loss_is_lost_where_no_step_is_taken_any_more() -> None:
    """As MindFormers 0.8 printed it with a learning rate of 1e8: with the scale at 1 each step is left out for ever.

    It went wrong with the update of step 11, whose own loss and gradients were fine: what was saved then is lost.
    """
    printed = [
        *(("11.760", True, 8388608.0 * 2**n) for n in range(8, -1, -1)),
        *(("11.772", False, 8388608.0), ("11.773", False, 8388608.0)),
        *(("-266.573", True, max(1.0, 8388608.0 / 2**n)) for n in range(1, 60)),
    ]
    steps = [step(n, float(loss), overflow=over, scale=scale) for n, (loss, over, scale) in enumerate(printed, 1)]
    assert seen(steps[: 11 + 22], not_finite=1) is None
    found = seen(steps, not_finite=20)
    assert found is not None
    assert (found.since.number, found.sound, found.at.number) == (12, 11, 11 + 22 + 20)
    assert found.reason == (
        "diverged at epoch 14 step 1: the gradients overflow with the smallest loss scale on 20 printed lines on end, "
        "since epoch 3 step 4; loss 11.77 → 11.77 → -266.6"
    )


def test_an_overflow_with_a_finite_loss_is_no_divergence_as_long_as_the_scale_can_fall() -> None:
    """It also overflows each time that the scale was doubled, and what is printed may be just those steps."""
    printed = [step(n, 2.0, overflow=n > 1, scale=8192.0) for n in range(1, 100)]
    assert seen(printed) is None
    untold = [step(n, 2.0, overflow=n > 1) for n in range(1, 100)]
    assert seen(untold) is None


def test_one_clean_step_begins_the_count_of_overflows_anew() -> None:
    """On end, it says."""
    lost = [step(n, 2.0, overflow=True, scale=1.0) for n in range(1, 3)]
    assert seen([*lost, step(3, 2.0, overflow=False, scale=1.0), *lost]) is None
    assert seen([*lost, step(3, NAN, overflow=True, scale=1.0)]) is not None


def test_a_scale_that_does_not_fall_is_the_smallest() -> None:
    """A fixed one, as `FixedLossScaleUpdateCell` has it."""
    fixed = [step(n, NAN, overflow=True, scale=1024.0) for n in range(1, 5)]
    assert seen(fixed[:3]) is None
    assert seen(fixed) is not None
    odd = [step(n, NAN, overflow=True, scale=scale) for n, scale in enumerate((NAN, NAN, math.inf, math.inf), 1)]
    assert seen(odd) is not None


def test_an_overflow_without_a_scale_is_excused_as_long_as_one_could_be_halved() -> None:
    """`loss_scale: unavailable`: from 2³² on it is 1 after 32 steps."""
    untold = [step(n, NAN, overflow=True) for n in range(1, 36)]
    assert seen(untold[:34]) is None
    assert seen(untold) is not None


def test_nan_without_an_overflow_counts_from_the_first_line() -> None:
    """No scale is looked for where nothing overflows, and none where a version does not tell of it (`pynative`)."""
    assert seen([step(n, NAN, overflow=False, scale=1.0) for n in range(1, 4)]) is not None
    assert seen([step(n, NAN) for n in range(1, 4)]) is not None


@pytest.mark.parametrize(
    "line",
    (
        "Epoch:[  1/  2], step:[{:5d}/   40], loss:[  nan/  nan], time:1.1 ms, lr:[5e-05], overflow cond: False, ",
        "{{ Epoch:[  1/  2], step:[{:5d}/   40], loss:[  nan/  nan], per_step_time: 9ms, overflow cond: False, ",
        "{{ Epoch:[  1/  2], step:[{:5d}/   40], loss:   nan, per_step_time: 9ms, lr: 5e-05, overflow cond: False, ",
        "{{ Epoch:[  1/  2], step:[{:5d}/   40], loss:[-inf/ nan], per_step_time: 9ms, lr: 5e-05, overflow cond: F",
        "{{ step:[{:5d}/    8], loss: nan, per_step_time: 1237ms }}",
    ),
)
def test_every_form_of_a_line(line: str) -> None:
    """Of all versions of MindFormers."""
    found = seen(told for number in range(1, 4) if (told := step_in(line.format(number))) is not None)
    assert found is not None
    assert found.since.number == 1


def test_a_loss_that_rises_for_good() -> None:
    """Above `rise` times the median of what was printed, on as many lines on end."""
    falling = [10.0, 8.0, 6.0, 4.0, 2.0, 2.0, 2.0]
    assert seen(series(*falling, 9.0, 9.0, 2.0, 9.0, 9.0), rise=2) is None
    found = seen(series(*falling, 9.0, 9.0, 9.0), rise=2)
    assert found is not None
    assert (found.since.number, found.sound) == (8, 7)
    assert found.reason == (
        "diverged at epoch 3 step 2: the loss is above 2 × 4, the run's median, on 3 printed lines on end, "
        "since epoch 2 step 4; loss 10 → 4 → 2 → 9"
    )


def test_a_rise_needs_something_to_rise_above() -> None:
    """As many good lines first; a median that is not above zero has no multiple to be above of."""
    assert seen(series(1.0, 1.0, 9.0, 9.0, 9.0), rise=2) is None
    assert seen(series(*[-1.0] * 9, *[5.0] * 9), rise=2) is None
    assert seen(series(*[0.0] * 9, *[5.0] * 9), rise=2) is None


def test_a_rise_alone_has_the_default_number_of_lines() -> None:
    """Where `not_finite` is off. A loss that is no number then neither counts nor begins the count anew."""
    flat, high = [1.0] * DEFAULT_LINES, [5.0] * (DEFAULT_LINES - 1)
    assert seen(series(*flat, *high), not_finite=None, rise=3) is None
    assert seen(series(*flat, *high, NAN), not_finite=None, rise=3) is None
    found = seen(series(*flat, *high, NAN, 5.0), not_finite=None, rise=3)
    assert found is not None
    assert found.since.number == DEFAULT_LINES + 1


def test_what_is_lost_after_a_rise_went_wrong_with_the_rise() -> None:
    """What was saved in between is no good place to go on from."""
    found = seen(series(*[1.0] * 5, 7.0, 700.0, NAN, NAN, NAN), rise=3)
    assert found is not None
    assert (found.since.number, found.sound) == (6, 5)


def test_what_was_found_stays() -> None:
    """Ranks go on printing while they are ended."""
    watch = DivergenceWatch(not_finite=3, rise=None)
    for each in series(1.0, NAN, NAN, NAN):
        watch.take(each)
    found = watch.found
    for each in series(1.0, 1.0, NAN, NAN, NAN):
        watch.take(each)
    assert found is not None
    assert watch.found is found


def test_a_long_run_is_judged_in_little_room() -> None:
    """The sample of its losses has an end, and its median is that of the run."""
    watch = DivergenceWatch(not_finite=3, rise=2)
    for number in range(1, 20_001):
        watch.take(step(number, 1.0 if number <= 5_000 else 2.0))
    assert len(watch._sample.losses) <= 512
    for number in range(20_001, 20_004):
        watch.take(step(number, 3.9))
    assert watch.found is None
    for number in range(20_004, 20_007):
        watch.take(step(number, 4.1))
    assert watch.found is not None


LOSSES = st.lists(st.floats(), max_size=60)


@given(LOSSES, st.integers(1, 8))
def test_not_finite_is_exactly_so_many_on_end(losses: list[float], lines: int) -> None:
    """Where nothing tells of an overflow: the first such series counts, and only it."""
    found = seen(series(*losses), not_finite=lines)
    ends = [n for n in range(lines, len(losses) + 1) if not any(map(math.isfinite, losses[n - lines : n]))]
    if not ends:
        assert found is None
        return
    assert found is not None
    assert found.at.number == ends[0]
    assert found.since.number == ends[0] - lines + 1
    good = [n for n, loss in enumerate(losses[: ends[0]], 1) if math.isfinite(loss)]
    assert found.sound == (good[-1] if good else None)


@given(
    st.lists(
        st.builds(
            step,
            st.integers(1, 1 << 60),
            st.floats(),
            overflow=st.none() | st.booleans(),
            scale=st.none() | st.floats(),
        ),
        max_size=60,
    ),
    st.none() | st.integers(1, 5),
    st.none() | st.floats(1.01, 1e300),
)
def test_whatever_is_printed_is_taken(steps: list[StepLine], not_finite: int | None, rise: float | None) -> None:
    """Nothing is raised, and what is found is told in one line; no good step lies in what went wrong."""
    found = seen(steps, not_finite=not_finite, rise=rise)
    if found is not None:
        assert found.reason.startswith("diverged at epoch ")
        assert "\n" not in found.reason
        assert len(found.reason) < 300
