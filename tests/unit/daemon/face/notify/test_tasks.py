"""Promises of daemon.face.notify.tasks: a message has no value that looks like a secret, or that the settings hide."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.core.event_kinds import DEFAULT, EventKind
from daemon.core.states import State
from daemon.face.notify.event import Event
from daemon.face.notify.message import Payload
from daemon.face.notify.plan import Destination, Files
from daemon.face.notify.planning import read_plan
from daemon.face.notify.tasks import compose_message
from daemon.face.words.language import Language
from handlers.records.job_dir import Step
from handlers.records.step_exit import Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.face.diary import FAILED, Diary, utc
from tests.unit.daemon.face.notify.texts.telling import PLAN

AT = utc("2026-11-28 02:00")
SECRET = "hunter2" * 2
SAYINGS = (
    f"x.yaml:3:9: mapping values are not allowed here\n  3 | hf_token: {SECRET}: x\n    |     ^",
    f"cannot read https://somebody:{SECRET}@hub.example/model",
    f"{'x' * 260} https://somebody:{SECRET * 30}@hub.example/model",
    f"train.py --hf-token {SECRET} --epochs 3, HF_TOKEN={SECRET}",
    f"ours: {SECRET}",
)
PEOPLE = Destination(
    name="team",
    credential="team",
    secret="",
    language=Language.EN,
    is_webhook=False,
    kinds=DEFAULT,
    jobs="*",
    quiet=None,
    group=60,
    most=None,
)


def all_of(payload: Payload | None) -> str:
    """Return all that is sent of a message."""
    assert payload is not None
    return "\n".join((payload.title, payload.text, json.dumps(payload.document, ensure_ascii=False, default=str)))


@pytest.mark.parametrize("saying", SAYINGS)
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("with_facts", (True, False))
@pytest.mark.parametrize("kind", (EventKind.JOB_FAILED, EventKind.JOB_REJECTED, EventKind.JOB_WAITING))
def test_no_message_has_a_secret(
    tmp_path: Path, saying: str, language: Language, kind: EventKind, *, with_facts: bool
) -> None:
    """One of a reason, of a rank's line, of several events, and of the morning."""
    diary = Diary(tmp_path / "root")
    job = diary.job("a", AT, *FAILED, reason=saying)
    diary.job("b", AT, State.REJECTED, reason=saying)
    train = job.directory(diary.root.path).step(1, Step.TRAIN)
    train.path.mkdir(parents=True)
    line = saying.replace("\n", " ")
    first = ProcessExit(role=Role.RANK, rank=0, device=0, pid=7, exit_code=1, signal=None, ended=AT, line=line)
    StepExit(
        step=Step.TRAIN, outcome=Outcome.FAILED, reason=line, first=first, processes=(first,), started=AT, ended=AT
    ).publish(train.exit)
    plan = replace(PLAN, root=diary.root.path, hide=("^ours$",))
    people = replace(PEOPLE, language=language)
    told = Event(kind, "transition:1", AT, saying, "", job.id, 1, job.name)
    morning = Event(EventKind.DIGEST, "digest:2026-11-28", AT, "2026-11-28")
    for events in ([told], [told, replace(told, key="transition:2")], [morning]):
        sent = all_of(compose_message(plan, people, events, 0, with_facts=with_facts))
        assert SECRET not in sent
        assert SECRET[:5] not in sent


def test_the_settings_say_what_is_hidden_and_where_the_page_is(tmp_path: Path) -> None:
    """Those of the page."""
    settings = tmp_path / "glmd.yaml"
    settings.write_text("web: {url: 'https://npu01.example/glmd/', hide: ['^ours$']}\n")
    plan = read_plan(Files(settings, tmp_path / "root", tmp_path, tmp_path))
    assert (plan.page, plan.hide) == ("https://npu01.example/glmd", ("^ours$",))
