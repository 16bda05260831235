"""Promises of the page of a job's ranks."""

import json
import re
from datetime import UTC, datetime

import pytest

from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.face.web.asking import Asked
from daemon.face.web.plan import PagePlan
from daemon.face.web.site import Site
from daemon.face.web.views import ranks
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from handlers.records.job_dir import Step
from handlers.records.step_exit import Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.commands.trained import log_lines
from tests.unit.daemon.face.placed import runs
from tests.unit.daemon.face.web.views.job_site import ELSEWHERE, HOSTILE, TRAINING, JobSite


@pytest.fixture
def job(jobs: JobSite) -> Job:
    """Return a job of three ranks, of which the second lags."""
    job = jobs.add("glm", *TRAINING, devices=(4, 5, 6))
    directory = jobs.directory(job)
    for rank, done in enumerate((12, 9, 12)):
        jobs.write(directory.rank_log(rank), log_lines(range(1, done + 1)))
    started = [
        {"job": 1, "attempt": attempt, "rank": rank, "pid": 1000 * attempt + rank, "event": "process_started"}
        for attempt, rank in ((1, 0), (1, 1), (1, 2), (2, 0))
    ]
    jobs.write(directory.events, "".join(json.dumps(event) + "\n" for event in started) + '{"event": "process_started"')
    return job


def rows_of(page: str) -> dict[str, dict[str, str]]:
    """Return the cells of each row, by rank."""
    body = page.partition("<tbody")[2].partition("</tbody>")[0]
    rows = re.findall(r'<tr data-key="(\d+)" data-state="(\w*)">(.*?)</tr>', body, re.DOTALL)
    return {
        key: {"row": state} | dict(re.findall(r'data-cell="(\w+)"[^>]*>([^<]*)<', content))
        for key, state, content in rows
    }


@pytest.mark.usefixtures("job")
def test_each_rank_has_a_row_and_who_lags_is_seen(jobs: JobSite) -> None:
    """With its device, pid of this attempt, phase, step, time a step, and how far it is behind."""
    rows = rows_of(jobs.get("/jobs/1/ranks").text)
    assert list(rows) == ["0", "1", "2"]
    lagging = rows["1"]
    told = {name: lagging[name] for name in ("row", "device", "pid", "phase", "step", "speed", "behind", "state")}
    assert told == {
        "row": "lags", "device": "5", "pid": "1001", "phase": "steps", "step": "9", "speed": "0.5", "behind": "3",
        "state": "lags",
    }  # fmt: skip
    assert (rows["0"]["row"], rows["0"]["behind"], rows["0"]["pid"]) == ("runs", "0", "1000")
    assert "samples/s" in lagging["line"]


def test_the_rows_are_told_while_they_change(jobs: JobSite, job: Job) -> None:
    """The same cells by the stream as on the page."""
    page = jobs.get("/jobs/1/ranks").text
    assert 'data-live="/events?of=ranks%3A1"' in page
    asked = Asked(Site.of(PagePlan.of(Settings(root=jobs.root.path))), read_words(Language.EN), {"job": "1"}, {})
    told = ranks.live(asked)
    assert [row.cells["step"] for row in told.lists["ranks"]] == ["12", "9", "12"]
    jobs.write(jobs.directory(job).rank_log(1), log_lines(range(1, 13)))
    assert ranks.live(asked).lists["ranks"][1].state == "runs"


def test_a_last_line_is_shown_without_what_all_lines_begin_with(jobs: JobSite, job: Job) -> None:
    """When, where and how loud it was: so that eight ranks are to be seen at once."""
    said = "2026-11-28 14:38:36,471 - mindformers[mindformers/core/callback/callback.py:747] - INFO -   0.8% |   | done"
    jobs.write(jobs.directory(job).rank_log(2), f"{said}\n")
    assert rows_of(jobs.get("/jobs/1/ranks").text)["2"]["line"] == "0.8% | | done"


