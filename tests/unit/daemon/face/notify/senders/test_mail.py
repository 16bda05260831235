"""Promises of daemon.face.notify.senders.mail, against a real SMTP server: what arrives, and what is said else."""

import logging
import ssl
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import cast

import pytest

from daemon.face.notify.message import Answer, Outcome, Payload
from daemon.face.notify.senders import mail
from daemon.face.notify.senders.address import Mail, address_of
from daemon.face.notify.senders.limits import Limits
from tests import listening
from tests.listening import sends
from tests.unit.daemon.face.notify.senders.messages import NOW, PAYLOAD
from tests.unit.daemon.face.notify.senders.post import Post, is_ann, serving

NEED_NOT = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
"""aiosmtpd calls TLS only what began with STARTTLS."""
FROM_TO = "?from=glmd@npu01.example&to=ops.one@mail.example,two@mail.example"


def address(text: str, port: int) -> Mail:
    """Return an address of a server here."""
    return cast("Mail", address_of(text.format(port=port) + FROM_TO))


def send(there: Mail, limits: Limits, payload: Payload = PAYLOAD) -> Answer:
    """Send, and see that what is told holds nothing of the address but scheme and host."""
    answer = mail.send(there, payload, "msg_41", NOW, limits)
    for piece in ("ann", "pass-word", "npu01", "mail.example", "ops.one"):
        assert piece not in answer.text
    assert len(answer.text) <= 300
    return answer


def test_a_mail_arrives(limits: Limits) -> None:
    """Title, text and all that belongs into a mail from a program."""
    post = Post()
    with serving(post) as port:
        assert send(address("smtp://localhost:{port}/", port), limits) == Answer(Outcome.SENT)
    (got,) = post.mails
    assert got["subject"] == PAYLOAD.title
    assert got.get_content().splitlines() == PAYLOAD.text.splitlines()
    assert got["from"] == "glmd <glmd@npu01.example>"
    assert got["to"] == "ops.one@mail.example, two@mail.example"
    assert post.recipients == ["ops.one@mail.example", "two@mail.example"]
    assert got["message-id"] == "<msg_41.glmd@npu01.example>"
    assert got["auto-submitted"] == "auto-generated"
    assert got["date"].datetime == NOW.replace(microsecond=0)
    assert got.get_content_type() == "text/plain"
    assert got.get_content_charset() == "utf-8"


def test_each_try_has_the_same_id() -> None:
    """A server that had the first drops the second."""
    there = address("smtp://localhost:{port}/", 1)
    first, second = (mail.message_of(there, PAYLOAD, "msg 41>", NOW + timedelta(hours=n)) for n in (0, 1))
    assert first["message-id"] == second["message-id"] == "<msg%2041%3E.glmd@npu01.example>"
    assert first["date"] != second["date"]


def test_a_title_cannot_bring_a_header() -> None:
    """Nor a text, nor an id: names and log lines of strangers are in them."""
    there = address("smtp://localhost:{port}/", 1)
    bad = "x\r\nBcc: eve@evil.example\r\n\r\nhello\ud800"
    sent = mail.message_of(there, Payload(bad, bad, {}), bad, NOW)
    got = message_from_bytes(bytes(sent), policy=policy.default)
    assert got["bcc"] is None
    assert got["subject"] == r"x\r\nBcc: eve@evil.example\r\n\r\nhello\ud800"
    assert len(got.keys()) == len(mail.message_of(there, PAYLOAD, "msg_41", NOW).keys())


