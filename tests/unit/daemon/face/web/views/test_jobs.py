"""Promises of daemon.face.web.views.jobs: every job there was can be found."""

import html
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from daemon.core.states import State
from tests.unit.daemon.face.diary import DONE, FAILED, Diary, utc
from tests.unit.daemon.face.web.nights_site import HOSTILE, Client, many

AT = utc("2026-03-10 02:00")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root of 120 jobs."""
    path = tmp_path_factory.mktemp("site") / "root"
    many(path, 120)
    return path


def page(root: Path, address: str) -> str:
    """Return a page."""
    answer = Client(root).get(address)
    assert answer.status_code == 200
    return answer.text


def numbers(text: str) -> list[int]:
    """Return which jobs are on a page."""
    return [int(number) for number in re.findall(r'name="jobs" value="(\d+)"', text)]


def link(text: str, rel: str) -> str:
    """Return the address of the page behind or before."""
    found = re.search(rf'rel="{rel}" href="([^"]*)"', text)
    return html.unescape(found[1]) if found else ""


def test_pages_have_fifty_jobs_and_lead_to_each_other(root: Path) -> None:
    """From the newest to the oldest and back, without a link that leads nowhere."""
    first = page(root, "/jobs")
    second = page(root, link(first, "next"))
    third = page(root, link(second, "next"))
    assert [numbers(each) for each in (first, second, third)] == [
        list(range(120, 70, -1)),
        list(range(70, 20, -1)),
        list(range(20, 0, -1)),
    ]
    assert (link(first, "prev"), link(third, "next")) == ("", "")
    assert numbers(page(root, link(third, "prev"))) == numbers(second)
    assert numbers(page(root, link(second, "prev"))) == numbers(first)


def test_state_and_text_narrow_it_down_and_stay_while_turning_pages(root: Path) -> None:
    """What was chosen and typed is in the address of every link."""
    text = page(root, "/jobs?state=failed&q=ei0006&before=60")
    assert numbers(text) == [number for number in range(59, 0, -1) if number % 10 in {3, 8}]
    assert '<option value="failed" selected>' in text
    assert 'value="ei0006"' in text
    assert link(text, "prev").startswith("/jobs?state=failed&q=ei0006&after=")


@pytest.mark.parametrize("state", ("all", "", "running", "queued", "preparing", "training", "evaluating", "done"))
def test_states_can_be_asked_for_by_name(root: Path, state: str) -> None:
    """Also those that are one with others among what is to be chosen."""
    page(root, f"/jobs?state={state}")


@pytest.mark.parametrize("state", ("x", "FAILED", "done,failed"))
def test_there_are_no_other_states(root: Path, state: str) -> None:
    """Rather than a page that looks as if there were no jobs, its reader is told so."""
    assert Client(root).get(f"/jobs?state={state}").status_code == 404


@pytest.mark.parametrize(
    "query", ("before=x", "before=-1", "before=0", "after=1.5", "before=1e9", "before=9999999999999999")
)
def test_what_makes_no_sense_is_said(root: Path, query: str) -> None:
    """A page is asked for by a job's number."""
    assert Client(root).get(f"/jobs?{query}").status_code == 404


def test_an_empty_page_says_how_to_go_on(root: Path, tmp_path: Path) -> None:
    """Where nothing was found, to all jobs; where nothing ever was, how to begin."""
    assert 'href="/jobs"' in page(root, "/jobs?q=there+is+none")
    assert "glmd submit FILE.yaml" in page(tmp_path / "none", "/jobs")
    assert "glmd submit FILE.yaml" in page(Diary(tmp_path / "root").root.path, "/jobs")


def test_jobs_are_chosen_by_a_form(root: Path) -> None:
    """It leads to the comparison without a script, and keeps the language."""
    text = page(root, "/jobs?lang=zh")
    assert '<form action="/compare">' in text
    assert '<input type="hidden" name="lang" value="zh">' in text
    assert "选择 120 " in text


def test_a_row_says_what_a_job_came_to(tmp_path: Path) -> None:
    """Loss and size of one that is done, the reason of one that failed, with its lines as they are."""
    diary = Diary(tmp_path / "root")
    diary.job("fine", AT, *DONE, loss=1.234)
    diary.job("bad", AT, *FAILED, reason="first line\nsecond line", code="rank.EI0006")
    text = page(diary.root.path, "/jobs")
    assert "1.234, 14.0 GB" in text
    assert "first line\nsecond line" in text
    assert 'data-state="failed"' in text


def test_names_and_what_is_typed_are_text(tmp_path: Path) -> None:
    """Nothing of them is markup."""
    diary = Diary(tmp_path / "root")
    diary.job(HOSTILE, AT, State.REJECTED, reason=HOSTILE)
    for address in ("/jobs", f"/jobs?q={quote(HOSTILE)}", '/jobs?q="><script>alert(1)</script>'):
        text = page(diary.root.path, address)
        assert "<img" not in text
        assert "<script>" not in text
