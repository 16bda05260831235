"""Promises of every address to strangers: whatever they ask gets an answer in words, and none is a defect."""

import re

import pytest

from daemon.core.states import State
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING, Diary, utc
from tests.unit.daemon.face.web.visitor import HOSTILE, Visitor, addresses, record

BEGAN = utc("2026-11-28 02:00")
NAMES = (
    *("before", "after", "size", "state", "q", "rank", "of", "attempt", "at", "way", "case", "with", "jobs", "month"),
    *("page", "points", "lang"),
)
VALUES = (
    *("-1", "0", "999", "1e99", "x'", "%00", "../../etc/passwd", "%D9%A3", "2026-13", "0001-01", "9999-12", "%ff%fe"),
    *("9" * 20, "1" * 3000, "a%0d%0aX:1", "NaN", "1," * 30, "+1", "1_000", "0x1"),
)
PLACES = (
    *("/jobs/%00", "/jobs/../../etc/passwd", "/jobs/%2e%2e/%2e%2e/etc", "/jobs/1/plan.json", "/jobs/1/output/..%2fx"),
    *("//etc/passwd", "/jobs/%D9%A1", "/jobs/1.0", "/night/2026-13-01", "/night/9999-12-31", "/night/2026-11-28%0a"),
    *("/static/x/%2e%2e%2fapp.py", "/api/v2/jobs", "/api/v1/", "/%ff%fe", "/jobs/1;x", "/.git/config", "*"),
)


@pytest.fixture
def asked(visitor: Visitor, diary: Diary) -> Visitor:
    """Return one who asks of jobs of each kind, of which one is called as strangers would."""
    for name, ways in (("done", DONE), (HOSTILE, FAILED), ("no", (State.REJECTED,)), ("train", TRAINING)):
        job = diary.job(name, BEGAN, *ways, reason=HOSTILE)
        log = job.directory(diary.root.path).rank_log(0)
        log.parent.mkdir(parents=True)
        log.write_text(f"{HOSTILE}\n" * 3)
        record(diary.root.path, job, range(1, 20))
    return visitor


@pytest.mark.parametrize("turn", (0, 7, 13))
def test_no_value_of_a_parameter_is_a_defect(asked: Visitor, turn: int) -> None:
    """Of any, at every address, three of the values each: it is heeded, left alone, or refused in words."""
    pairs = [(path, name) for path in addresses(2) for name in NAMES]
    paths = [f"{path}?{name}={VALUES[(number + turn) % len(VALUES)]}" for number, (path, name) in enumerate(pairs)]
    for answer in asked.all(paths):
        assert answer.status_code in {200, 404}, (answer.url, answer.text)
        if answer.status_code == 404:
            assert len(re.sub(r"<[^>]*>|\s", "", answer.text)) > 10, answer.url
        if "html" in answer.headers["content-type"]:
            assert "<img src=x" not in answer.text


def test_what_is_no_address_is_said_to_be_none(asked: Visitor) -> None:
    """And no file is looked for by it."""
    for answer in asked.all(PLACES):
        assert answer.status_code == 404, answer.url
        assert "root:" not in answer.text
