"""The store keeps what somebody should know: each thing once, for as long as it is so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_runs import NightRun, Outcome
from daemon.core.notices import AGAIN, Notice, NoticeKind
from daemon.core.promotions import Promotion
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from handlers.codes import Code
from handlers.run_names import run_name

DUE = datetime(2026, 11, 28, 2, tzinfo=UTC)
DAY = timedelta(days=1)
ENDED = {State.DONE: (State.PREPARING, State.TRAINING, State.MERGING), State.FAILED: (State.PREPARING, State.TRAINING)}


class Night:
    """A store with a cycle."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)

    def became(self, outcome: Outcome, due: datetime = DUE, reason: str = "", code: str = "") -> None:
        """Let that have become of a due time."""
        self.store.keep_night(NightRun("glm", due, due, outcome, reason=reason, code=code))

    def skipped(self, due: datetime = DUE) -> None:
        """Let a night have been left out since the one before was not over."""
        self.became(Outcome.SKIPPED, due, "the run before is not over", Code.NIGHT_SKIPPED)

    def run(self, due: datetime, state: State, code: str = "") -> Job:
        """Let a run have come to an end."""
        job = self.store.add(NewJob(f"claim {due}", run_name("glm", due), prefix="glm-6b", source=Source.NIGHT))
        for step in ENDED[state]:
            job = self.store.move(job, step)
        return self.store.move(job, state, code, code)

    def lasting(self) -> list[NoticeKind]:
        """Return what is so now."""
        return [notice.kind for notice in self.store.notices()]

    def written(self) -> int:
        """Return how many there ever were."""
        return len(self.store.notices(also_passed=True))


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """Return an empty store."""
    found = Night(tmp_path / "glmd.db")
    with found.store:
        yield found


def test_a_night_that_overlaps_is_told(night: Night) -> None:
    """With its cycle, its time, and why."""
    night.skipped()
    (notice,) = night.store.notices()
    assert (notice.kind, notice.cycle, notice.due, notice.at) == (NoticeKind.NIGHTLY_SKIPPED, "glm", DUE, DUE)
    assert "glm" in notice.text
    assert notice.text.endswith("was left out: the run before is not over")
    assert (notice.id, notice.passed) == (1, None)


