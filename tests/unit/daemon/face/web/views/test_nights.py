"""Promises of daemon.face.web.views.nights: a month of nights, a mark each."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_runs import Outcome
from daemon.face.nights import night_of
from handlers.codes import Code
from tests.unit.daemon.face.diary import DONE, FAILED, Diary, utc
from tests.unit.daemon.face.web.nights_site import Client


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def page(diary: Diary, address: str = "/nights?month=2026-03") -> str:
    """Return a page."""
    answer = Client(diary.root.path).get(address)
    assert answer.status_code == 200
    return answer.text


def squares(text: str) -> list[tuple[str, str, str]]:
    """Return kind, state and day of each square."""
    return re.findall(r'<li class="(month|recent|before)" data-state="([^"]*)">(?:<a [^>]*>)?<span>(\d+)', text)


def test_each_night_of_the_month_has_its_mark(diary: Diary) -> None:
    """From the first to the last; those of the months beside it are elsewhere."""
    diary.run("glm-6b", utc("2026-02-28 02:00"), *DONE, promoted=True)
    diary.run("glm-6b", utc("2026-03-01 02:00"), *DONE, promoted=True, loss=2.0)
    diary.run("glm-6b", utc("2026-03-02 02:00"), *FAILED)
    diary.note("glm-6b", utc("2026-03-03 02:00"), Outcome.SKIPPED, "not over", Code.NIGHT_SKIPPED)
    last = diary.run("glm-6b", utc("2026-03-31 02:00"), *DONE, promoted=True, loss=1.5)
    diary.run("glm-6b", utc("2026-04-01 02:00"), *FAILED)
    text = page(diary)
    assert [int(day) for _, _, day in squares(text)] == list(range(1, 32))
    marks = {int(day): state for _, state, day in squares(text) if state}
    assert marks == {1: "done", 2: "failed", 3: "skipped", 31: "done"}
    assert 'href="/night/2026-03-02"' in text
    assert "<b>50%</b>" in text
    assert "<b>1.5</b>" in text
    assert f'href="/jobs/{last.id}"' in text


def test_a_month_that_is_past_is_whole_and_tells_nothing_of_today(diary: Diary) -> None:
    """Neither the streak nor what is due next is of it."""
    diary.run("glm-6b", utc("2026-03-02 02:00"), *DONE)
    diary.count("glm-6b", datetime.now(UTC))
    text = page(diary)
    assert "done in a row" not in text
    assert "next " not in text
    assert {kind for kind, _, _ in squares(text)} == {"recent"}


def test_the_present_month_has_a_fortnight_for_a_phone(diary: Diary) -> None:
    """Also on its first days; and says what is due next."""
    now = datetime.now(UTC)
    diary.run("glm-6b", now - timedelta(hours=1), *DONE, loss=1.0)
    diary.count("glm-6b", now)
    text = page(diary, "/nights")
    newest = night_of(now)
    days = [(newest - timedelta(days=back)).day for back in range(13, -1, -1)]
    shown = [int(day) for kind, _, day in squares(text) if kind != "month"]
    assert shown[:14] == days
    assert "done in a row <b>1</b>" in text
    assert ", in " in text
    assert 'data-state="to come"' in text


def test_months_lead_to_each_other(diary: Diary) -> None:
    """Over the ends of years, and not to those that are to come."""
    text = page(diary, "/nights?month=2025-12")
    assert 'href="/nights?month=2025-11"' in text
    assert 'href="/nights?month=2026-01"' in text
    assert 'rel="next"' not in page(diary, "/nights")


@pytest.mark.parametrize("month", ("2999-01", "2026-13", "2026-00", "x", "2026-1", "1066-10", "2026-03-01", "٢٠٢٦-٠٣"))
def test_there_are_no_other_months(diary: Diary, month: str) -> None:
    """Each is told that, with what to write."""
    answer = Client(diary.root.path).get(f"/nights?month={month}")
    assert answer.status_code == 404
    assert "2026-11" in answer.text


def test_without_nights_the_page_says_how_to_have_some(diary: Diary, tmp_path: Path) -> None:
    """Without a store, too."""
    assert "nightly section" in page(diary, "/nights")
    assert "nightly section" in Client(tmp_path / "none").get("/nights").text


def test_signs_have_words(diary: Diary) -> None:
    """A mark is told from others by a word, not by its colour alone."""
    diary.run("glm-6b", utc("2026-03-02 02:00"), *FAILED)
    text = page(diary, "/nights?month=2026-03&lang=zh")
    assert '<span class="hidden">失败</span>' in text
    assert "夜间日历" in text
