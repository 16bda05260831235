"""Promises of daemon.face.web.views.api_of_job: programs get what the pages of a job show, in the commands' keys."""

import json
from datetime import UTC, datetime

from daemon.core.promotions import Promotion
from daemon.core.states import State
from daemon.core.store import Store
from handlers.records.job_dir import Step
from handlers.records.step_exit import Diagnosis, Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.face.web.views.job_site import ELSEWHERE, TRAINING, JobSite


def line(step: int, loss: str) -> str:
    """Return a line of a step, as MindFormers writes it."""
    return (
        f"2026-11-24 09:14:07,1 - mindformers - INFO - {{ Epoch:[  1/ 31], step:[    {step}/"
        f"    4], loss:[{loss}/{loss}], time:114.5 ms, lr:0.0, overflow cond: False, loss_scale: 65536.0 }}\n"
    )


def test_ranks_at_work(jobs: JobSite) -> None:
    """How far each is, who lags, and null where JSON has no number."""
    job = jobs.add("glm", *TRAINING)
    jobs.write(jobs.directory(job).rank_log(0), line(4, "nan"))
    jobs.write(jobs.directory(job).rank_log(1), line(1, "2.500"))
    told = jobs.get("/api/v1/jobs/1/ranks").json()
    assert (told["job"], told["state"], told["attempt"]) == (1, "training", 1)
    first, second = told["ranks"]
    assert (first["rank"], first["device"], first["step"], first["lags"], first["behind"]) == (0, 0, 4, False, 0)
    assert first["progress"]["loss"] is None
    assert (second["step"], second["behind"], second["lags"]) == (1, 3, True)
    assert second["line"].startswith("2026-11-24 09:14:07")
    assert second["quiet_seconds"] >= 0
    assert (second["exit_code"], second["phase"]) == (None, "step")


def test_ranks_and_failure_of_what_is_over(jobs: JobSite) -> None:
    """How each ended, why, and what to do."""
    job = jobs.add("glm", *TRAINING)
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), State.FAILED, "rank 1 failed", "rank.EI0006")
    jobs.write(jobs.directory(job).rank_log(1), "RuntimeError: EI0006\n")
    now = datetime.now(UTC)
    first = ProcessExit(
        role=Role.RANK,
        rank=1,
        device=1,
        pid=7,
        exit_code=None,
        signal="SIGKILL",
        ended=now,
        line="RuntimeError: EI0006",
    )
    exit_ = jobs.directory(job).step(1, Step.TRAIN).exit
    exit_.parent.mkdir(parents=True)
    StepExit(
        step=Step.TRAIN,
        outcome=Outcome.FAILED,
        reason="x",
        first=first,
        diagnosis=Diagnosis(error="EI0006", rank=1, cause="a socket", remedy="look", may_pass=True),
        processes=(first,),
        started=now,
        ended=now,
    ).publish(exit_)
    rank = jobs.get("/api/v1/jobs/1/ranks").json()["ranks"][1]
    assert (rank["signal"], rank["exit_code"], rank["pid"], rank["quiet_seconds"]) == ("SIGKILL", None, 7, None)
    told = jobs.get("/api/v1/jobs/1/failure").json()
    assert told["job"]["id"] == 1
    assert told["diagnosis"]["rank"] == 1
    assert told["commands"] == ["glmd retry 1"]
    assert (told["cause"], told["remedy"]) == ("a socket", "look")


def test_what_has_not_failed_has_no_failure(jobs: JobSite) -> None:
    """As on the page."""
    jobs.add("glm", *TRAINING)
    assert jobs.get("/api/v1/jobs/1/failure").status_code == 404


def test_config_and_what_differs(jobs: JobSite) -> None:
    """To the job before of that name, or to the one that is asked for, with secrets left out of both."""
    for number, name in enumerate(("glm", "glm", "other"), 1):
        job = jobs.add(name)
        jobs.write(jobs.directory(job).config, f"lr: {number}\nhf_token: s3cret{number}\n")
    answer = jobs.get("/api/v1/jobs/2/config")
    told = answer.json()
    assert (told["job"], told["with"]) == (2, 1)
    assert told["config"] == [{"key": "lr", "values": ["1", "2"]}, {"key": "hf_token", "values": ["•••", "•••"]}]
    assert told["files"][0]["text"] == "lr: 2\nhf_token: •••\n"
    assert jobs.get("/api/v1/jobs/2/config?with=3").json()["config"][0] == {"key": "lr", "values": ["3", "2"]}
    assert jobs.get("/api/v1/jobs/3/config").json()["with"] is None
    compared = jobs.get("/api/v1/compare?jobs=1,2").json()
    assert compared["config"] == told["config"]
    assert [each["id"] for each in compared["jobs"]] == [1, 2]
    assert "s3cret" not in answer.text


def test_comparing_what_is_gone_is_said(jobs: JobSite) -> None:
    """The curves are told all the same."""
    jobs.add("a")
    jobs.add("b")
    told = jobs.get("/api/v1/compare?jobs=1,2").json()
    assert (told["config"], [each["training"] for each in told["jobs"]]) == ([], [None, None])
    assert told["told"]
    assert jobs.get("/api/v1/compare?jobs=1").status_code == 404


def test_output_of_nothing_is_said(jobs: JobSite) -> None:
    """And where `latest` was led all the same, by the keys of `glmd promotions --json`."""
    job = jobs.add("glm")
    with Store.open(jobs.root.store) as store:
        store.promote(Promotion.of(job, by="eve", reason="password: s3cret"))
    told = jobs.get("/api/v1/jobs/1/output").json()
    assert (told["tag"], told["files"], told["parameters"], told["parameters_found"]) == (None, [], [], 0)
    (promotion,) = told["promotions"]
    assert (promotion["job"], promotion["by"], promotion["is_latest"]) == (1, "eve", True)
    assert promotion["reason"] == "password: •••"


def test_events_are_as_they_are_kept(jobs: JobSite) -> None:
    """A piece at a time; what a crash has cut off is its text, and an environment tells no secret."""
    job = jobs.add("glm")
    event = {
        "job": 1,
        "event": "begun",
        "timestamp": "2026-11-24T09:14:07Z",
        "environment": {"HF_TOKEN": "s3cret", "A": "b"},
    }
    jobs.write(jobs.directory(job).events, f'{json.dumps(event)}\n{{"job": 1, "ev')
    told = jobs.get("/api/v1/jobs/1/events").json()
    assert [each.get("event") for each in told["events"]] == ["begun", None]
    assert told["events"][0]["environment"] == {"HF_TOKEN": "•••", "A": "b"}
    assert told["events"][1] == {"text": '{"job": 1, "ev'}
    assert told["next"] < told["size"]
    assert jobs.get(f"/api/v1/jobs/1/events?at={told['next']}").json()["start"] == told["next"]


def test_a_link_in_place_of_events_is_not_followed(jobs: JobSite) -> None:
    """Nor is a FIFO waited for."""
    job = jobs.add("glm")
    other = jobs.write(jobs.root.path / "other", ELSEWHERE)
    jobs.directory(job).events.symlink_to(other)
    answer = jobs.get("/api/v1/jobs/1/events")
    assert answer.status_code == 404
    assert ELSEWHERE not in answer.text