def test_it_is_kept_with_the_night_or_not_at_all(night: Night) -> None:
    """A daemon that is killed leaves both or neither."""
    run = NightRun("glm", DUE, DUE, Outcome.SKIPPED, reason="the run before is not over", code=Code.NIGHT_SKIPPED)
    night.store._connection.execute("CREATE TRIGGER no BEFORE INSERT ON notices BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        night.store.set_last_due("glm", DUE, "0 2 * * *", "", [run])
    with pytest.raises(Exception, match="no"):
        night.store.keep_night(run)
    assert (night.store.last_due("glm"), night.store.night("glm", DUE)) == (None, None)


@pytest.mark.parametrize(
    ("outcome", "code", "kind"),
    (
        (Outcome.FAILED, Code.NIGHT_TEMPLATE, NoticeKind.NIGHTLY_FAILED),
        (Outcome.CAUGHT_UP, "", NoticeKind.NIGHTLY_LATE),
        (Outcome.DROPPED, "", None),
        (Outcome.SKIPPED, Code.NIGHT_UNCHANGED, None),
        (Outcome.SKIPPED, Code.NIGHT_MISSED, None),
    ),
)
def test_what_is_told_of_a_night(night: Night, outcome: Outcome, code: str, kind: NoticeKind | None) -> None:
    """What is as it should be is not, what the settings want neither; of a missed one the later one tells."""
    night.became(outcome, code=code, reason="because")
    assert night.lasting() == ([kind] if kind else [])


def test_a_night_that_fails_again_and_again_is_told_once(night: Night) -> None:
    """It is tried every five minutes, and the reason may be another one each time; late in the end, it is late."""
    for reason in ("no file", "no file", "no space"):
        night.became(Outcome.FAILED, reason=reason, code=Code.NIGHT_TEMPLATE)
    assert night.lasting() == [NoticeKind.NIGHTLY_FAILED]
    night.became(Outcome.CAUGHT_UP)
    assert night.lasting() == [NoticeKind.NIGHTLY_LATE]
    assert night.written() == 2


def test_each_night_is_told_but_not_each_hour(night: Night) -> None:
    """A run that hangs for days is worth a word a night; one of a cycle that comes every hour is not worth 24 a day."""
    night.skipped()
    night.skipped(DUE + timedelta(hours=1))
    assert night.written() == 1
    night.skipped(DUE + timedelta(hours=23))  # the clocks were set forward
    assert timedelta(hours=1) < AGAIN < timedelta(hours=23)
    assert night.written() == 2


def test_a_later_run_that_is_done_lets_it_pass(night: Night) -> None:
    """What was told of later nights stays."""
    night.skipped()
    night.skipped(DUE + 2 * DAY)
    night.run(DUE + DAY, State.DONE)
    (left,) = night.store.notices()
    assert left.due == DUE + 2 * DAY
    passed, _ = night.store.notices(also_passed=True)
    assert passed.passed is not None


def test_an_earlier_run_that_is_done_does_not(night: Night) -> None:
    """It is over at last, and the night that it has cost is lost all the same."""
    night.skipped()
    night.run(DUE - DAY, State.DONE)
    assert night.lasting() == [NoticeKind.NIGHTLY_SKIPPED]


@pytest.mark.parametrize(
    ("state", "code", "passes"),
    (
        (State.DONE, Code.PROMOTION_NOT_NEWEST, True),
        (State.DONE, Code.PROMOTION_NOT_PASSED, False),
        (State.FAILED, Code.SHIM_DIED, False),
    ),
)
def test_what_counts_as_good(night: Night, state: State, code: str, passes: bool) -> None:  # noqa: FBT001 - a case
    """Done, and nothing said against it."""
    night.skipped()
    night.run(DUE, state, code)
    assert night.lasting() == ([] if passes else [NoticeKind.NIGHTLY_SKIPPED])


def test_what_was_kept_back_and_is_promoted_is_good(night: Night) -> None:
    """Somebody has looked at it, and wants it."""
    night.skipped()
    job = night.run(DUE, State.DONE, Code.PROMOTION_NOT_PASSED)
    night.store.promote(Promotion.of(job, by="eve"))
    assert night.lasting() == []


def test_inputs_that_have_not_changed_are_good_news(night: Night) -> None:
    """The last run that is done has all that there is."""
    night.skipped()
    night.became(Outcome.SKIPPED, DUE + DAY, "inputs unchanged since job 1", Code.NIGHT_UNCHANGED)
    assert night.lasting() == []


def test_what_is_told_of_a_cycle_goes_with_it(night: Night) -> None:
    """Nobody waits for it any more; what is of no cycle stays."""
    night.skipped()
    night.store.add_notice(Notice(NoticeKind.DISK_LOW, "too little", DUE, due=DUE))
    night.store.forget_cycles(keep=["other"])
    assert night.lasting() == [NoticeKind.DISK_LOW]


def test_a_low_disk_comes_and_goes(night: Night) -> None:
    """Once while it lasts; when it is low again, be it before the same night, it is told again."""
    low = Notice(NoticeKind.DISK_LOW, "too little", DUE - timedelta(hours=8), due=DUE)
    assert night.store.add_notice(low)
    assert not night.store.add_notice(low)
    night.store.pass_notices(NoticeKind.DISK_LOW, DUE - timedelta(hours=7))
    assert night.lasting() == []
    assert night.store.add_notice(low)
    assert night.written() == 2


def test_an_alarm_of_a_night_comes_once_for_ever(night: Night) -> None:
    """Also when it has passed."""
    alarm = Notice(NoticeKind.NIGHTLY_OVERDUE, "no success", DUE + timedelta(hours=6), "glm", DUE)
    assert night.store.add_notice(alarm)
    night.run(DUE, State.DONE)
    assert night.lasting() == []
    assert not night.store.add_notice(alarm)


def test_a_row_that_glmd_has_not_written_is_left_out(night: Night) -> None:
    """The others are told all the same."""
    night.skipped()
    insert = "INSERT INTO notices (at, kind, text) VALUES (?, ?, 'x')"
    night.store._connection.execute(insert, ("yesterday", NoticeKind.DISK_LOW))
    night.store._connection.execute(insert, (DUE.isoformat(), "stars_fall"))
    assert night.lasting() == [NoticeKind.NIGHTLY_SKIPPED]


def test_since_when_a_cycle_is_counted(night: Night) -> None:
    """Since it is new, or was changed; a clock that was wrong, and ahead, does not count."""
    night.store.set_last_due("glm", DUE, "0 2 * * *", "UTC")
    night.store.set_last_due("glm", DUE + DAY, "0 2 * * *", "UTC")
    assert [each.since for each in night.store.counted()] == [DUE]
    night.store.set_last_due("glm", DUE + 2 * DAY, "0 3 * * *", "UTC")
    assert [each.since for each in night.store.counted()] == [DUE + 2 * DAY]
    night.store.set_last_due("glm", DUE, "0 3 * * *", "UTC")
    assert [each.since for each in night.store.counted()] == [DUE]
