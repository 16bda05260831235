"""Promises of daemon.face.notify.digest_message: the morning's message says first what needs somebody."""

import json
from datetime import date, datetime
from pathlib import Path

import pytest

from daemon.core.night_hours import DEFAULT, NightHours
from daemon.core.night_runs import Outcome
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from daemon.face.cells import cells
from daemon.face.digest import Digest, digest
from daemon.face.notify.message import Payload
from daemon.face.notify.texts.digest import MOST, compose_digest
from daemon.face.notify.texts.headlines import TITLE
from daemon.face.words.language import Language
from handlers.codes import Code
from tests.unit.daemon.face.diary import DONE, FAILED, Diary, utc
from tests.unit.daemon.face.notify.texts.telling import PLAN

DUES: dict[str, datetime | None] = {"glm": utc("2026-11-29 02:00"), "old": None, "early": utc("2026-11-28 22:00")}


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Return an empty store."""
    return Diary(tmp_path / "root")


def found(diary: Diary) -> Digest:
    """Return the night to 28 November."""
    with ReadStore.open(diary.root.store) as store:
        return digest(store, date(2026, 11, 28), NightHours.parse(DEFAULT), utc("2026-11-28 08:00"))


def told(diary: Diary, language: Language = Language.EN, undelivered: int = 0) -> Payload:
    """Return the message of that night."""
    return compose_digest(found(diary), DUES, undelivered, language, PLAN)


def a_night(diary: Diary) -> None:
    """Let two runs be done, and one have failed."""
    diary.run("glm", utc("2026-11-27 02:00"), *DONE, promoted=True, loss=1.71)
    diary.run("lora", utc("2026-11-28 01:00"), *FAILED, code="rank.EI0006", reason="rank 3 on device 3 exited 1")
    diary.run("glm", utc("2026-11-28 02:00"), *DONE, promoted=True, loss=1.65)
    diary.run("other", utc("2026-11-28 03:00"), *DONE, promoted=True)


def test_a_night_is_told(diary: Diary) -> None:
    """What needs somebody with what to type, then each run, what is to come, and where to read more."""
    a_night(diary)
    message = told(diary, undelivered=3)
    assert message.title == "☾ 28 Nov: 2 done, 1 failed, 1 needs you"
    assert message.text.split("\n") == [
        "NEEDS YOU",
        "! 0002-lora-20261128T010000Z: failed, a rank did not connect in time",
        "    glmd retry 2",
        "    glmd explain rank.EI0006",
        "",
        "runs",
        "✖ 0002-lora-20261128T010000Z, due 01:00, 4h, a rank did not connect in time",
        "✔ 0003-glm-20261128T020000Z, due 02:00, loss 1.65 (-0.06), 4h",
        "✔ 0004-other-20261128T030000Z, due 03:00, 4h",
        "best loss: 1.65 (0003-glm-20261128T020000Z)",
        "",
        "next: early 28 Nov 22:00",
        "next: glm 29 Nov 02:00",
        "not delivered: 3: glmd notify list",
        "host: npu01",
    ]


def test_a_night_is_told_in_chinese(diary: Diary) -> None:
    """By its codes: the reasons are stored in English."""
    a_night(diary)
    message = told(diary, Language.ZH)
    assert message.title == "☾ 11月28日：2 个完成，1 个失败，1 项需要处理"
    assert message.text.split("\n")[:6] == [
        "需要处理",
        "! 0002-lora-20261128T010000Z：失败，与其他 rank 建链超时",
        "    glmd retry 2",
        "    glmd explain rank.EI0006",
        "",
        "运行情况",
    ]


def test_a_good_night_needs_nobody(diary: Diary) -> None:
    """Which is said."""
    diary.run("glm", utc("2026-11-28 02:00"), *DONE, promoted=True, loss=1.65)
    message = told(diary)
    assert message.title == "☾ 28 Nov: 1 done"
    assert message.text.startswith("nothing needs you\n")
    assert "not delivered" not in message.text


def test_a_night_without_runs_is_told(diary: Diary) -> None:
    """It was there all the same."""
    assert told(diary).title == "☾ 28 Nov: no run was due"
    assert told(diary, Language.ZH).title == "☾ 11月28日：没有应运行的任务"


def test_a_night_that_got_no_job_is_told(diary: Diary) -> None:
    """By its cycle."""
    diary.note("glm", utc("2026-11-28 02:00"), Outcome.SKIPPED, "the run before is not over", Code.NIGHT_SKIPPED)
    assert told(diary).text.split("\n")[1:4] == [
        "! glm: skipped, run before not over",
        "    glmd status",
        "    glmd explain night.skipped",
    ]


def test_a_night_of_hundreds_is_cut(diary: Diary) -> None:
    """And says where the rest is told."""
    for minute in range(MOST + 5):
        diary.run(
            f"c{minute:02}", utc(f"2026-11-28 02:{minute:02}"), State.PREPARING, State.FAILED, reason="@all" * 999
        )
    message = told(diary)
    assert message.text.count("and 5 more: glmd night 2026-11-28") == 2
    assert "@" not in message.text
    assert len(message.text) < 15_000
    assert cells(message.title) <= TITLE


def test_programs_get_the_digest_as_glmd_night_has_it(diary: Diary) -> None:
    """And beside it what it does not have."""
    a_night(diary)
    document = told(diary, undelivered=3).document
    assert (document["type"], document["timestamp"]) == ("digest", found(diary).morning.isoformat())
    data = document["data"]
    assert isinstance(data, dict)
    assert data == json.loads(json.dumps(dict(found(diary).as_json()))) | {
        "next_due": {"glm": "2026-11-29T02:00:00+00:00", "old": None, "early": "2026-11-28T22:00:00+00:00"},
        "undelivered": 3,
        "host": "npu01",
        "link": None,
    }
    assert json.loads(json.dumps(document)) == document
