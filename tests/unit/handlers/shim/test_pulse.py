"""Whether a counter in a file still moves."""

from handlers.shim.limit_clock import LONGEST_LOOK
from handlers.shim.pulse import Pulse


def test_a_counter_that_stands_still_grows_old() -> None:
    """By the looks at it; when it moves it is young again."""
    pulse = Pulse(100.0)
    pulse.look(7, 101.0)
    assert pulse.still == 0.0
    for second in range(102, 106):
        pulse.look(7, float(second))
    assert pulse.still == 4.0
    pulse.look(8, 106.0)
    assert pulse.still == 0.0


def test_time_without_the_file_server_does_not_count() -> None:
    """Nobody could say anything then: a training of days does not die of minutes without NFS."""
    pulse = Pulse(0.0)
    pulse.look(1, 1.0)
    for second in range(2, 600):
        pulse.miss(float(second))
    pulse.look(1, 600.0)
    assert pulse.still == 1.0


def test_time_in_which_whoever_looks_is_stopped_does_not_count() -> None:
    """A signal, or a look that takes minutes itself: what the other has said meanwhile is yet to be seen."""
    pulse = Pulse(0.0)
    pulse.look(1, 1.0)
    pulse.look(1, 1000.0)
    assert pulse.still == LONGEST_LOOK
