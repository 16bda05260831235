"""Promises of the pages of many jobs, all together: ten thousand jobs cost little, and nothing that is asked breaks."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.daemon.face.web.nights_site import Client, many, p95

PAGES = ("/", "/night", "/nights", "/jobs", "/compare", "/devices")
QUERIES = ("?before=%00", "?month=%F0%28", "?jobs=%2e%2e%2f1", "?q=%27%3B--&state=%FF", "?after=%E2%80%AE", "?lang=%00")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root of ten thousand jobs."""
    path = tmp_path_factory.mktemp("site") / "root"
    many(path, 10_000)
    return path


@pytest.mark.parametrize(
    ("address", "within"),
    (
        ("/", 0.030),
        ("/jobs", 0.030),
        ("/jobs?state=failed&q=ei0006&before=9000", 0.030),
        ("/jobs?q=none+of+them", 0.030),
        ("/night", 0.050),
        ("/night/2025-01-10", 0.050),
        ("/nights", 0.050),
        ("/devices", 0.050),
        ("/api/v1/overview", 0.050),
    ),
)
def test_pages_of_ten_thousand_jobs_are_made_at_once(root: Path, address: str, within: float) -> None:
    """In time of this process: others on this machine count for nothing."""
    assert p95(Client(root), address) <= within


def test_nights_of_years_ago_are_told(root: Path) -> None:
    """Without reading every night since."""
    with closing(sqlite3.connect(root / "glmd.db")) as connection:
        asked = "SELECT due FROM nightly_runs WHERE cycle = 'glm-6b' AND substr(due, 12, 2) < '08' ORDER BY due LIMIT 1"
        ((due,),) = connection.execute(asked)
    for address in (f"/night/{due[:10]}", f"/nights?month={due[:7]}"):
        assert "glm-6b" in Client(root).get(address).text


def test_pages_of_ten_thousand_jobs_are_small(root: Path) -> None:
    """However many there are, a page lists some."""
    client = Client(root)
    assert {page for page in PAGES if len(client.get(page).content) > 40_000} == set()


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_there_without_a_root(tmp_path: Path, page: str) -> None:
    """And says what to do, in both languages; only what compares needs jobs."""
    for language in ("en", "zh"):
        answer = Client(tmp_path / "none").get(f"{page}?lang={language}")
        assert answer.status_code == (404 if page == "/compare" else 200)
        assert "glmd" in answer.text


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("query", QUERIES)
def test_nothing_that_is_asked_breaks_a_page(root: Path, page: str, query: str) -> None:
    """It is shown, or said not to be there; and it has its headers."""
    answer = Client(root).get(f"{page}{query}")
    assert answer.status_code in {200, 404}
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_styles_or_scripts_of_its_own(root: Path, page: str) -> None:
    """The policy would not let them be."""
    text = Client(root).get(page).text
    assert " style=" not in text
    assert "<style" not in text
    assert "<script>" not in text


def test_links_keep_the_prefix_and_the_language(root: Path) -> None:
    """Behind a proxy, in Chinese."""
    client = Client(root, url="https://npu01.example/glmd")
    for page in PAGES[:-1]:
        text = client.get(f"{page}?lang=zh").text
        assert 'href="/jobs' not in text
        assert 'action="/jobs' not in text
        assert 'action="/compare' not in text
        assert 'href="/glmd/jobs?' in text
