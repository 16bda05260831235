"""The line that `systemctl status glmd` shows."""

from dataclasses import replace
from datetime import UTC, datetime

from daemon.core.notices import Notice, NoticeKind
from daemon.core.states import Job, State
from daemon.serve.headline import headline, noticed, undone
from handlers.rank_log.progress import Progress

AT = datetime(2026, 11, 24, tzinfo=UTC)
TRAINS = Job(42, "run", State.TRAINING, "", 1, 0, (0, 1), "glm-6b", False, AT, AT)
PROGRESS = Progress(epoch=12, epochs=31, step=4, steps=4, loss=2.3125, seconds_per_step=7.5)


def test_it_says_what_runs_and_how_far() -> None:
    """Epoch, loss, time left and the queue's length fit one line."""
    assert headline([TRAINS], 3, {42: PROGRESS}) == (
        "0042-run training, epoch 12/31, step 4/4, loss 2.312, 9m30s left; 3 queued"
    )


def test_a_training_that_says_nothing_yet_has_no_progress() -> None:
    """Loading and compiling take minutes in which there is nothing to show."""
    assert headline([TRAINS], 0, {}) == "0042-run training; 0 queued"


def test_many_jobs_do_not_flood_it() -> None:
    """Beyond three the rest is counted."""
    jobs = [replace(TRAINS, id=number, state=State.MERGING) for number in range(1, 6)]
    assert headline(jobs, 0, {}).endswith("0003-run merging; 2 more; 0 queued")


def test_notices_are_short_and_told_once() -> None:
    """What they are about, and no more than three; who wants to know more has `glmd status`."""
    low = Notice(NoticeKind.DISK_LOW, "the night of …", AT, due=AT)
    overdue = [Notice(NoticeKind.NIGHTLY_OVERDUE, "…", AT, cycle, AT) for cycle in ("glm", "glm", "lora", "small")]
    assert noticed([low, overdue[0]]) == "notices: low disk, glm overdue"
    assert noticed([low, *overdue]) == "notices: low disk, glm overdue, lora overdue, 1 more"
    assert noticed([]) == ""


def test_nothing_to_do_is_said() -> None:
    """An idle daemon says so."""
    assert headline([], 0, {}) == "idle; 0 queued"


def test_an_attempt_that_is_not_the_first_is_told() -> None:
    """That a training was begun again at night is seen before anything else is asked."""
    assert headline([replace(TRAINS, attempt=2)], 0, {}) == "0042-run (attempt 2) training; 0 queued"


def test_what_failed_is_told_with_what_tells_more() -> None:
    """Who knows nothing but this line has a command to go on with; of many jobs three are named."""
    failed = replace(TRAINS, state=State.FAILED)
    assert undone([]) == ""
    assert undone([failed]) == "0042-run failed: see glmd status 42"
    many = [replace(failed, id=number, state=State.REJECTED) for number in range(1, 6)]
    assert undone(many) == "0001-run rejected, 0002-run rejected, 0003-run rejected, 2 more: see glmd status"
