"""Promises of daemon.face.web.views.api: programs get the keys of the commands, in pages, and no secret."""

import re
from pathlib import Path

import pytest

from daemon.core.states import State
from daemon.face.web.app import ANSWERS
from tests.unit.daemon.face.diary import DONE, Diary, utc
from tests.unit.daemon.face.web.nights_site import HOSTILE, Client, many, train

AT = utc("2026-03-10 02:00")
PATHS = (
    *("overview", "jobs", "jobs/1", "night", "night/2026-03-10", "nights", "nights?month=2026-03", "devices"),
    *("jobs/1/ranks", "jobs/1/config", "jobs/1/output", "jobs/1/steps", "compare?jobs=1,2"),
)
WEB = Path(__file__).parents[6] / "docs" / "web.md"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root of 120 jobs."""
    path = tmp_path_factory.mktemp("site") / "root"
    many(path, 120)
    return path


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_json(root: Path, path: str) -> None:
    """An object each."""
    answer = Client(root).get(f"/api/v1/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("path", PATHS)
def test_without_a_store_it_is_said(tmp_path: Path, path: str) -> None:
    """Devices are told of by the daemon, too."""
    assert Client(tmp_path).get(f"/api/v1/{path}").status_code == (200 if path == "devices" else 404)


def test_keys_are_those_of_the_commands(root: Path) -> None:
    """As docs/cli.md names them."""
    client = Client(root)
    assert {"root", "running", "devices", "queue", "jobs", "waiting"} <= client.get("/api/v1/overview").json().keys()
    assert {"id", "history", "paths", "training", "result"} <= client.get("/api/v1/jobs/42").json().keys()
    assert {"night", "from", "to", "needs", "runs", "others", "totals"} == client.get("/api/v1/night").json().keys()
    assert {"since", "until", "cycles", "notices"} == client.get("/api/v1/nights").json().keys()
    assert {"from", "to", "devices", "exporter", "through_slurm"} == client.get("/api/v1/devices").json().keys()


def test_each_path_is_in_the_documentation() -> None:
    """And nothing is there that no path answers."""
    told = re.findall(r"`/api/v1/([^`?]+)", WEB.read_text("utf-8"))
    places = {"42": "{job}", "2026-11-28": "{night}"}
    paths = {"/".join(places.get(part, part) for part in path.split("/")) for path in told}
    assert paths == {path.removeprefix("/api/v1/") for path in ANSWERS if path.startswith("/api/")}


def test_jobs_come_in_pages(root: Path) -> None:
    """Each says what to ask for the next one, until there is none; none is there twice."""
    client, seen, address = Client(root), [], "/api/v1/jobs?size=50&state=failed"
    before: int | None = 1000
    while before is not None:
        page = client.get(f"{address}&before={before}").json()
        seen += [job["id"] for job in page["jobs"]]
        before = page["before"]
    assert seen == [number for number in range(120, 0, -1) if number % 10 in {3, 8}]


@pytest.mark.parametrize("path", ("jobs?size=501", "jobs?size=0", "jobs/99999", "jobs/x", "night/x", "nights?month=x"))
def test_what_makes_no_sense_is_said(root: Path, path: str) -> None:
    """In a line, without a page around it."""
    answer = Client(root).get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")


def test_nothing_of_plans_and_environments_is_told(tmp_path: Path) -> None:
    """A plan may have a token in it."""
    diary = Diary(tmp_path / "root")
    job = diary.job("run", AT, *DONE)
    train(diary.root.path, job.label, [1.0, float("nan")])
    directory = job.directory(diary.root.path)
    for path in (directory.plan, directory.path / "environment.json", directory.submitted):
        path.write_text('{"token": "hunter2"}')
    client = Client(diary.root.path)
    for path in ("jobs/1", "jobs", "overview"):
        text = client.get(f"/api/v1/{path}").text
        assert "hunter2" not in text
        assert "NaN" not in text


def test_a_storm_of_jobs_is_told_in_part(tmp_path: Path) -> None:
    """With how many were left out."""
    diary = Diary(tmp_path / "root")
    job = diary.job("run", AT, State.REJECTED)
    diary.sql(
        "INSERT INTO jobs (claim, digest, name, state, reason, attempt, priority, devices, prefix, submitted, changed)"
        " SELECT 'c' || value, '', 'x' || value, state, reason, 1, 0, '[]', '', submitted, changed FROM jobs,"
        " (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 600)"
        " SELECT value FROM n) WHERE id = ?",
        job.id,
    )
    told = Client(diary.root.path).get("/api/v1/night/2026-03-10").json()
    assert len(told["others"]) == 500
    assert told["left_out"]["others"] == 101


def test_hostile_names_are_harmless(tmp_path: Path) -> None:
    """What a terminal would obey is escaped, and reads back as it was."""
    diary = Diary(tmp_path / "root")
    diary.job(HOSTILE, AT, *DONE)
    answer = Client(diary.root.path).get("/api/v1/jobs")
    assert "\x1b" not in answer.text
    assert answer.json()["jobs"][0]["name"] == HOSTILE
