"""Promises of the page of a failure, and of what a job's page says of it."""

from datetime import UTC, datetime

import pytest

from daemon.core.states import Job, State
from daemon.core.store import Store
from handlers.rank_log.advice import advice_text
from handlers.records.job_dir import Step
from handlers.records.step_exit import Diagnosis, Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.face.web.views.job_site import TRAINING, JobSite

NOW = datetime(2026, 11, 28, 1, 14, 7, tzinfo=UTC)
LINE = "RuntimeError: Memory not enough"
CAUSE, REMEDY = "no memory is left", "a smaller batch; then `glmd retry N`"
REASON = f"rank 3 on device 7 exited 1 first (09:14:07): {LINE}; {advice_text(CAUSE, REMEDY)}"
PAGES = ("/jobs/1", "/jobs/1/failure")


@pytest.fixture
def job(jobs: JobSite) -> Job:
    """Return a job that trains; its first attempt has failed."""
    job = jobs.add("glm", *TRAINING, devices=(4, 5, 6, 7))
    first = ProcessExit(role=Role.RANK, rank=3, device=7, pid=9, exit_code=1, signal=None, ended=NOW, line=LINE)
    known = Diagnosis(error="device memory", rank=3, cause=CAUSE, remedy=REMEDY, may_pass=None)
    record = StepExit(
        step=Step.TRAIN, outcome=Outcome.FAILED, reason=REASON, code="rank.device-memory", first=first,
        diagnosis=known, processes=(first,), started=NOW, ended=NOW,
    )  # fmt: skip
    directory = jobs.directory(job).step(1, Step.TRAIN)
    directory.path.mkdir(parents=True)
    record.publish(directory.exit)
    return job


def move(jobs: JobSite, job: Job, state: State, reason: str = REASON, **more: int) -> None:
    """Let a job go on."""
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), state, reason, "rank.device-memory", **more)


@pytest.mark.parametrize("path", PAGES)
def test_all_of_it_is_said_once(jobs: JobSite, job: Job, path: str) -> None:
    """Who was first, its line, cause and remedy, the command; no sentence of glmd's says them again."""
    move(jobs, job, State.FAILED, f"{REASON}; not tried again: glmd has done so 3 times (resume.attempts)")
    text = jobs.get(path).text.partition("<main")[2]
    told_once = ("rank 3 on device 7 failed first", LINE, CAUSE, "glmd has done so 3 times", 'data-copy="glmd retry 1"')
    for words in told_once:
        assert text.count(words) == 1, words
    assert "a smaller batch; then `glmd retry 1`" in text
    assert "exited 1 first" not in text
    assert "glmd explain" not in text


def test_what_cannot_be_ended_is_told_beside_the_failure(jobs: JobSite, job: Job) -> None:
    """It was another rank that failed first; the one that is left holds its device."""
    move(jobs, job, State.FAILED, f"needs operator: rank 2 on device 6 (pid 4711); {REASON}")
    jobs.sql("INSERT INTO device_locks VALUES (6, 1)")
    for path in PAGES:
        text = jobs.get(path).text
        assert "needs operator: rank 2 on device 6 (pid 4711)" in text
        assert "rank 3 on device 7 failed first" in text
    assert 'data-copy="glmd status 1"' in jobs.get("/jobs/1").text


def test_what_glmd_went_on_after_can_be_looked_at(jobs: JobSite, job: Job) -> None:
    """A rank was killed, and glmd began anew: the job has not failed, its first attempt has."""
    assert jobs.get("/jobs/1/failure").status_code == 404
    move(jobs, job, State.TRAINING, f"started again after: {REASON}", attempt=2)
    assert "Why attempt 1 ended" in jobs.get("/jobs/1").text
    for path in ("/jobs/1/failure", "/jobs/1/failure?attempt=1"):
        text = jobs.get(path).text
        assert "rank 3 on device 7 failed first" in text
        assert "glmd started attempt 2 by itself" in text
        assert "data-copy=" not in text
        assert "started again after" not in text
        assert "/jobs/1/log?rank=3&amp;attempt=1#end" in text
    for attempt in (0, 2, 3):
        assert jobs.get(f"/jobs/1/failure?attempt={attempt}").status_code == 404


def test_of_a_retry_the_failure_before_is_told(jobs: JobSite, job: Job) -> None:
    """Not that somebody asked for it."""
    move(jobs, job, State.FAILED)
    move(jobs, job, State.QUEUED, "asked for by ann", attempt=2)
    text = jobs.get("/jobs/1/failure").text
    assert CAUSE in text
    assert "asked for by ann" not in text


@pytest.mark.parametrize("path", PAGES)
def test_without_a_record_the_code_is_explained_beside_the_reason(jobs: JobSite, path: str) -> None:
    """It failed before a step began: what `glmd explain` says of the code is there, in the language of the page."""
    job = jobs.add("glm", State.PREPARING)
    with Store.open(jobs.root.store) as store:
        store.move(store.job(job.id), State.FAILED, "no room", "host.disk-full")
    text = jobs.get(path).text
    assert "no room" in text
    assert "A disk or quota is full" in text
    assert "磁盘或配额已满" in jobs.get(f"{path}?lang=zh").text
    assert 'data-copy="glmd retry 1"' in text


def test_rows_say_what_happened_and_leave_the_advice_to_the_page(jobs: JobSite, job: Job) -> None:
    """In a line: what its code means, who was first, and what it said."""
    move(jobs, job, State.FAILED)
    for path in ("/", "/jobs"):
        text = jobs.get(path).text
        assert f"device memory exhausted, rank 3 on device 7 exited 1 first (09:14:07): {LINE}<" in text
        assert CAUSE not in text