def test_of_a_training_that_is_over_each_end_is_shown(jobs: JobSite, job: Job) -> None:
    """From its record: exit code or signal, and the pid that it had; what glmd ended is told from what failed."""
    now = datetime.now(UTC)
    ended = [
        ProcessExit(
            role=Role.RANK, rank=rank, device=4 + rank, pid=70 + rank, exit_code=code, signal=signal, ended=now, line=""
        )
        for rank, code, signal in ((0, 0, None), (1, 1, None), (2, None, "SIGTERM"))
    ]
    StepExit(
        step=Step.TRAIN, outcome=Outcome.FAILED, reason="", started=now, ended=now, processes=tuple(ended)
    ).publish(jobs.write(jobs.directory(job).step(1, Step.TRAIN).exit, ""))
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), State.FAILED)
    rows = rows_of(jobs.get("/jobs/1/ranks").text)
    assert [(row["row"], row["pid"], row["state"]) for row in rows.values()] == [
        ("done", "70", "exit code 0"),
        ("failed", "71", "exit code 1"),
        ("ended", "72", "SIGTERM"),
    ]


@pytest.mark.parametrize("ways", ((), TRAINING, (*TRAINING, State.FAILED)))
def test_without_a_log_the_page_says_so(jobs: JobSite, ways: tuple[State, ...]) -> None:
    """Also without a directory, and for a job that has no ranks."""
    job = jobs.add("glm", *ways)
    jobs.directory(job).path.rmdir()
    assert jobs.get("/jobs/1/ranks").status_code == 200
    jobs.add("tree", devices=())
    assert "no rank has begun yet" in jobs.get("/jobs/2/ranks").text
    assert jobs.get("/jobs/3/ranks").status_code == 404


def test_a_log_that_leads_elsewhere_is_not_read(jobs: JobSite, job: Job) -> None:
    """Its last line would be shown."""
    path = jobs.directory(job).rank_log(0)
    path.unlink()
    path.symlink_to(jobs.write(jobs.directory(job).plan, ELSEWHERE))
    events = jobs.directory(job).events
    events.unlink()
    events.mkdir()
    page = jobs.get("/jobs/1/ranks").text
    assert ELSEWHERE not in page
    assert rows_of(page)["0"]["step"] == rows_of(page)["1"]["pid"] == ""


def test_hostile_lines_run_nothing(jobs: JobSite, job: Job) -> None:
    """They are text, and short."""
    jobs.write(jobs.directory(job).rank_log(0), f"{HOSTILE}{'x' * 10_000}\n")
    page = jobs.get("/jobs/1/ranks").text
    assert "<img" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x" in page
    assert len(page) < 20_000


def test_ranks_on_nodes_name_their_node(jobs: JobSite) -> None:
    """With the device and the pid that each has there; other jobs' pages have no such column."""
    job = jobs.add("far", State.PREPARING, State.SUBMITTED, State.TRAINING, devices=(), nodes=2, ranks=4)
    runs(job, jobs.root.path)
    page = jobs.get("/jobs/1/ranks").text
    rows = rows_of(page)
    told = [(row["node"], row["device"], row["pid"]) for row in rows.values()]
    assert told == [("n2", "4", "200"), ("n2", "5", "201"), ("n1", "4", "102"), ("n1", "5", "103")]
    assert '<th scope="col">node</th>' in page
    jobs.add("here", *TRAINING)
    assert '<th scope="col">node</th>' not in jobs.get("/jobs/2/ranks").text
    found = jobs.get("/api/v1/jobs/1/ranks").json()["ranks"]
    assert [(each["node"], each["device"], each["pid"]) for each in found][2] == ("n1", 4, 102)


def test_devices_that_slurm_has_chosen_are_not_told(jobs: JobSite) -> None:
    """This host does not know them."""
    job = jobs.add("far", State.PREPARING, State.SUBMITTED, State.TRAINING, devices=(), nodes=2, ranks=2)
    jobs.write(jobs.directory(job).rank_log(0), log_lines(range(1, 4)))
    rows = rows_of(jobs.get(f"/jobs/{job.id}/ranks").text)
    assert [row["device"] for row in rows.values()] == ["", ""]
