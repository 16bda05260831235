"""Promises of the whole page: what looks like a secret is on no page, in no answer, and cannot be searched for."""

import html
import json
import os
import re
from collections.abc import Iterator

import pytest
from starlette.requests import Request

from daemon.core.daemon_record import DaemonRecord, PresentFault
from daemon.core.states import Job, State
from daemon.core.store import Store
from daemon.face.web import app
from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity
from handlers.records.step_exit import Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.face.diary import FAILED, TRAINING, Diary, utc
from tests.unit.daemon.face.web.visitor import Visitor, addresses

BEGAN = utc("2026-11-28 02:00")
SECRET = "hunter2" * 2
SAYINGS = (
    f"a.yaml:3:9: mapping values are not allowed here\n  3 | hf_token: {SECRET}: x\n    |     ^",
    f"model.api_key: '{SECRET}' is no number",
    f"cannot read https://somebody:{SECRET}@hub.example/model",
    f"the command was train.py --hf-token {SECRET} --epochs 3",
    f"the environment has HF_TOKEN={SECRET}",
    f"{{'auth': {{'password': '{SECRET}', 'user': 'x'}}, 'lr': 0.1}}",
    f"ours: {SECRET}",
)
"""Of each kind: an excerpt of a YAML, a message about a value, a URL, a command, an environment, a printed
configuration, and what the settings hide."""


class Told:
    """A root in which everything says the secret."""

    def __init__(self, visitor: Visitor, diary: Diary, saying: str) -> None:
        self.diary = diary
        self.root = visitor.root
        name = f"token={SECRET}"  # as a file may be called
        self.jobs = [
            diary.job(name, BEGAN, *FAILED, reason=saying),
            diary.job("two", BEGAN, State.REJECTED, reason=saying),
        ]
        diary.run("glm", BEGAN, *FAILED, reason=saying)
        self.jobs.append(diary.job("four", BEGAN, *TRAINING))
        for job in self.jobs:
            self._write(job, saying)
        self.visitor = Visitor(visitor.root, hide=["^ours$"], download=True)

    def _write(self, job: Job, saying: str) -> None:
        directory = job.directory(self.root)
        line = saying.replace("\n", " ")
        first = ProcessExit(role=Role.RANK, rank=0, device=0, pid=7, exit_code=1, signal=None, ended=BEGAN, line=line)
        train = directory.step(1, Step.TRAIN)
        log = directory.rank_log(0)
        for path in (train.path, log.parent):
            path.mkdir(parents=True, exist_ok=True)
        log.write_text(f"begins\n{saying}\nends\n" if job.id != 4 else f"{line}\n")
        if job.id != 4:
            told = {"step": Step.TRAIN, "outcome": Outcome.FAILED, "reason": line, "started": BEGAN, "ended": BEGAN}
            StepExit(**told, first=first, processes=(first,)).publish(train.exit)
        event = {"job": job.id, "event": "refused", "timestamp": "2026-11-28T02:00:00Z", "reason": saying}
        environment = {"environment": {"HF_TOKEN": SECRET}, "ours": SECRET, "url": f"https://x:{SECRET}@y"}
        directory.events.write_text(f"{json.dumps(event)}\n{json.dumps(event | environment)}\n")
        directory.config.write_text(
            f"overrides: ['hf_token={SECRET}', '--api-key {SECRET}']\nours: {SECRET}\nn: {job.id}\n"
            f"hf_token: {SECRET}{job.id}\nurl: 'https://x:{SECRET}@y/{job.id}'\n"
            f"command: 'x --password {SECRET} {job.id}'\n"
        )
        directory.submitted.write_bytes(directory.config.read_bytes())


@pytest.fixture(params=SAYINGS)
def told(request: pytest.FixtureRequest, visitor: Visitor, diary: Diary) -> Told:
    """Return a root for each saying."""
    return Told(visitor, diary, request.param)


def asked(told: Told) -> Iterator[str]:
    """Yield every address there is, of each job, and what of a log and of configurations is asked for otherwise."""
    for job in told.jobs:
        yield from addresses(job.id)
        yield f"/jobs/{job.id}/log?rank=0&at=0"
        yield f"/api/v1/jobs/{job.id}/log?rank=0"
        yield f"/jobs/{job.id}/log/raw?rank=0"
        yield f"/api/v1/jobs/{job.id}/log?of=events"
        yield f"/jobs/{job.id}/config?with={4 if job.id < 3 else 1}"
    yield from ("/compare?jobs=1,4", "/jobs?state=failed", "/night/2026-11-28", "/api/v1/night/2026-11-28")
    yield from ("/nights?month=2026-11", "/api/v1/nights?month=2026-11", "/no/such/page", "/jobs/x?token=1")


def test_no_answer_has_it(told: Told) -> None:
    """No page and no JSON, in English or Chinese, of reasons, lines, events, configurations and titles."""
    shown = 0
    for answer in told.visitor.all(asked(told)):
        assert SECRET not in answer.text, answer.url
        shown += "•••" in answer.text or "***" in answer.text
    assert shown > 15  # where it was, it is said that something is left out


