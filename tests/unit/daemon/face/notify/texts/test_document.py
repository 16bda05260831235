"""Promises of daemon.face.notify.document: programs get every event whole, with the keys of `glmd status --json`."""

import math
from datetime import timedelta

from daemon.core.event_kinds import EventKind
from daemon.core.results import Result
from daemon.core.states import State
from daemon.face.notify.texts.document import document_of, for_programs
from daemon.face.notify.texts.facts import Facts
from daemon.face.status import JobStatus
from tests.unit.daemon.face.notify.texts.telling import AT, FAILED, PLAN, event, job


def test_one_event_is_itself() -> None:
    """Its type is its kind, its time is when it happened."""
    told = event(code="rank.EI0006", text="rank 3 exited")
    found = document_of([told], {told.key: FAILED}, PLAN)
    assert found == {
        "type": "job.failed",
        "timestamp": "2026-11-29T02:40:00+00:00",
        "data": {
            "name": "run_glm_6b_lora",
            "attempt": 1,
            "job": found["data"]["job"],  # type: ignore[index] # held below
            "diagnosis": {
                "rank": 3,
                "device": 3,
                "line": "RuntimeError: EI0006: wait socket establish timeout",
                "error": "EI0006",
                "cause": "another rank did not connect in time",
                "remedy": "look at the rank that stopped printing first",
                "node": None,
            },
            "result": None,
            "output": None,
            "text": "rank 3 exited",
            "code": "rank.EI0006",
            "is_over": False,
            "host": "npu01",
            "link": None,
        },
    }


def test_the_job_has_the_keys_of_its_status() -> None:
    """But for how far it is: that is another moment's."""
    told = event()
    data = document_of([told], {told.key: FAILED}, PLAN)["data"]
    assert isinstance(data, dict)
    status = JobStatus(job(), job().directory(PLAN.root).path, None).as_json()
    assert data["job"] == {key: value for key, value in status.items() if key != "progress"}


def test_a_result_has_its_change() -> None:
    """And says to which job."""
    told = event(EventKind.JOB_DONE)
    data = document_of([told], {told.key: Facts(job(State.DONE), Result(1.65), 40, -0.06)}, PLAN)["data"]
    assert isinstance(data, dict)
    assert isinstance(result := data["result"], dict)
    assert (result["final_loss"], result["loss_change"], result["compared_to"]) == (1.65, -0.06, 40)


def test_several_are_a_batch_of_all() -> None:
    """In their order, each as it would be alone; its time is the newest one's."""
    events = [
        event(EventKind.JOB_DONE, str(number), job=number, at=AT - timedelta(hours=number)) for number in range(500)
    ]
    found = document_of(events, {}, PLAN)
    assert (found["type"], found["timestamp"]) == ("batch", AT.isoformat())
    assert found["data"] == {"events": [document_of([one], {}, PLAN) for one in events], "host": "npu01"}


def test_what_nobody_knows_is_null() -> None:
    """Without facts, and without a page."""
    data = document_of([event(job=None)], {}, PLAN)["data"]
    assert isinstance(data, dict)
    assert [key for key, value in data.items() if value is None] == ["job", "diagnosis", "result", "output", "link"]


def test_texts_for_people_call_nobody_and_names_stay() -> None:
    """A program may pass the one on, and finds files by the other."""
    assert for_programs({"reason": "@all \u202e", "name": "a@b\x00", "line": ["@x"]}) == {
        "reason": "\uff20all \\u202e",
        "name": "a@b\\x00",
        "line": ["\uff20x"],
    }


def test_what_json_does_not_have_is_null() -> None:
    """A loss that is none."""
    assert for_programs({"a": math.inf, "b": [math.nan], "c": 1.5}) == {"a": None, "b": [None], "c": 1.5}
