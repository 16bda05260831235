"""Promises of daemon.face.web.views.night: one night, and what of it needs somebody first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.night_runs import Outcome
from daemon.core.states import State
from daemon.face.nights import night_of, noon_before
from daemon.face.web.asking import Asked
from daemon.face.web.views.night import live
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from handlers.codes import Code
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING, Diary, utc
from tests.unit.daemon.face.web.nights_site import HOSTILE, Client, site_of

DUE = utc("2026-03-10 02:00")


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def page(diary: Diary, address: str = "/night/2026-03-10", **headers: str) -> str:
    """Return a page."""
    answer = Client(diary.root.path).get(address, **headers)
    assert answer.status_code == 200
    return answer.text


def test_what_needs_somebody_comes_first_with_what_to_type(diary: Diary) -> None:
    """Before the runs, with each command to be copied."""
    job = diary.run("glm-6b", DUE, *FAILED, reason="rank 3: EI0006", code="rank.EI0006")
    text = page(diary)
    assert text.index("NEEDS YOU") < text.index('id="runs"')
    assert f'data-copy="glmd retry {job.id}"' in text
    assert 'data-copy="glmd explain rank.EI0006"' in text


def test_a_run_tells_what_it_came_to_beside_the_run_before(diary: Diary) -> None:
    """Its loss, by how much that is better, how long it took; and the best loss beside that of the night before."""
    diary.run("glm-6b", DUE - timedelta(days=1), *DONE, promoted=True, loss=1.75)
    diary.run("glm-6b", DUE, *DONE, promoted=True, loss=1.5)
    text = page(diary)
    assert "1.5 (-0.25)" in text
    assert "4h" in text
    assert "best loss: 1.5 (glm-6b), the night before 1.75" in text
    assert "1 done" in text


def test_a_strip_shows_when_a_job_waited_trained_and_merged(diary: Diary) -> None:
    """Each as a part of the night from 18:00 to 08:00, without a style of its own."""
    job = diary.run("glm-6b", DUE, *DONE)
    diary.sql("DELETE FROM transitions")
    for hours, state in enumerate((State.QUEUED, State.PREPARING, State.TRAINING, State.MERGING, State.DONE)):
        diary.sql(
            "INSERT INTO transitions (job, at, state, attempt, reason) VALUES (?, ?, ?, 1, '')",
            *(job.id, (DUE + timedelta(hours=hours)).isoformat(), state),
        )
    text = page(diary)
    for kind, hour in (("waits", 8), ("trains", 9), ("trains", 10), ("merges", 11)):
        assert f'<rect class="{kind}" x="{round(100 * hour / 14, 2)}%"' in text
    assert "training 04:00–05:00" in text
    assert "style=" not in text
    assert "devices used 14%" in text  # two of fourteen hours of the one device that is known


def test_new_files_are_those_that_latest_was_led_to(diary: Diary) -> None:
    """Not those that were taken back."""
    kept, undone = (diary.run(name, DUE, *DONE, promoted=True, loss=1.0) for name in ("glm-6b", "other"))
    diary.sql("UPDATE promotions SET target = 'jobs/' || job || '/merged'")
    diary.sql("UPDATE promotions SET undone = 9 WHERE job = ?", undone.id)
    text = page(diary)
    assert f"jobs/{kept.id}/merged" in text
    assert f"jobs/{undone.id}/merged" not in text


def test_a_run_that_was_left_out_says_why(diary: Diary) -> None:
    """It has no job, and so no link and no strip."""
    diary.note("night-b", DUE, Outcome.SKIPPED, "the run before was not over", Code.NIGHT_SKIPPED)
    text = page(diary)
    assert "the run before was not over" in text
    assert "skipped" in text
    assert "<rect" not in text


def test_nights_lead_to_each_other(diary: Diary) -> None:
    """Back as far as there were computers, on to the last one that has begun."""
    newest = night_of(datetime.now(UTC))
    text = page(diary)
    assert 'href="/night/2026-03-09"' in text
    assert 'href="/night/2026-03-11"' in text
    assert 'rel="next"' not in page(diary, f"/night/{newest.isoformat()}")
    assert 'href="/nights?month=2026-03"' in text


@pytest.mark.parametrize(
    "night",
    ("2999-01-01", "1066-10-14", "x", "2026-02-30", "20260228", "2026-W10-2", "0001-01-01", "%00", "9999-12-31"),
)
def test_there_are_no_other_nights(diary: Diary, night: str) -> None:
    """Each is told that, with what to write."""
    answer = Client(diary.root.path).get(f"/night/{night}")
    assert answer.status_code == 404
    assert "2026-11-28" in answer.text


def test_before_the_first_job_the_page_says_how_to_begin(tmp_path: Path) -> None:
    """Without a store, and with one in which nothing is."""
    assert "glmd submit" in Client(tmp_path).get("/night").text
    assert "no run was due" in page(Diary(tmp_path / "root"), "/night")


def test_the_night_that_goes_on_is_live(diary: Diary) -> None:
    """And one that is over is not."""
    diary.job("run", datetime.now(UTC) - timedelta(hours=1), *TRAINING)
    assert "of=night%3A" in page(diary, "/night")
    assert "of=night" not in page(diary)


def test_a_change_makes_the_page_anew(diary: Diary) -> None:
    """A run that ends, or needs somebody, is another revision; a look that finds the same is the same."""
    night = night_of(datetime.now(UTC))
    asked = Asked(site_of(diary.root.path), read_words(Language.EN), {"job": night.isoformat()}, {})
    job = diary.run("glm-6b", noon_before(night) + timedelta(minutes=1), *TRAINING)
    before = live(asked)
    assert live(asked) == before
    assert f"progress-{job.id}" in before.cells
    diary.sql("UPDATE jobs SET state = 'failed' WHERE id = ?", job.id)
    after = live(asked)
    assert after.revision != before.revision
    assert not after.cells


def test_names_are_text(diary: Diary) -> None:
    """Whatever a name or a reason has in it, nothing of it is markup."""
    diary.job(HOSTILE, DUE, *FAILED, reason=HOSTILE)
    text = page(diary)
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


def test_a_storm_of_rejected_files_is_told_in_part(diary: Diary) -> None:
    """A thousand of them make a page that can be read, and say how many more there are."""
    job = diary.job("run", DUE, State.REJECTED, reason="no mapping", code="yaml.syntax")
    diary.sql(
        "INSERT INTO jobs (claim, digest, name, state, reason, attempt, priority, devices, prefix, submitted, changed)"
        " SELECT 'c' || value, '', 'x' || value, state, reason, 1, 0, '[]', '', submitted, changed FROM jobs,"
        " (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1000)"
        " SELECT value FROM n) WHERE id = ?",
        job.id,
    )
    text = page(diary)
    assert text.count('class="need"') == 50
    assert "951 more" in text
    assert "901 more" in text


def test_the_page_is_told_in_chinese(diary: Diary) -> None:
    """Marks, dates and what is the matter."""
    diary.run("glm-6b", DUE, *FAILED, reason="rank 3: EI0006", code="rank.EI0006")
    text = page(diary, "/night/2026-03-10?lang=zh")
    assert "3月10日" in text
    assert "失败" in text
    assert 'href="/night/2026-03-09?lang=zh"' in text
