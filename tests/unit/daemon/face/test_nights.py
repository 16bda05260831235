"""Promises of daemon.face.nights: each run is known, in its night, with what it came to."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_runs import Outcome
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.face.nights import CycleNights, Mark, columns, night_of, nights, runs_since
from handlers.codes import Code
from handlers.run_names import run_name, time_of
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING, Diary, utc

NOW = utc("2026-11-28 09:00")


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let this host be in UTC, until the test puts it elsewhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def diary(tmp_path: Path, zone: pytest.MonkeyPatch) -> Diary:
    """Return an empty store."""
    del zone
    return Diary(tmp_path / "root")


def seen(diary: Diary, since: str = "2026-11-15", now: datetime = NOW) -> dict[str, CycleNights]:
    """Return how the cycles fared."""
    with ReadStore.open(diary.root.store) as store:
        return {each.cycle: each for each in nights(store, date.fromisoformat(since), now)}


def test_each_night_has_a_mark(diary: Diary) -> None:
    """By what the store keeps of it and its job."""
    wanted = {}
    for day, (ways, outcome, promoted, code, mark) in enumerate(
        (
            (DONE, Outcome.DROPPED, True, "", Mark.DONE),
            (DONE, Outcome.CAUGHT_UP, True, "", Mark.LATE),
            (DONE, Outcome.DROPPED, False, "gate.loss", Mark.NOT_PROMOTED),
            (FAILED, Outcome.CAUGHT_UP, False, "rank.EI0006", Mark.FAILED),
            ((State.CANCELLED,), Outcome.DROPPED, False, "", Mark.FAILED),
            ((State.REJECTED,), Outcome.DROPPED, False, "yaml.syntax", Mark.FAILED),
            (TRAINING, Outcome.DROPPED, False, "", Mark.RUNNING),
            ((), Outcome.DROPPED, False, "", Mark.RUNNING),
        ),
        20,
    ):
        diary.run("glm", utc(f"2026-11-{day} 02:00"), *ways, outcome=outcome, promoted=promoted, code=code)
        wanted[date(2026, 11, day)] = mark
    diary.note("glm", utc("2026-11-28 02:00"), Outcome.SKIPPED, "the run before is not over", Code.NIGHT_SKIPPED)
    diary.note("other", utc("2026-11-27 03:00"), Outcome.SKIPPED, "glmd did not run then", "night.missed")
    diary.note("other", utc("2026-11-28 03:00"), Outcome.FAILED, "no template", Code.NIGHT_TEMPLATE)
    found = seen(diary)
    assert found["glm"].marks() == wanted | {date(2026, 11, 28): Mark.SKIPPED}
    assert found["other"].marks() == {date(2026, 11, 27): Mark.MISSED, date(2026, 11, 28): Mark.FAILED}


def test_nights_of_before_are_told_by_their_names(diary: Diary) -> None:
    """Of an older store nothing is kept but the jobs; whether they were promoted nobody knows."""
    diary.run("glm", utc("2026-11-27 02:00"), *DONE, outcome=None)
    job = diary.run("glm", utc("2026-11-28 02:00"), *FAILED, outcome=None)
    (first, second) = seen(diary)["glm"].runs
    assert (first.mark, first.is_promoted, first.outcome, first.due) == (Mark.DONE, None, None, utc("2026-11-27 02:00"))
    assert (second.mark, second.job) == (Mark.FAILED, job)


@pytest.mark.parametrize("due", (utc("2026-11-28 02:00"), utc("2024-02-29 23:59"), utc("1999-12-31 00:00")))
def test_the_time_in_a_name_is_read_back(due: datetime) -> None:
    """As it was written, in UTC."""
    assert time_of(run_name("glm-6b", due)) == due


@pytest.mark.parametrize(
    "name",
    (
        "glm",
        "glm-20261128T020000",
        "glm-20261328T020000Z",
        "-20261128T020000Z",
        "g-00010101T000000Z",
        "g-99991231T000000Z",
    ),
)
def test_a_name_that_tells_no_time_is_none(name: str) -> None:
    """Somebody may have chosen it."""
    assert time_of(name) is None


@pytest.mark.parametrize(
    ("zone_name", "due", "night"),
    (
        ("UTC", "2026-11-27 18:00", "2026-11-28"),
        ("UTC", "2026-11-28 11:59", "2026-11-28"),
        ("UTC", "2026-11-28 12:00", "2026-11-29"),
        ("Asia/Shanghai", "2026-11-27 18:00", "2026-11-28"),
        ("Asia/Shanghai", "2026-11-28 03:59", "2026-11-28"),
        ("Asia/Shanghai", "2026-11-28 04:00", "2026-11-29"),
        # Clocks are set back at three, and forward at two.
        ("Europe/Berlin", "2026-10-25 00:30", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25 01:30", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25 10:59", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25 11:00", "2026-10-26"),
        ("Europe/Berlin", "2026-03-29 09:59", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29 10:00", "2026-03-30"),
    ),
)
def test_each_run_has_its_night(zone: pytest.MonkeyPatch, zone_name: str, due: str, night: str) -> None:
    """The one between the two noons, by this host's clock, also where that is set."""
    zone.setenv("TZ", zone_name)
    time.tzset()
    assert night_of(utc(due)) == date.fromisoformat(night)


