"""When a training is taken for hung."""

import pytest

from handlers.rank_log.phase import Phase
from handlers.records.job_plan import TimeLimits
from handlers.shim.limit_clock import LONGEST_LOOK, LimitClock, PassedLimit


class Watch:
    """A clock under watch: it is looked at once a second, as the shim does."""

    def __init__(self, limits: TimeLimits) -> None:
        self.clock = LimitClock(limits, now=0)
        self.now = 0.0

    def until(self, now: float) -> LimitClock:
        """Look once a second until `now`."""
        while self.now < now:
            self.now = min(now, self.now + 1)
            self.clock.look(self.now)
        return self.clock


def test_silence_counts_from_the_last_sign() -> None:
    """A sign of life gives the whole silence anew."""
    watch = Watch(TimeLimits(silence=30, first_step=100))
    watch.until(10).sign_of_life(Phase.STEP)
    assert watch.until(39.5).passed() is None
    watch.clock.sign_of_life(Phase.STEP)
    assert watch.until(69).passed() is None
    assert watch.until(69.5).passed() == PassedLimit("silence", 30, Phase.STEP)


def test_first_step_has_its_own_allowance() -> None:
    """Before the first step the allowance for load and compile stands in for silence."""
    watch = Watch(TimeLimits(silence=30, first_step=100))
    assert watch.until(99).passed() is None
    watch.clock.sign_of_life(Phase.FIRST_STEP)
    assert watch.until(198).passed() is None
    assert watch.until(199).passed() == PassedLimit("first_step", 100, Phase.FIRST_STEP)


def test_loading_has_the_first_steps_allowance_unless_it_has_its_own() -> None:
    """What was learned of loading counts until the training proper begins, and not after."""
    assert Watch(TimeLimits(first_step=100)).until(100).passed() == PassedLimit("first_step", 100, Phase.LOAD)
    watch = Watch(TimeLimits(first_step=100, load=20))
    watch.until(19).sign_of_life(Phase.LOAD)
    assert watch.until(39).passed() == PassedLimit("first_step", 20, Phase.LOAD)
    watch.clock.sign_of_life(Phase.FIRST_STEP)
    assert watch.until(138).passed() is None


def test_saving_has_the_allowance_of_silence_unless_it_has_its_own() -> None:
    """A save may be quiet for longer than the time between two steps."""
    for limits, last in ((TimeLimits(silence=10), 10), (TimeLimits(silence=10, saving=50), 50)):
        watch = Watch(limits)
        watch.clock.sign_of_life(Phase.SAVING)
        assert watch.until(last - 0.5).passed() is None
        assert watch.until(last).passed() == PassedLimit("silence", last, Phase.SAVING)


def test_there_is_no_way_back_to_the_first_step() -> None:
    """A log whose end no longer shows a step does not bring the first step's allowance back."""
    watch = Watch(TimeLimits(silence=30, first_step=100))
    watch.clock.sign_of_life(Phase.STEP)
    for phase in (Phase.LOAD, Phase.FIRST_STEP, None):
        watch.clock.sign_of_life(phase)
        assert watch.clock.phase is Phase.STEP
    watch.clock.sign_of_life(Phase.SAVING)
    assert watch.clock.phase is Phase.SAVING


def test_total_counts_whatever_happens() -> None:
    """Signs of life do not move the total."""
    watch = Watch(TimeLimits(silence=30, first_step=30, total=50))
    for moment in range(10, 50, 10):
        watch.until(moment).sign_of_life(Phase.STEP)
    assert watch.until(49).passed() is None
    assert watch.until(50).passed() == PassedLimit("total", 50, Phase.STEP)


def test_time_in_which_the_watcher_was_stopped_does_not_count() -> None:
    """An hour between two looks is the watcher's own silence: no limit fires for it, the total neither."""
    watch = Watch(TimeLimits(silence=30, first_step=30, total=60))
    watch.until(10)
    watch.clock.look(3610)
    assert watch.clock.passed() is None
    assert watch.clock.seconds_left() == 20 - LONGEST_LOOK
    watch.now = 3610
    assert watch.until(3610 + 20 - LONGEST_LOOK).passed() == PassedLimit("first_step", 30, Phase.LOAD)


def test_longest_silences_are_kept_by_phase() -> None:
    """Each silence counts for what the training was at when it began, and shards are signs of life, too."""
    watch = Watch(TimeLimits(silence=None, first_step=None))
    assert watch.clock.longest(Phase.LOAD) is None
    for moment, phase in (
        (5, Phase.LOAD),
        (8, Phase.FIRST_STEP),
        (48, Phase.STEP),
        (49, Phase.STEP),
        (51, Phase.SAVING),
        (58, None),
        (60, Phase.STEP),
        (61, None),
    ):
        watch.until(moment).sign_of_life(phase)
    assert {phase: watch.clock.longest(phase) for phase in Phase} == {
        Phase.LOAD: 5,
        Phase.FIRST_STEP: 40,
        Phase.STEP: 2,
        Phase.SAVING: 7,
    }


def test_no_limits() -> None:
    """None is no limit, and nothing to wake up for."""
    watch = Watch(TimeLimits(silence=None, first_step=None, total=None))
    assert watch.until(5000).passed() is None
    assert watch.clock.seconds_left() == float("inf")


def test_next_look_is_at_the_nearest_limit() -> None:
    """The time left is that of the limit which comes first, and never negative."""
    watch = Watch(TimeLimits(silence=30, first_step=60, total=50))
    assert watch.until(10).seconds_left() == 40
    watch.clock.sign_of_life(Phase.STEP)
    assert watch.until(20).seconds_left() == 20
    assert watch.until(99).seconds_left() == 0


@pytest.mark.parametrize(
    ("limits", "phase", "code"),
    (
        (TimeLimits(first_step=5), Phase.LOAD, "hang.load"),
        (TimeLimits(first_step=5), Phase.FIRST_STEP, "hang.first-step"),
        (TimeLimits(silence=5), Phase.STEP, "hang.silence"),
        (TimeLimits(silence=5), Phase.SAVING, "hang.saving"),
        (TimeLimits(silence=None, total=5), Phase.STEP, "hang.total"),
    ),
)
def test_each_way_to_hang_has_a_code(limits: TimeLimits, phase: Phase, code: str) -> None:
    """By what the training was at, or by the limit of the whole."""
    watch = Watch(limits)
    watch.clock.sign_of_life(phase)
    passed = watch.until(5).passed()
    assert passed is not None
    assert passed.code == code
