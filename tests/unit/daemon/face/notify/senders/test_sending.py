"""Promises of daemon.face.notify.senders.sending: one answer for each address, and never an exception."""

import pytest

from daemon.face.notify.message import Answer, Outcome, Payload
from daemon.face.notify.secret import Secret
from daemon.face.notify.senders import mail, robots
from daemon.face.notify.senders.address import address_of
from daemon.face.notify.senders.limits import Limits
from daemon.face.notify.senders.sending import send
from tests import listening
from tests.listening import says
from tests.unit.daemon.face.notify.senders.messages import NOW, PAYLOAD
from tests.unit.daemon.face.notify.senders.post import Post, serving


def test_each_address_is_sent_to_in_its_way() -> None:
    """By what it begins with."""
    post = Post()
    with listening.listening(says("200 OK")) as server, serving(post) as port:
        for address in (
            f"http://127.0.0.1:{server.port}/hook",
            f"json://127.0.0.1:{server.port}/json",
            f"smtp://127.0.0.1:{port}/?from=a@b.example&to=c@d.example",
        ):
            assert send(address_of(address), None, PAYLOAD, "msg_41", NOW).outcome is Outcome.SENT
    hook, json = server.requests
    assert hook.headers["webhook-id"] == "msg_41"
    assert "webhook-id" not in json.headers
    assert len(post.mails) == 1


def test_a_signing_key_that_is_none_is_unusable() -> None:
    """No later try does better, and none is sent without."""
    answer = send(address_of("http://127.0.0.1:1/x"), Secret("hunter2"), PAYLOAD, "msg_41", NOW)
    assert answer.outcome is Outcome.UNUSABLE
    assert "openssl rand" in answer.text
    assert "hunter2" not in answer.text


def test_an_apprise_that_is_gone_is_unusable(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    """As after an update without the extra."""
    address = address_of("wecombot://0123456789-abcdef/")
    monkeypatch.setattr(robots, "find_spec", lambda _: None)
    answer = send(address, None, PAYLOAD, "msg_41", NOW, limits)
    assert answer.outcome is Outcome.UNUSABLE
    assert "pip install" in answer.text


@pytest.mark.parametrize(
    ("module", "address"),
    ((mail, "smtp://h.example/?from=hunter2@b.example&to=c@d.example"), (robots, "wecombot://hunter2hunter2/")),
)
def test_an_error_that_nobody_foresaw_is_an_answer_without_its_text(
    monkeypatch: pytest.MonkeyPatch, module: object, address: str
) -> None:
    """It may go better next time; the text of another's exception may hold the address."""

    def break_off(*_: object) -> Answer:
        raise RuntimeError(address)

    monkeypatch.setattr(module, "send", break_off)
    answer = send(address_of(address), None, PAYLOAD, "msg_41", NOW)
    assert answer.outcome is Outcome.FAILED
    assert "RuntimeError at test_sending.py:" in answer.text
    assert "hunter2" not in answer.text


def test_what_is_no_json_is_sent_as_text() -> None:
    """One odd value in a document does not keep word of a failure back."""
    payload = Payload("t", "x", {"at": NOW, "name": "\ud800", "loss": float("nan")})
    with listening.listening(says("200 OK")) as server:
        assert send(address_of(f"http://127.0.0.1:{server.port}/"), None, payload, "m", NOW).outcome is Outcome.SENT
    assert str(NOW).encode() in server.requests[0].body