def test_how_a_cycle_fared_is_counted(diary: Diary) -> None:
    """What runs and what was meant to be left out counts for nothing; a skipped night ends a streak."""
    for day, ways in ((20, DONE), (21, FAILED), (22, DONE), (24, DONE), (25, DONE)):
        diary.run("glm", utc(f"2026-11-{day} 02:00"), *ways, loss=float(day))
    diary.note("glm", utc("2026-11-23 02:00"), Outcome.SKIPPED, "", Code.NIGHT_SKIPPED)
    diary.note("glm", utc("2026-11-26 02:00"), Outcome.SKIPPED, "", "night.unchanged")
    diary.run("glm", utc("2026-11-27 02:00"), *TRAINING)
    found = seen(diary)["glm"]
    assert found.success_rate == pytest.approx(4 / 6)
    assert found.streak == 2
    assert found.losses == [20, 21, 22, 24, 25]
    assert seen(diary, since="2026-11-26")["glm"].success_rate is None


def test_a_streak_goes_further_back_than_what_is_shown(diary: Diary) -> None:
    """And a run that was not promoted ends it."""
    for day, code in ((18, ""), (19, "gate.loss"), (20, ""), (21, ""), (22, "")):
        diary.run("glm", utc(f"2026-11-{day} 02:00"), *DONE, code=code)
    assert seen(diary, since="2026-11-22")["glm"].streak == 3


@pytest.mark.parametrize("code", (Code.PROMOTION_NOT_NEWEST, Code.PROMOTION_UNDONE, Code.JOB_CANCELLED))
def test_a_run_without_an_objection_is_a_success(diary: Diary, code: Code) -> None:
    """That `latest` is not led to its output, its mark tells; it ends no streak, and counts for its cycle."""
    for day, promoted, said in ((26, True, ""), (27, False, code), (28, True, "")):
        diary.run("glm", utc(f"2026-11-{day} 02:00"), *DONE, promoted=promoted, code=said)
    found = seen(diary)["glm"]
    assert [run.mark for run in found.runs] == [Mark.DONE, Mark.NOT_PROMOTED, Mark.DONE]
    assert (found.streak, found.success_rate) == (3, 1.0)


def test_of_several_runs_in_a_night_the_worst_shows(diary: Diary) -> None:
    """An hourly cycle has one mark a night."""
    for hour, ways in ((1, DONE), (2, FAILED), (3, DONE)):
        diary.run("glm", utc(f"2026-11-28 0{hour}:00"), *ways)
    assert seen(diary)["glm"].marks() == {date(2026, 11, 28): Mark.FAILED}
    assert len(seen(diary)["glm"].runs) == 3


def test_a_night_dropped_twice_is_the_newer_job(diary: Diary) -> None:
    """Somebody dropped its file again."""
    diary.run("glm", utc("2026-11-28 02:00"), *FAILED)
    again = diary.run("glm", utc("2026-11-28 02:00"), *DONE, outcome=None)
    assert [run.job for run in seen(diary)["glm"].runs] == [again]


@pytest.mark.parametrize(
    ("cron", "zone_name", "last", "now", "due"),
    (
        ("0 2 * * *", "", "2026-11-28T02:00:00+00:00", "2026-11-28 09:00", "2026-11-29 02:00"),
        # Counted by another zone than the host's, whose clocks are set before the next run.
        ("0 2 * * *", "Europe/Berlin", "2026-10-24T02:00:00+02:00", "2026-10-24 10:00", "2026-10-25 00:00"),
        ("0 4 * * *", "Europe/Berlin", "2026-10-24T04:00:00+02:00", "2026-10-24 10:00", "2026-10-25 03:00"),
        # An older glmd kept no name: its offset is what is known.
        ("0 2 * * *", "", "2026-11-28T02:00:00+08:00", "2026-11-28 09:00", "2026-11-28 18:00"),
        ("0 2 * * *", "No/Where", "2026-11-28T02:00:00+08:00", "2026-11-28 09:00", None),
        ("no cron", "", "2026-11-28T02:00:00+00:00", "2026-11-28 09:00", None),
        ("", "", "2026-11-28T02:00:00+00:00", "2026-11-28 09:00", None),
        ("0 2 * * *", "", "9999-12-31T02:00:00+00:00", "2026-11-28 09:00", None),
    ),
)
def test_the_next_night_is_told(diary: Diary, cron: str, zone_name: str, last: str, now: str, due: str | None) -> None:
    """As the daemon counted last, without the settings; and nothing where nothing can be counted."""
    diary.run("glm", utc("2026-11-01 02:00"), *DONE)
    diary.count("glm", datetime.fromisoformat(last), cron, zone_name)
    found = seen(diary, since="2026-10-01", now=utc(now))["glm"]
    assert found.next_due == (None if due is None else utc(due))


