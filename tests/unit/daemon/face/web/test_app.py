"""Every address, whatever there is to be shown: an answer in time, and of a page that is whole."""

import asyncio
import os
import threading
import time
from html.parser import HTMLParser

import pytest

from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.face.web import app
from daemon.face.web.asking import Asked, Page
from daemon.face.web.reading_apart import WITHIN
from handlers.records.job_dir import Step
from handlers.records.step_exit import Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING, Diary, utc
from tests.unit.daemon.face.web.visitor import HOSTILE, Visitor, addresses, multiply, record

BEGAN = utc("2026-11-28 02:00")


class Reader(HTMLParser):
    """Collects of a page what runs, leads or loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.elements.append((tag, dict(attrs)))

    def values(self, *names: str) -> list[str]:
        """Return the values of attributes of these names."""
        return [value for _, found in self.elements for name, value in found.items() if name in names and value]


def job_of(diary: Diary, number: int) -> Job:
    """Return a job as the store has it."""
    with Store.open(diary.root.store) as store:
        return store.job(number)


def ended(diary: Diary, number: int, line: str = "RuntimeError: EI0006") -> None:
    """Let a job's training have ended as a rank's failure has it."""
    directory = job_of(diary, number).directory(diary.root.path).step(1, Step.TRAIN)
    directory.path.mkdir(parents=True, exist_ok=True)
    first = ProcessExit(role=Role.RANK, rank=1, device=3, pid=7, exit_code=1, signal=None, ended=BEGAN, line=line)
    StepExit(
        step=Step.TRAIN,
        outcome=Outcome.FAILED,
        reason=line,
        started=BEGAN,
        ended=BEGAN,
        first=first,
        processes=(first,),
    ).publish(directory.exit)


@pytest.mark.parametrize("what", ("no store", "an empty store", "jobs without directories"))
def test_every_address_answers(visitor: Visitor, what: str) -> None:
    """With what it has, with 404, or with 503 where a file is not there that should be; never with a defect."""
    if what != "no store":
        diary = Diary(visitor.root)
        if what == "jobs without directories":
            for ways in (DONE, FAILED, (), (State.REJECTED,), TRAINING):
                diary.job("run", BEGAN, *ways)
    for job in range(6):
        for answer in visitor.all(addresses(job)):
            assert answer.status_code in {200, 404}, (answer.url, answer.text)


def test_every_address_answers_at_ten_thousand_jobs(visitor: Visitor, diary: Diary) -> None:
    """Within the limit, and no page grows with them."""
    small = {}
    job = diary.job("run", BEGAN, *FAILED)
    diary.job("waits", BEGAN)
    for answer in visitor.all(addresses(job.id)):
        small[answer.url.path] = len(answer.content)
    multiply(diary, job, 10_000)
    for answer in visitor.all(addresses(job.id)):
        assert answer.status_code in {200, 404}
        assert len(answer.content) < small[answer.url.path] + 500_000, answer.url
    assert visitor.get("/jobs/9000").status_code == 200


@pytest.mark.parametrize("kind", ("directory", "fifo", "garbage"))
def test_records_that_are_none(visitor: Visitor, diary: Diary, kind: str) -> None:
    """A directory, a FIFO or garbage where a record should be is told of, and nobody waits for a FIFO's writer."""
    for ways in (FAILED, DONE, TRAINING):
        job = diary.job("run", BEGAN, *ways)
        directory = job.directory(diary.root.path)
        for path in (
            *(directory.step(1, Step.TRAIN).path / name for name in ("exit.json", "steps.jsonl")),
            directory.rank_log(0),
            directory.manifest,
            directory.events,
            directory.submitted,
            directory.config,
            directory.verdict,
            diary.root.daemon,
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                continue
            if kind == "directory":
                path.mkdir()
            elif kind == "fifo":
                os.mkfifo(path)
            else:
                path.write_bytes(b'{"\xff\x00\n[[[[' + b"\xf0" * 1000)
    began = time.monotonic()
    for number in (1, 2, 3):
        for answer in visitor.all(addresses(number)):
            assert answer.status_code in {200, 404, 503}, (answer.url, answer.text)
    assert time.monotonic() - began < WITHIN * 3


def test_hostile_words_run_nothing(visitor: Visitor, diary: Diary) -> None:
    """A job's name, its reason and a rank's last line are shown, and are no markup."""
    for ways in (FAILED, DONE, (), TRAINING):
        diary.job(HOSTILE, BEGAN, *ways, reason=HOSTILE)
    ended(diary, 1, HOSTILE)
    record(visitor.root, job_of(diary, 1), range(1, 20))
    for number in range(1, 5):
        for answer in visitor.all(addresses(number)):
            assert answer.status_code in {200, 404}, (answer.url, answer.text)
            kind = answer.headers["content-type"]
            if "html" not in kind and "svg" not in kind:
                assert "text/html" not in kind
                continue
            read = Reader(answer.text)
            assert "img" not in {tag for tag, found in read.elements if "onerror" in found}
            assert not [name for _, found in read.elements for name in found if name.startswith("on")]
            assert not [value for value in read.values("href", "src") if value.lower().startswith("javascript:")]
    assert "{{7*7}}" in visitor.get("/jobs/1/failure").text
    assert "&lt;img src=x onerror=alert(1)&gt;" in visitor.get("/jobs/1/failure").text


@pytest.mark.parametrize("language", ("en", "zh"))
def test_no_page_asks_another_host(visitor: Visitor, diary: Diary, language: str) -> None:
    """What a page loads, and where it leads, is on this host; nothing in it runs but scripts of ours."""
    diary.job("run", BEGAN, *FAILED)
    diary.job("run", BEGAN, *TRAINING)
    pages = [address for number in (1, 2) for address in addresses(number)]
    hostile = ["//evil.example/x", "/jobs/99", "/?path=1&self=2&lang=fr&query=3"]
    for answer in visitor.all([f"{path}{'&' if '?' in path else '?'}lang={language}" for path in (*pages, *hostile)]):
        assert answer.status_code in {200, 404}, answer.text
        if "html" not in answer.headers["content-type"]:
            continue
        read = Reader(answer.text)
        for value in read.values("href", "src", "action", "data-live", "data-chart"):
            assert value.startswith(("/", "#", "?")), (answer.url, value)
            assert not value.startswith("//"), (answer.url, value)
        scripts = [found for tag, found in read.elements if tag == "script"]
        assert all(found["src"] and found["src"].startswith("/static/") for found in scripts)
        assert not read.values("style")
        assert "<style" not in answer.text


def test_what_a_stranger_asks_for_is_not_there(visitor: Visitor, diary: Diary) -> None:
    """No path of an address is one of a file's; and what is asked for is only as long as it may be."""
    job = diary.job("run", BEGAN, *DONE)
    directory = job.directory(diary.root.path)
    directory.path.mkdir(exist_ok=True)
    for path in (directory.plan, directory.path / "secret", diary.root.path / "secret"):
        path.write_text("a secret")
    tricks = (
        "/jobs/1/plan.json", "/jobs/1/../secret", "/jobs/1/%2e%2e/secret", "/jobs/1/..%2fsecret", "/jobs/1%00/log",
        "/static/../secret", "/static/0/%2e%2e%2fsecret", "/static//etc/passwd",
        "/jobs/1-other", "/jobs/-1", "/jobs/\u0661",
        "/jobs/1e3", "/jobs/99999999999999999999", "/jobs/ 1", "/jobs/1\n", "/JOBS/1", "/jobs/", "/jobs/1/",
        "/jobs/1/attempts/1/train/plan.json", "/jobs/1/environment.json", "/events", "/events?of=job", "/events?of=x",
        "/events?of=now:1", "/glmd.db", "/daemon.json",
    )  # fmt: skip
    for answer in visitor.all([path.replace("\n", "%0a") for path in tricks]):
        assert answer.status_code == 404, answer.url
        assert "a secret" not in answer.text
    assert visitor.get("/" + "x" * 5000).status_code == 414
    assert visitor.get("/?q=" + "x" * 5000).status_code == 414


@pytest.mark.parametrize("name", ("0001-run", "1", "0001", "1-run"))
def test_a_job_is_found_by_its_number_and_its_label(visitor: Visitor, diary: Diary, name: str) -> None:
    """As `glmd status` takes it."""
    diary.job("run", BEGAN, *DONE)
    assert visitor.get(f"/jobs/{name}").status_code == 200


@pytest.mark.parametrize("name", ('1-"x', "1-\nSet-Cookie: a=b", "1-中文"))
def test_names_are_in_no_header(visitor: Visitor, diary: Diary, name: str) -> None:
    """The name of the file that a browser stores steps as is made of the number alone."""
    job = diary.job(name.partition("-")[2], BEGAN, *DONE)
    record(visitor.root, job, range(1, 4))
    answer = visitor.get(f"/jobs/{name}/steps.csv".replace("\n", "%0a"))
    assert answer.headers["content-disposition"] == 'attachment; filename="job-1-steps.csv"'
    assert answer.text.splitlines()[0].startswith("step,time,loss")
    assert len(answer.text.splitlines()) == 4


def test_every_step_is_in_the_csv(visitor: Visitor, diary: Diary) -> None:
    """Once and in order, also of a training of which not all are written at once."""
    job = diary.job("run", BEGAN, *DONE)
    record(visitor.root, job, range(1, 1202))
    answer = visitor.get("/jobs/1/steps.csv")
    assert [line.partition(",")[0] for line in answer.text.splitlines()[1:]] == [str(step) for step in range(1, 1202)]


def test_a_read_that_hangs_holds_up_itself_alone(
    visitor: Visitor, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of within the limit, others are answered meanwhile, it is not tried again, and it comes back."""
    for _ in range(2):
        diary.job("run", BEGAN, *DONE)
    release, tries = threading.Event(), []
    usual = app.PAGES["/jobs/{job}"]

    def hanging(asked: Asked) -> Page:
        if asked.place["job"].lstrip("0")[0] == "1":
            tries.append(asked.place["job"])
            release.wait(60)
        return usual(asked)

    monkeypatch.setitem(app.PAGES, "/jobs/{job}", hanging)
    visitor = Visitor(visitor.root)

    async def visit() -> None:
        async with visitor.client() as client:
            began = time.monotonic()
            first, other, now = await asyncio.gather(*(client.get(path) for path in ("/jobs/1", "/jobs/2", "/")))
            assert first.status_code == 503
            assert (other.status_code, now.status_code) == (200, 200)
            assert WITHIN <= time.monotonic() - began < WITHIN + 0.9
            again = time.monotonic()
            for path in ("/jobs/1", "/jobs/0001", "/jobs/0001-run/failure", "/api/v1/jobs/01/steps"):
                assert (await client.get(path)).status_code == 503
            assert time.monotonic() - again < 0.9
            assert tries == ["1"]
            release.set()
            while (await client.get("/jobs/1")).status_code != 200:
                await asyncio.sleep(0.01)
                assert time.monotonic() - again < 5

    asyncio.run(visit())


def test_dead_storage_does_not_hold_up_the_process(
    visitor: Visitor, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing of the root can be read, not even daemon.json, pages say so, and what needs no storage goes on."""
    diary.job("run", BEGAN, *TRAINING)
    release = threading.Event()

    def dead(*_: object) -> None:
        assert threading.current_thread() is not threading.main_thread(), "the whole process would wait"
        release.wait(60)

    for name in ("daemon.face.web.finding.open_store", "daemon.face.web.app.daemon_word"):
        monkeypatch.setattr(name, dead)
    for view in ("job", "failure", "steps", "pictures"):
        monkeypatch.setattr(f"daemon.face.web.views.{view}.open_store", dead)
    monkeypatch.setattr("daemon.face.web.views.now.daemon_word", dead)

    async def visit() -> None:
        async with visitor.client() as client:
            began = time.monotonic()
            paths = ("/", "/jobs/1", "/nothing", "/api/v1/jobs/1/steps", "/healthz")
            answers = await asyncio.gather(*(client.get(path) for path in paths))
            assert [answer.status_code for answer in answers] == [503, 503, 404, 503, 200]
            assert time.monotonic() - began < WITHIN + 0.9
            release.set()

    asyncio.run(visit())


def test_what_nobody_foresaw_is_answered(visitor: Visitor, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a page that says so, with the headers of all others, and with a record in the journal."""
    diary.job("run", BEGAN, *TRAINING)

    def broken(asked: Asked) -> Page:
        raise ZeroDivisionError(asked.address)

    monkeypatch.setitem(app.PAGES, "/help", broken)
    answer = Visitor(visitor.root).get("/help")
    assert answer.status_code == 500
    assert "text/html" in answer.headers["content-type"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_steps_as_columns(visitor: Visitor, diary: Diary) -> None:
    """By name, behind a step, and not more than were asked for."""
    job = diary.job("run", BEGAN, *TRAINING)
    record(visitor.root, job, range(1, 101))
    told = visitor.get("/api/v1/jobs/1/steps").json()
    assert told["step"] == list(range(1, 101))
    assert told["loss"][0] == 9.0
    assert told["rows"] == 100
    assert set(told) == {
        "step",
        "time",
        "loss",
        "lr",
        "ms",
        "overflow",
        "scale",
        "norm",
        "samples",
        "vain",
        "attempts",
        "rows",
        "whole",
    }
    assert visitor.get("/api/v1/jobs/1/steps?after=98").json()["step"] == [99, 100]
    assert len(visitor.get("/api/v1/jobs/1/steps?points=10").json()["step"]) <= 12
    for wrong in ("points=1", "points=100001", "points=x", "after=-1", "points=٣", "after=" + "9" * 30):
        assert visitor.get(f"/api/v1/jobs/1/steps?{wrong}").status_code == 404


def test_the_page_of_a_failure_says_why(visitor: Visitor, diary: Diary) -> None:
    """Which rank, its line, the cause, what to do; and a job that has not failed has none."""
    diary.job("run", BEGAN, *FAILED, reason="rank 1 on device 3: EI0006", code="rank.EI0006")
    ended(diary, 1)
    diary.job("run", BEGAN, *DONE)
    text = visitor.get("/jobs/1/failure").text
    assert "rank 1 on device 3 failed first" in text
    assert "RuntimeError: EI0006" in text
    assert "glmd retry 1" in text
    assert visitor.get("/jobs/2/failure").status_code == 404


def test_a_page_says_that_the_daemon_is_away(visitor: Visitor, diary: Diary) -> None:
    """Nothing moves on without it: also before there was ever one, and on the pages of what is not there."""
    for paths in (["/", "/nothing", "/jobs/7"], ["/", "/help", "/jobs/1", "/nothing"]):
        for answer in visitor.all(paths):
            assert 'id="bar">▲ glmd does not run here' in answer.text, answer.url
        diary.job("run", BEGAN, *DONE)


def test_whoever_asks_for_less_gets_less(visitor: Visitor, diary: Diary) -> None:
    """HEAD has the headers of GET and no content; what is long comes packed to whom that is welcome."""
    diary.job("run", BEGAN, *TRAINING)
    for path in (*addresses(1), "/healthz", "/favicon.ico", "/events?of=now"):
        answer = visitor.get(path, "HEAD")
        assert answer.status_code in {200, 404}, path
        assert answer.content == b"", path
    assert visitor.get("/", accept_encoding="gzip").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in visitor.get("/", accept_encoding="identity").headers


@pytest.mark.parametrize("what", ("a directory", "a link to itself", "endless"))
def test_one_jobs_record_does_not_take_the_others_away(visitor: Visitor, diary: Diary, what: str) -> None:
    """Whoever trains can write there: Now shows what runs all the same, and the job's page says what is wrong."""
    job = diary.job("run", BEGAN, *TRAINING)
    path = job.directory(diary.root.path).step(1, Step.TRAIN).path / "steps.jsonl"
    path.parent.mkdir(parents=True)
    if what == "a directory":
        path.mkdir()
    elif what == "endless":
        path.touch()
        os.truncate(path, 50 << 30)
    else:
        path.symlink_to(path)
    begin = time.monotonic()
    now, page = visitor.all(["/", f"/jobs/{job.id}"])
    assert time.monotonic() - begin < WITHIN
    assert (now.status_code, page.status_code) == (200, 503)
    assert f'href="/jobs/{job.id}"' in now.text
    assert "steps.jsonl" in page.text


@pytest.mark.parametrize("at", ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2026-11-28T02:00:00"))
def test_times_that_no_clock_shows_are_no_defect(visitor: Visitor, diary: Diary, at: str) -> None:
    """Of a store that somebody has written in: the row says nothing, and other pages go on."""
    job = diary.job("run", BEGAN, *FAILED)
    diary.sql("UPDATE transitions SET at = ?", at)
    for columns in ("submitted = submitted", "submitted = ?1", "changed = ?1"):
        diary.sql(f"UPDATE jobs SET {columns} WHERE ?1 <> ''", at)  # noqa: S608 - columns of a test
        for answer in visitor.all(addresses(job.id)):
            assert answer.status_code in {200, 404}, (answer.url, answer.text)
