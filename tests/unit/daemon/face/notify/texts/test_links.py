"""Promises of daemon.face.notify.links: whoever reads a message gets to the page of what it is about."""

from dataclasses import replace
from datetime import date

import pytest

from daemon.core.event_kinds import EventKind
from daemon.core.states import State
from daemon.face.digest import Digest
from daemon.face.notify.message import Payload
from daemon.face.notify.texts.composing import compose
from daemon.face.notify.texts.digest import compose_digest
from daemon.face.notify.texts.facts import NOTHING, Facts
from daemon.face.notify.texts.links import link_of
from daemon.face.words.language import Language
from tests.unit.daemon.face.notify.texts.telling import AT, FAILED, PLAN, event, job

PAGE = replace(PLAN, page="https://npu01.example/glmd")
OF_NONE = {"job": None, "attempt": None, "name": "glm"}


@pytest.mark.parametrize(
    ("kind", "facts", "changed", "path"),
    (
        (EventKind.JOB_FAILED, FAILED, {}, "/jobs/41/failure"),
        (EventKind.JOB_FAILED, NOTHING, {}, "/jobs/41/failure"),
        (EventKind.JOB_FAILED, Facts(job(State.QUEUED)), {}, "/jobs/41"),
        (EventKind.JOB_REJECTED, Facts(job(State.REJECTED)), {}, "/jobs/41/failure"),
        (EventKind.JOB_DONE, Facts(job(State.DONE)), {}, "/jobs/41"),
        (EventKind.JOB_WAITING, NOTHING, {"is_over": True}, "/jobs/41"),
        (EventKind.NIGHTLY_MISSED, NOTHING, OF_NONE, "/nights"),
        (EventKind.FAULT_LASTING, NOTHING, OF_NONE, "/"),
    ),
)
@pytest.mark.parametrize(("language", "label"), ((Language.EN, "page: "), (Language.ZH, "页面：")))
def test_each_event_has_its_page(
    kind: EventKind, facts: Facts, changed: dict[str, object], path: str, language: Language, label: str
) -> None:
    """A failure has one of its own, as long as it is one; programs get the same address."""
    told = event(kind, **changed)
    payload = compose([told], {told.key: facts}, language, PAGE)
    assert payload.text.splitlines()[-1] == f"{label}https://npu01.example/glmd{path}"
    data = payload.document["data"]
    assert isinstance(data, dict)
    assert data["link"] == f"https://npu01.example/glmd{path}"


@pytest.mark.parametrize("kind", EventKind)
def test_no_page_no_link(kind: EventKind) -> None:
    """An address of nowhere would be worse than none."""
    assert link_of(event(kind), NOTHING, PLAN) == ""
    assert link_of(event(kind, **OF_NONE), NOTHING, PAGE).startswith(PAGE.page)
    assert "page: " not in compose([event(kind)], {}, Language.EN, PLAN).text


def test_several_lead_to_now_and_each_to_its_own() -> None:
    """The text has one link, the document has one an event."""
    events = [event(EventKind.JOB_DONE, str(number), job=number) for number in (1, 2)]
    payload = compose(events, {}, Language.EN, PAGE)
    assert payload.text.splitlines()[-1] == "page: https://npu01.example/glmd/"
    data = payload.document["data"]
    assert isinstance(data, dict)
    assert [each["data"]["link"] for each in data["events"]] == [f"{PAGE.page}/jobs/1", f"{PAGE.page}/jobs/2"]


def test_a_digest_leads_to_its_night() -> None:
    """Of which it tells."""

    def told(language: Language) -> Payload:
        found = Digest(date(2026, 11, 29), AT, AT, (), (), ())
        return compose_digest(found, {}, 0, language, PAGE)

    link = "https://npu01.example/glmd/night/2026-11-29"
    assert told(Language.EN).text.splitlines()[-1] == f"page: {link}"
    assert told(Language.ZH).text.splitlines()[-1] == f"页面：{link}"
    data = told(Language.EN).document["data"]
    assert isinstance(data, dict)
    assert data["link"] == link
