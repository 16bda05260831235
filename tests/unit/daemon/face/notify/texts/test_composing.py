"""Promises of daemon.face.notify.composing: a message says what happened, why, and what to type, and no more."""

import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.event_kinds import EventKind
from daemon.core.results import Result
from daemon.core.states import State
from daemon.face.cells import cells
from daemon.face.failure import Diagnosed
from daemon.face.notify.event import Event
from daemon.face.notify.texts.composing import MOST, compose
from daemon.face.notify.texts.facts import Facts
from daemon.face.notify.texts.headlines import TITLE
from daemon.face.words.language import Language
from tests.unit.daemon.face.notify.texts.telling import AT, FAILED, PLAN, event, job

KEY = "transition:1"
EI0006 = event(code="rank.EI0006", text="rank 3 on device 3 exited 1 first")
OF_NIGHT = {"job": None, "attempt": None, "name": "glm"}


def lines(told: Event, facts: Facts | None = None, language: Language = Language.EN) -> list[str]:
    """Return what is said of one event."""
    return compose([told], {} if facts is None else {KEY: facts}, language, PLAN).text.split("\n")


def test_a_failure_is_told_in_full() -> None:
    """State and when, host, rank and its line, error, cause, what to do, what to type, and where to read more."""
    assert lines(EI0006, FAILED) == [
        "state: failed, 29 Nov 02:40",
        "host: npu01",
        "rank: 3 on device 3, RuntimeError: EI0006: wait socket establish timeout",
        "error: EI0006, a rank did not connect in time",
        "cause: another rank did not connect in time",
        "to do: look at the rank that stopped printing first",
        "command: glmd status 41",
        "command: glmd retry 41",
        "command: glmd explain rank.EI0006",
    ]


def test_a_failure_is_told_in_chinese() -> None:
    """Also its cause and what to do, which are stored in English; only the log's line stays as it was written."""
    assert lines(EI0006, FAILED, Language.ZH) == [
        "状态：失败，11月29日 02:40",
        "主机：npu01",
        "rank：3（设备 3），RuntimeError: EI0006: wait socket establish timeout",
        "错误：EI0006，与其他 rank 建链超时",
        "原因：其他 rank 未能按时建立连接（socket 超时）：对端已退出，或加载较慢",
        "处理：先查看最先没有输出的 rank；若它仍在工作，调大 `training.environment` 中的 HCCL_CONNECT_TIMEOUT",
        "命令：glmd status 41",
        "命令：glmd retry 41",
        "命令：glmd explain rank.EI0006",
    ]


def test_a_failure_without_facts_is_told_all_the_same() -> None:
    """By its reason and code; in Chinese the code is enough to say cause and remedy."""
    assert lines(EI0006)[2:5] == [
        "error: a rank did not connect in time",
        "why: rank 3 on device 3 exited 1 first",
        "command: glmd status 41",
    ]
    assert [line.partition("：")[0] for line in lines(EI0006, None, Language.ZH)[2:5]] == ["错误", "原因", "处理"]


def test_what_became_of_it_since_is_told() -> None:
    """A message may wait for the end of quiet hours."""
    assert "now: training" in lines(EI0006, replace(FAILED, job=job(State.TRAINING)))
    assert "当前：训练中" in lines(EI0006, replace(FAILED, job=job(State.TRAINING)), Language.ZH)


def test_a_later_attempt_is_told_as_such() -> None:
    """The first goes without saying."""
    assert lines(replace(EI0006, attempt=4))[0] == "state: failed, 29 Nov 02:40, attempt 4"
    assert lines(replace(EI0006, attempt=4), None, Language.ZH)[0] == "状态：失败，11月29日 02:40，第 4 次尝试"


def test_a_record_that_cannot_be_read_is_told() -> None:
    """Somebody wonders else why the rank is not there."""
    assert "cannot be read: /var/glm/jobs/0041: cut off" in lines(
        EI0006, Facts(job(), unread="/var/glm/jobs/0041: cut off")
    )


def test_what_is_done_is_told_with_all_that_it_came_to() -> None:
    """Loss, change, time, size, and where it lies."""
    facts = Facts(
        job(State.DONE), Result(1.65, 1.6, 15120, 13_100_000_000), 40, -0.06, output=Path("/var/glm/jobs/0041-x/merged")
    )
    assert lines(event(EventKind.JOB_DONE), facts)[2:6] == [
        "loss: 1.65, -0.06 to job 40",
        "took: 4h12m",
        "size: 13.1 GB",
        "path: /var/glm/jobs/0041-x/merged",
    ]