def test_a_cycle_that_the_settings_no_longer_have_is_shown_while_it_has_nights(diary: Diary) -> None:
    """And one that has none yet, as it is in the settings."""
    diary.run("gone", utc("2026-11-20 02:00"), *DONE)
    diary.count("new", utc("2026-11-28 00:00"))
    found = seen(diary)
    assert {name: each.next_due for name, each in found.items()} == {"gone": None, "new": utc("2026-11-29 02:00")}
    assert set(seen(diary, since="2026-11-25")) == {"new"}


def test_what_no_glmd_has_written_is_left_out(diary: Diary) -> None:
    """Rows that say nothing hold up no others."""
    diary.run("glm", utc("2026-11-28 02:00"), *DONE)
    for due, outcome in (("2026-11-28T03:00:00", "dropped"), ("never", "dropped"), ("2026-11-28T04:00:00+00:00", "x")):
        diary.sql("INSERT INTO nightly_runs VALUES ('odd', ?, ?, ?, NULL, '', '')", due, due, outcome)
    diary.sql("INSERT INTO nightly_runs VALUES ('odd', '9999-12-31T23:00:00+00:00', '9', 'dropped', NULL, '', '')")
    diary.sql("INSERT INTO nightly (name, due, cron) VALUES ('odd', 'never', '* * * * *')")
    assert set(seen(diary)) == {"glm"}


def test_a_promotion_that_was_taken_back_is_none(diary: Diary) -> None:
    """Of one against which nothing was said it is unknown: it is of before, or was not meant to be promoted."""
    early = diary.run("glm", utc("2026-11-25 02:00"), *DONE)
    first = diary.run("glm", utc("2026-11-26 02:00"), *DONE, promoted=True)
    undone = diary.run("glm", utc("2026-11-27 02:00"), *DONE, promoted=True)
    diary.sql("UPDATE promotions SET undone = 1 WHERE job = ?", undone.id)
    never = diary.run("glm", utc("2026-11-28 02:00"), *DONE)
    with ReadStore.open(diary.root.store) as store:
        found = store.promoted_among([early, first, undone, never])
        runs = runs_since(store, utc("2026-11-28 00:00"))["glm"]
    assert found == {first.id: True, undone.id: False}
    assert [run.mark for run in runs] == [Mark.DONE]
    assert [run.mark for run in seen(diary)["glm"].runs] == [Mark.DONE, Mark.DONE, Mark.NOT_PROMOTED, Mark.DONE]


def test_the_columns_go_to_the_coming_night(diary: Diary) -> None:
    """Where that is due within a day; an empty column of next week would say nothing."""
    diary.count("glm", utc("2026-11-28 02:00"))
    found = list(seen(diary).values())
    assert columns(found, date(2026, 11, 27), NOW) == [date(2026, 11, day) for day in (27, 28, 29)]
    assert columns([], date(2026, 11, 27), NOW) == [date(2026, 11, day) for day in (27, 28)]
    assert columns(found, date(2026, 11, 27), NOW - timedelta(days=1))[-1] == date(2026, 11, 27)


def test_all_times_are_in_utc(diary: Diary, zone: pytest.MonkeyPatch) -> None:
    """Whatever this host's zone is."""
    zone.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    diary.run("glm", utc("2026-11-28 02:00"), *DONE)
    (run,) = seen(diary)["glm"].runs
    assert run.due.tzinfo is UTC
    assert run.as_json()["due"] == "2026-11-28T02:00:00+00:00"


def test_a_month_ends_with_its_last_night(diary: Diary) -> None:
    """Runs of nights behind it are not told of, also where they were dropped late."""
    wanted = diary.run("glm", utc("2026-10-31 02:00"), *DONE)
    late = diary.run("glm", utc("2026-10-30 02:00"), *DONE)
    diary.sql("UPDATE jobs SET submitted = '2026-11-10T00:00:00+00:00' WHERE id = ?", late.id)
    diary.run("glm", utc("2026-11-01 02:00"), *DONE)
    diary.note("glm", utc("2026-11-02 02:00"), Outcome.SKIPPED)
    with ReadStore.open(diary.root.store) as store:
        (found,) = nights(store, date(2026, 10, 1), NOW, date(2026, 10, 31))
    assert [run.job and run.job.id for run in found.runs] == [late.id, wanted.id]
