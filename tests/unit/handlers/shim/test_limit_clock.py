"""When a training is taken for hung."""

from handlers.job_plan import TimeLimits
from handlers.shim.limit_clock import LimitClock, PassedLimit


def test_silence_counts_from_the_last_sign() -> None:
    """A sign of life gives the whole silence anew."""
    clock = LimitClock(TimeLimits(silence=30, first_step=100), now=0)
    clock.sign_of_life(10, stepped=True)
    assert clock.passed(39.9) is None
    clock.sign_of_life(39.9, stepped=True)
    assert clock.passed(69.8) is None
    assert clock.passed(69.9) == PassedLimit("silence", 30)


def test_first_step_has_its_own_allowance() -> None:
    """Before the first step the allowance for load and compile stands in for silence."""
    clock = LimitClock(TimeLimits(silence=30, first_step=100), now=0)
    assert clock.passed(99) is None
    clock.sign_of_life(50, stepped=False)
    assert clock.passed(149) is None
    assert clock.passed(150) == PassedLimit("first_step", 100)


def test_step_once_logged_stays_logged() -> None:
    """A log whose tail no longer shows a step does not bring the first step's allowance back."""
    clock = LimitClock(TimeLimits(silence=30, first_step=100), now=0)
    clock.sign_of_life(1, stepped=True)
    clock.sign_of_life(2, stepped=False)
    assert clock.stepped
    assert clock.passed(32) == PassedLimit("silence", 30)


def test_total_counts_whatever_happens() -> None:
    """Signs of life do not move the total."""
    clock = LimitClock(TimeLimits(silence=30, first_step=30, total=50), now=0)
    clock.sign_of_life(49, stepped=True)
    assert clock.passed(50) == PassedLimit("total", 50)


def test_no_limits() -> None:
    """None is no limit, and nothing to wake up for."""
    clock = LimitClock(TimeLimits(silence=None, first_step=None, total=None), now=0)
    assert clock.passed(1e9) is None
    assert clock.seconds_left(1e9) is None


def test_next_look_is_at_the_nearest_limit() -> None:
    """The time left is that of the limit which comes first, and never negative."""
    clock = LimitClock(TimeLimits(silence=30, first_step=60, total=50), now=0)
    assert clock.seconds_left(10) == 40
    clock.sign_of_life(10, stepped=True)
    assert clock.seconds_left(20) == 20
    assert clock.seconds_left(99) == 0