def test_several_are_counted_and_told_in_a_line_each() -> None:
    """In their order, with their time."""
    events = [
        event(EventKind.JOB_DONE, "1", job=40, name="glm"),
        event(EventKind.JOB_FAILED, "2", code="merge.no-space", at=AT + timedelta(minutes=1)),
        event(EventKind.JOB_DONE, "3", job=42, name="glm"),
        event(EventKind.NIGHTLY_MISSED, "4", **OF_NIGHT, text="glm: the run before is not over"),
        event(EventKind.DAEMON_DOWN, "5", job=None, name="", is_over=True),
    ]
    english, chinese = (compose(events, {}, language, PLAN) for language in Language)
    assert english.title == "✖ 1 failed, ! 1 night missed, ✔ 2 done, ✔ 1 over"
    assert chinese.title == "✖ 1 个失败，! 1 次夜间训练未成功，✔ 2 个完成，✔ 1 项恢复"
    assert english.text.split("\n") == [
        "29 Nov 02:40 ✔ 40 glm: done",
        "29 Nov 02:41 ✖ 41 run_glm_6b_lora: no disk space for the merge",
        "29 Nov 02:40 ✔ 42 glm: done",
        "29 Nov 02:40 ! glm: night missed, the run before is not over",
        "29 Nov 02:40 ✔ npu01: glmd runs again",
        "host: npu01",
    ]


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("is_over", (False, True))
def test_every_kind_is_counted(kind: EventKind, language: Language, *, is_over: bool) -> None:
    """One, and several."""
    several = compose([event(kind, str(number), is_over=is_over) for number in range(3)], {}, language, PLAN)
    assert "3" in several.title
    one = compose(
        [event(kind, "1", is_over=is_over), event(EventKind.TEST, "2", is_over=not is_over)], {}, language, PLAN
    )
    assert len(one.title.split(", " if language is Language.EN else "，")) == 2


def test_of_too_many_the_bad_ones_are_told() -> None:
    """Still in their order, the urgent ones among them whatever else there is; how many are left out is said."""
    events = [event(EventKind.JOB_DONE, f"done:{number}", job=number) for number in range(10_000)]
    for number in range(0, 250, 10):
        events[number] = event(EventKind.JOB_FAILED, f"failed:{number}", job=number)
    events[5] = event(EventKind.OPERATOR_NEEDED, "stuck", job=5)
    english, chinese = (compose(events, {}, language, PLAN).text.split("\n") for language in Language)
    assert [int(line.split()[4]) for line in english[:MOST]] == [5, *range(60, 250, 10)]
    assert english[MOST] == "and 9,980 more: glmd status --all"
    assert chinese[MOST] == "另有 9,980 条：glmd status --all"
    assert len(english) == MOST + 2


def test_twenty_are_told_whole() -> None:
    """And nothing is said of more."""
    events = [event(EventKind.JOB_DONE, str(number), job=number) for number in range(MOST)]
    assert len(compose(events, {}, Language.EN, PLAN).text.split("\n")) == MOST + 1


@pytest.mark.parametrize("language", Language)
def test_ten_thousand_events_are_quick(language: Language) -> None:
    """A weekend without a network."""
    kinds = list(EventKind)
    events = [event(kinds[number % len(kinds)], str(number), job=number, text="x" * 1000) for number in range(10_000)]
    begun = time.process_time()
    told = compose(events, {one.key: FAILED for one in events}, language, PLAN)
    assert time.process_time() - begun < 5
    assert cells(told.title) <= TITLE
    assert len(told.text) < 5000


HOSTILE = st.text(alphabet=st.characters()) | st.text(alphabet="<@!a\x1b\x00\n\u202e\udc80全\u0301\u200d", max_size=400)
EVENTS = st.builds(
    event,
    st.sampled_from(EventKind),
    st.sampled_from(["1", "2"]),
    name=HOSTILE,
    text=HOSTILE,
    code=HOSTILE,
    job=st.none() | st.integers(1, 99),
    is_over=st.booleans(),
)
FACTS = st.builds(
    Facts,
    st.none() | st.builds(job, st.sampled_from(State), name=HOSTILE, reason=HOSTILE, cycle=HOSTILE),
    diagnosis=st.none() | st.builds(Diagnosed, st.none() | st.integers(0, 9), st.none(), *[HOSTILE] * 4),
    unread=HOSTILE,
)


@settings(max_examples=200)
@given(events=st.lists(EVENTS, min_size=1, max_size=25), facts=FACTS, language=st.sampled_from(Language))
def test_no_stranger_has_a_say(events: list[Event], facts: Facts, language: Language) -> None:
    """Whatever names, reasons and logs hold: it is bounded, printable, calls nobody, and JSON."""
    told = compose(events, {"1": facts}, language, PLAN)
    assert cells(told.title) <= TITLE
    assert told.title.isprintable()
    assert len(told.text.split("\n")) <= MOST + 3
    assert told.text.replace("\n", "").isprintable()
    assert "@" not in told.title + told.text
    assert len(told.text) < MOST * 400
    assert json.loads(json.dumps(told.document, allow_nan=False, ensure_ascii=False).encode()) == told.document


def test_ten_megabytes_of_a_reason_are_cut() -> None:
    """In the message, and for programs."""
    told = compose([event(text="@all " * 2_000_000, name="n" * 10_000_000)], {}, Language.ZH, PLAN)
    assert len(told.text) < 1000
    assert len(json.dumps(told.document)) < 10_000