def test_starttls_is_wanted_and_verified(
    tls: ssl.SSLContext, trusted: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server is elsewhere: log-in and message go over TLS, and over nothing else."""
    monkeypatch.setattr("daemon.face.notify.senders.address._is_loopback", lambda _: False)
    assert trusted.exists()
    post = Post()
    with serving(post, starttls=tls, authenticator=is_ann, auth_required=True) as port:
        there = address("smtp://ann:pass-word@localhost:{port}/", port)
        assert send(there, limits) == Answer(Outcome.SENT)
        assert post.was_tls
        assert "certificate is not trusted" in send(replace(there, host="127.0.0.1"), limits).text
    with serving(Post()) as port:
        answer = send(address("smtp://ann:pass-word@localhost:{port}/", port), limits)
    assert answer.outcome is Outcome.FAILED
    assert "STARTTLS" in answer.text
    assert len(post.mails) == 1


@NEED_NOT
def test_smtps_is_tls_from_the_first_byte(tls: ssl.SSLContext, trusted: Path, limits: Limits) -> None:
    """Verified, too; where none is spoken it says so."""
    assert trusted.exists()
    post = Post()
    with serving(post, tls=tls, authenticator=is_ann, auth_require_tls=False, auth_required=True) as port:
        assert send(address("smtps://ann:pass-word@localhost:{port}/", port), limits) == Answer(Outcome.SENT)
        assert "certificate" in send(address("smtps://ann:pass-word@127.0.0.1:{port}/", port), limits).text
    assert len(post.mails) == 1
    with serving(Post()) as port:
        assert "no TLS is spoken" in send(address("smtps://ann:pass-word@localhost:{port}/", port), limits).text


@NEED_NOT
def test_a_password_that_is_not_taken_is_not_told(limits: Limits) -> None:
    """Even where the server repeats it."""
    with serving(Post(), authenticator=is_ann, auth_require_tls=False, auth_required=True) as port:
        answer = send(address("smtp://ann:pass-w0rd@localhost:{port}/", port), limits)
    assert answer.outcome is Outcome.FAILED
    assert answer.text == "smtp://localhost: it does not take user and password (535): see the credential"


def test_a_server_without_log_in(limits: Limits) -> None:
    """Says what is missing."""
    with serving(Post(), auth_exclude_mechanism=["LOGIN", "PLAIN"]) as port:
        assert "a log-in" in send(address("smtp://ann:pass-word@localhost:{port}/", port), limits).text


@pytest.mark.parametrize(
    ("answers", "outcome", "told"),
    (
        ({"data": "554 5.7.1 spam of glmd@npu01.example"}, Outcome.FAILED, "SMTP 554: 5.7.1 spam of •••"),
        ({"data": "451 4.7.1 greylisted"}, Outcome.FAILED, "SMTP 451: 4.7.1 greylisted"),
        ({"sender": "550 5.1.8 no domain"}, Outcome.FAILED, "SMTP 550: 5.1.8 no domain"),
        ({"two": "550 5.1.1 <ADDRESS>: who?"}, Outcome.SENT, "1 of 2 recipients refused: SMTP 550: 5.1.1 <•••>: who?"),
        (
            {"two": "450 4.2.1 full", "ops_one": "450 4.2.1 full"},
            Outcome.FAILED,
            "2 of 2 recipients refused: SMTP 450: 4.2.1 full",
        ),
        ({"quit": "500 never"}, Outcome.SENT, ""),
    ),
)
def test_what_a_server_refuses(limits: Limits, answers: dict[str, str], outcome: Outcome, told: str) -> None:
    """With its code, and how many recipients; whoever is refused keeps it from nobody else."""
    post = Post(**answers)
    with serving(post) as port:
        answer = send(address("smtp://localhost:{port}/", port), limits)
    assert answer.outcome is outcome
    assert answer.text.removeprefix("smtp://localhost: ") == told
    assert len(post.mails) == (outcome is Outcome.SENT)


@pytest.mark.parametrize(
    ("answer", "word"),
    (
        (sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak SMTP"),
        (sends(b""), "closed the connection"),
        (sends(b"554 5.3.2 not today\r\n"), "SMTP 554: 5.3.2 not today"),
        (listening.hangs, "no answer within 0.2 s"),
    ),
    ids=("another protocol", "closes", "no greeting", "hangs"),
)
def test_what_is_no_mail_server_has_a_reason(impatient: Limits, answer: listening.Answer, word: str) -> None:
    """And says what to do."""
    with listening.accepting(answer) as port:
        told = send(address("smtp://localhost:{port}/", port), impatient)
    assert told.outcome is Outcome.FAILED
    assert word in told.text


def test_where_nothing_listens(limits: Limits) -> None:
    """And a name that is not known: `.invalid` never is (RFC 6761)."""
    with listening.nothing_listens() as port:
        assert "nothing listens there" in send(address("smtp://localhost:{port}/", port), limits).text
    assert "its name is not known" in send(address("smtps://mail.invalid:{port}/", 465), limits).text


@pytest.mark.parametrize(("is_utf8", "outcome"), ((True, Outcome.SENT), (False, Outcome.FAILED)))
def test_addresses_that_are_not_ascii_want_smtputf8(limits: Limits, is_utf8: bool, outcome: Outcome) -> None:  # noqa: FBT001
    """And only those: a title in Chinese wants nothing special."""
    post = Post()
    with serving(post, enable_SMTPUTF8=is_utf8) as port:
        plain = address("smtp://localhost:{port}/", port)
        assert send(plain, limits).outcome is Outcome.SENT
        assert send(replace(plain, recipients=("夜@mail.example",)), limits).outcome is outcome
    assert len(post.mails) == 1 + is_utf8


def test_nothing_is_logged_nor_printed(
    limits: Limits, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever turns logs on finds no password in them."""
    with listening.nothing_listens() as port, caplog.at_level(logging.DEBUG):
        send(address("smtp://ann:pass-word@localhost:{port}/", port), limits)
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