def streamed(visitor: Visitor, topic: str) -> dict[str, object]:
    """Return what a stream begins with."""
    kind, _, which = topic.partition(":")
    request = Request({"type": "http", "path": "/events", "query_string": b"", "headers": [], "path_params": {}})
    asked = visitor.application.asked(request, {"job": which} if which else {})
    return app._masked(app.LIVE[kind], asked).as_json()


@pytest.mark.parametrize(("path", "topic"), (("/", "now"), ("/jobs/4", "job:4"), ("/jobs/4/ranks", "ranks:4")))
def test_a_page_and_its_stream_have_one_revision(told: Told, path: str, topic: str) -> None:
    """With a secret in it, too: else the page would be loaded again and again."""
    fault = PresentFault("x", "host.error", SAYINGS[2], BEGAN)
    record = DaemonRecord("1", ProcessIdentity.of(os.getpid()), BEGAN, BEGAN, (0,), faults=(fault,))
    told.diary.root.daemon.write_bytes(record.content())
    page = told.visitor.get(path).text
    shown = re.search(r'data-revision="([^"]*)"', page)
    assert shown is not None
    assert html.unescape(shown[1]) == streamed(told.visitor, topic)["revision"]
    assert SECRET not in page


def test_no_stream_tells_it(told: Told) -> None:
    """What changes is told by streams: their first words."""
    topics = ("now", "job:1", "job:4", "ranks:1", "ranks:4", "log:4:rank:1:0", "night", "devices")
    seen = [json.dumps(streamed(told.visitor, topic), ensure_ascii=False) for topic in topics]
    assert not [text for text in seen if SECRET in text]
    assert any("•••" in text for text in seen)


@pytest.mark.parametrize("part", (SECRET, SECRET[:4], f"oken: {SECRET[:3]}", SECRET[-5:]))
@pytest.mark.parametrize("how", ("", "&case=any", "&way=back"))
def test_it_cannot_be_guessed_by_searching(visitor: Visitor, diary: Diary, part: str, how: str) -> None:
    """Whether a search finds something tells what is there: so it looks at what is shown."""
    told = Told(visitor, diary, SAYINGS[0])
    page = told.visitor.get(f"/jobs/1/log?rank=0&q={part}{how}").text
    assert 'id="hit"' not in page
    assert "<mark>" not in page
    assert "<mark>" in told.visitor.get(f"/jobs/1/log?rank=0&q=hf_token{how}").text


def test_no_part_of_a_log_has_a_part_of_it(visitor: Visitor, diary: Diary) -> None:
    """By whatever byte a piece or a range begins: every other byte is where it was."""
    told = Told(visitor, diary, SAYINGS[5])
    path = told.jobs[0].directory(told.root).rank_log(0)
    line = b"x" * 9000 + f" password: {SECRET}\nnext {'y' * 20}\n".encode()
    path.write_bytes(line)
    whole = told.visitor.get("/jobs/1/log/raw?rank=0").content
    assert whole == line.replace(SECRET.encode(), b"*" * len(SECRET))
    place = line.index(SECRET.encode())
    for at in range(place - 12, place + len(SECRET) + 2):
        answer = told.visitor.get("/jobs/1/log/raw?rank=0", range=f"bytes={at}-{at + 6}")
        assert answer.content == whole[at : at + 7]
        assert SECRET[-4:] not in told.visitor.get(f"/api/v1/jobs/1/log?rank=0&at={at}").text


def test_what_an_error_quotes_is_not_told(visitor: Visitor, diary: Diary) -> None:
    """Also where a record cannot be read, and says what is in it."""
    told = Told(visitor, diary, SAYINGS[0])
    exit_ = told.jobs[0].directory(told.root).step(1, Step.TRAIN).exit
    exit_.write_text(json.dumps({"step": "train", "outcome": f"password: {SECRET}", "hf_token": SECRET}))
    for path in ("/jobs/1/failure", "/jobs/1", "/api/v1/jobs/1", "/jobs/1/ranks"):
        answer = told.visitor.get(path)
        assert SECRET not in answer.text, path
        assert answer.status_code == 503


def test_notices_and_needs_do_not_tell_it(visitor: Visitor, diary: Diary) -> None:
    """What Now and Night have above all."""
    told = Told(visitor, diary, SAYINGS[0])
    with Store.open(diary.root.store) as store:
        job = store.job(told.jobs[0].id)
    diary.sql(
        "INSERT INTO notices (at, kind, job, cycle, text) VALUES (?, 'nightly_failed', ?, '', ?)",
        BEGAN.isoformat(),
        job.id,
        SAYINGS[1],
    )
    for path in ("/", "/night", "/api/v1/overview", "/nights", "/api/v1/nights"):
        assert SECRET not in told.visitor.get(path).text, path
