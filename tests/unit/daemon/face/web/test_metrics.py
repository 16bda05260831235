"""`GET /metrics`: what Prometheus asks the page."""

import threading

import pytest
from structlog.testing import capture_logs

from daemon.face.web.reading_apart import WITHIN
from tests.unit.daemon.face.diary import DONE, Diary, utc
from tests.unit.daemon.face.metrics.scene import of, parsed
from tests.unit.daemon.face.web.visitor import Visitor


def test_it_is_the_text_format(visitor: Visitor, diary: Diary) -> None:
    """By the type that Prometheus wants, and with what the page alone knows."""
    diary.job("run", utc("2026-11-28 02:00"), *DONE)
    answer = visitor.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    values = parsed(answer.content)
    assert of(values, "jobs", state="done") == 1
    assert of(values, "web_streams") == 0


def test_a_part_that_cannot_be_made_is_logged(visitor: Visitor) -> None:
    """With its name and what stands against it; the answer is one all the same."""
    with capture_logs() as logs:
        answer = visitor.get("/metrics")
    assert answer.status_code == 200
    assert of(parsed(answer.content), "collector_success", collector="store") == 0
    (told,) = (each for each in logs if each["part"] == "store")
    assert told["event"] == "metrics_part_not_made"
    assert "no store there" in told["reason"]


def test_storage_that_hangs_costs_no_other_answer(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 503 within the limit, and at once the next time; the page goes on."""
    ends = threading.Event()
    monkeypatch.setattr(visitor.application.exporter, "scrape", lambda *_: ends.wait(10 * WITHIN))
    first, second, other = visitor.all(["/metrics", "/metrics", "/healthz"])
    ends.set()
    assert (first.status_code, second.status_code, other.status_code) == (503, 503, 200)
    assert "did not answer within" in first.text
    assert "still waits" in second.text
