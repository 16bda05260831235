"""Promises of daemon.face.notify.headlines: what a lock screen shows says enough to act, or to sleep on."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.event_kinds import EventKind
from daemon.core.results import Result
from daemon.core.states import State
from daemon.face.cells import cells
from daemon.face.failure import Diagnosed
from daemon.face.notify.event import Event
from daemon.face.notify.texts.facts import NOTHING, Facts
from daemon.face.notify.texts.headlines import TITLE, headline
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from tests.unit.daemon.face.notify.texts.telling import FAILED, event, job

EN, ZH = read_words(Language.EN), read_words(Language.ZH)
EI0006 = event(code="rank.EI0006", text="rank 3 on device 3 exited 1 first (09:14:07): …")


def titles(told: Event, facts: Facts = NOTHING) -> tuple[str, str]:
    """Return the title in both languages."""
    return headline(told, facts, EN, "npu01"), headline(told, facts, ZH, "npu01")


def test_a_failure_names_rank_error_and_what_to_do() -> None:
    """An error that has a name is told by it: people look for that."""
    english, chinese = titles(EI0006, FAILED)
    assert english == "✖ 41 run_glm_6b_lora: rank 3, EI0006, to do: look at the ra…"
    assert chinese == "✖ 41 run_glm_6b_lora：rank 3，EI0006，处理：先查看最先没有…"


def test_an_error_without_a_name_is_told_in_words() -> None:
    """In those of the reader."""
    assert FAILED.diagnosis is not None
    facts = replace(FAILED, diagnosis=replace(FAILED.diagnosis, error="device memory", remedy=""))
    english, chinese = titles(replace(EI0006, code="rank.device-memory"), facts)
    assert english == "✖ 41 run_glm_6b_lora: rank 3, device memory exhausted"
    assert chinese == "✖ 41 run_glm_6b_lora：rank 3，设备内存不足，处理：减小 batc…"


def test_what_glmd_says_of_the_job_counts_for_more_than_the_rank_error() -> None:
    """A training that diverged was ended for that, whatever a rank said then."""
    english, _ = titles(replace(EI0006, code="training.diverged"), FAILED)
    assert english.startswith("✖ 41 run_glm_6b_lora: rank 3, training diverged")


def test_a_failure_without_a_record_is_told_by_its_code() -> None:
    """The code alone has advice in Chinese; without one there is the reason."""
    assert titles(event(code="merge.no-space"))[0] == "✖ 41 run_glm_6b_lora: no disk space for the merge"
    assert titles(EI0006)[1].startswith("✖ 41 run_glm_6b_lora：与其他 rank 建链超时，处理：")
    assert titles(event(text="it broke"))[0] == "✖ 41 run_glm_6b_lora: it broke"
    assert titles(event())[0] == "✖ 41 run_glm_6b_lora: failed"


def test_what_is_done_is_told_with_what_it_came_to() -> None:
    """As far as it is known."""
    done = event(EventKind.JOB_DONE)
    facts = Facts(job(State.DONE), Result(1.65, 1.6, 15120, 13_100_000_000), compared_to=40, change=-0.06)
    assert titles(done, facts) == (
        "✔ 41 run_glm_6b_lora: loss 1.65 (-0.06), 13.1 GB, 4h12m",
        "✔ 41 run_glm_6b_lora：loss 1.65（-0.06），13.1 GB，4h12m",
    )
    assert titles(done) == ("✔ 41 run_glm_6b_lora: done", "✔ 41 run_glm_6b_lora：已完成")


NO_JOB = {"job": None, "attempt": None, "name": ""}
SAYS = (
    (event(EventKind.JOB_RESUMED, attempt=2), "▶ 41 run_glm_6b_lora", "resumed, attempt 2", "已续训，第 2 次尝试"),
    (
        event(EventKind.JOB_REJECTED, code="config.path"),
        "✖ 41 run_glm_6b_lora",
        "rejected, path is not absolute",
        "已拒绝，不是绝对路径",
    ),
    (event(EventKind.JOB_CANCELLED, text="cancelled by glm"), "– 41 run_glm_6b_lora", "cancelled", "已取消"),
    (
        event(EventKind.JOB_WAITING, code="device.in-use"),
        "◷ 41 run_glm_6b_lora",
        "waits, device in use",
        "等待中，设备被占用",
    ),
    (event(EventKind.JOB_WAITING, is_over=True), "✔ 41 run_glm_6b_lora", "waits no longer", "不再等待"),
    (
        event(EventKind.JOB_NOT_PROMOTED, code="gate.loss"),
        "! 41 run_glm_6b_lora",
        "done, not promoted, loss too high",
        "已完成，未发布，loss 过高",
    ),
    (
        event(EventKind.NIGHTLY_MISSED, **NO_JOB | {"name": "glm"}, text="glm: left out"),
        "! glm",
        "night missed, left out",
        "夜间训练未成功，left out",
    ),
    (event(EventKind.DAEMON_DOWN, **NO_JOB, code="daemon.not-running"), "✖ npu01", "glmd does not run", "glmd 未运行"),
    (event(EventKind.DAEMON_DOWN, **NO_JOB, is_over=True), "✔ npu01", "glmd runs again", "glmd 已恢复运行"),
    (event(EventKind.TEST, **NO_JOB), "✔ npu01", "a test; it has arrived", "测试消息，已送达"),
)


@pytest.mark.parametrize(("told", "what", "english", "chinese"), SAYS)
def test_each_kind_has_its_words(told: Event, what: str, english: str, chinese: str) -> None:
    """In both languages, and its sign."""
    assert titles(told) == (f"{what}: {english}", f"{what}：{chinese}")


def test_a_run_of_a_cycle_goes_by_the_cycle() -> None:
    """Its own name is its due time, which the number stands for."""
    told = event(EventKind.JOB_DONE, name="glm-20261128T020000Z")
    assert titles(told, Facts(job(State.DONE, cycle="glm")))[0] == "✔ 41 glm: done"


def test_a_long_name_gives_way_to_what_is_said() -> None:
    """It is cut itself, as long as that is enough."""
    title, _ = titles(replace(EI0006, name="n" * 200), FAILED)
    assert title == f"✖ 41 {'n' * 23}…: rank 3, EI0006, to do: look …"


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("is_over", (False, True))
def test_every_kind_can_be_told(kind: EventKind, *, is_over: bool) -> None:
    """Each in other words, and that it is over in others still."""
    both = titles(event(kind, is_over=is_over))
    assert all(cells(title) <= TITLE for title in both)
    assert both[0] != titles(event(kind, is_over=not is_over))[0]


HOSTILE = st.text(alphabet=st.characters()) | st.text(alphabet="<@!a\x1b\x00\n\u202e\udc80全\u0301\u200d", max_size=400)


@settings(max_examples=200)
@given(
    told=st.builds(event, st.sampled_from(EventKind), name=HOSTILE, text=HOSTILE, code=HOSTILE, is_over=st.booleans()),
    diagnosis=st.none()
    | st.builds(Diagnosed, st.none() | st.integers(0, 99), st.none(), HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    language=st.sampled_from(Language),
)
def test_no_title_is_too_wide_or_of_two_lines(told: Event, diagnosis: Diagnosed | None, language: Language) -> None:
    """Whatever a name, a reason or a log says."""
    title = headline(told, Facts(job(), diagnosis=diagnosis), read_words(language), "npu01")
    assert cells(title) <= TITLE
    assert title.isprintable()
    assert "@" not in title
    title.encode()
