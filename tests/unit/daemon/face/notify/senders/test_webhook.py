"""Promises of daemon.face.notify.senders.webhook and calling: signed as Standard Webhooks says, whatever answers."""

import json
import logging
import ssl
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Reference
from standardwebhooks import WebhookVerificationError

from daemon.face.notify.message import Answer, Outcome
from daemon.face.notify.secret import Secret
from daemon.face.notify.senders import webhook
from daemon.face.notify.senders.address import Webhook, address_of
from daemon.face.notify.senders.calling import Reply
from daemon.face.notify.senders.limits import Limits
from handlers.codes import Code
from handlers.errors import BadInputError
from tests import listening
from tests.listening import Server, says, sends
from tests.unit.daemon.face.notify.senders.messages import NOW, PAYLOAD

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_KEY = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAAAAAA"
HIDDEN_PATH = "/hooks/0123456789abcdef?key=zzz987"


def address(port: int, text: str = "http://ann:pass-word@127.0.0.1:{}" + HIDDEN_PATH) -> Webhook:
    """Return a webhook on loopback, with secrets all over."""
    return cast("Webhook", address_of(text.format(port)))


def send(port: int, limits: Limits, key: str = KEY) -> Answer:
    """Send to a port, and see that what is told of it holds nothing of the address but scheme and host."""
    answer = webhook.send(address(port), Secret(key), PAYLOAD, "msg_41", NOW, limits)
    for piece in ("ann", "pass-word", "hooks", "0123456789abcdef", "zzz987", KEY.removeprefix("whsec_")):
        assert piece not in answer.text
    assert answer.text.isprintable()
    assert len(answer.text) <= 300
    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a receiver that takes all."""
    with listening.listening(says("204 No Content")) as server:
        yield server


def test_the_reference_library_takes_it(server: Server, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Id, time, signature and body; a key more or less for who changes keys, and nobody else's."""
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Clock)
    assert send(server.port, limits, f"{KEY} {OTHER_KEY}").outcome is Outcome.SENT
    (request,) = server.requests
    assert request.line == f"POST {HIDDEN_PATH} HTTP/1.1"
    assert request.headers["webhook-id"] == "msg_41"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("glmd/")
    assert request.headers["authorization"] == "Basic YW5uOnBhc3Mtd29yZA=="
    for key in (KEY, OTHER_KEY):
        assert Reference(key).verify(request.body, request.headers) == PAYLOAD.document
    with pytest.raises(WebhookVerificationError):
        Reference("whsec_" + "A" * 32).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Reference(KEY).verify(request.body + b" ", request.headers)


class Clock:
    """The receiver's clock, at the time of the message."""

    now = staticmethod(NOW.astimezone)
    fromtimestamp = staticmethod(type(NOW).fromtimestamp)


def test_each_try_has_its_time_and_the_same_id_and_body(server: Server, limits: Limits) -> None:
    """So that a receiver can drop doubles, and a late try is not taken for a replay."""
    for minutes in (0, 5):
        webhook.send(address(server.port), Secret(KEY), PAYLOAD, "msg_41", NOW + timedelta(minutes=minutes), limits)
    first, second = server.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 300
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_without_a_key_it_is_not_signed(server: Server, limits: Limits) -> None:
    """A receiver that wants none has the rest."""
    assert webhook.send(address(server.port), None, PAYLOAD, "msg_41", NOW, limits).outcome is Outcome.SENT
    (request,) = server.requests
    assert "webhook-signature" not in request.headers
    assert json.loads(request.body) == PAYLOAD.document


@pytest.mark.parametrize(
    "key", ("", "hunter2-hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", f"{KEY} whsec_", KEY[6:])
)
def test_a_key_that_is_none_says_how_to_make_one(limits: Limits, key: str) -> None:
    """Nothing is sent unsigned that is meant to be signed."""
    with pytest.raises(BadInputError) as caught:
        webhook.send(address(1), Secret(key), PAYLOAD, "msg_41", NOW, limits)
    assert caught.value.code is Code.NOTIFY_SIGNING_KEY
    assert "openssl rand" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "outcome", "told"),
    (
        ("200 OK", Outcome.SENT, "HTTP 200"),
        ("202 Accepted", Outcome.SENT, "HTTP 202"),
        ("302 Found", Outcome.FAILED, "HTTP 302: it says no"),
        ("400 Bad Request", Outcome.FAILED, "HTTP 400: it says no"),
        ("401 Unauthorized", Outcome.FAILED, "HTTP 401: it says no"),
        ("410 Gone", Outcome.GONE, "HTTP 410: it says no"),
        ("429 Too Many Requests", Outcome.FAILED, "HTTP 429: it says no"),
        ("500 Internal Server Error", Outcome.FAILED, "HTTP 500: it says no"),
    ),
)
def test_the_status_decides(limits: Limits, status: str, outcome: Outcome, told: str) -> None:
    """2xx is a yes, 410 a never again, all else a not now."""
    with listening.listening(says(status, "it says\r\n no\n", location="http://127.0.0.1:1/")) as server:
        assert send(server.port, limits) == Answer(outcome, told)
        assert len(server.requests) == 1  # a redirect is not followed


@pytest.mark.parametrize("status", ("429 Too Many Requests", "503 Service Unavailable"))
@pytest.mark.parametrize(
    ("header", "seconds"),
    (
        ("120", 120.0),
        ("0", 0.0),
        (format_datetime(NOW.replace(microsecond=0) + timedelta(minutes=10), usegmt=True), 599.1),
        (format_datetime(NOW - timedelta(minutes=10), usegmt=True), 0.0),
        ("99999999999999999999", 24 * 3600.0),
        (format_datetime(NOW + timedelta(days=300), usegmt=True), 24 * 3600.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ),
)
def test_retry_after_is_heeded(limits: Limits, status: str, header: str, seconds: float | None) -> None:
    """In seconds or as a date, up to a day."""
    with listening.listening(says(status, retry_after=header)) as server:
        again_after = send(server.port, limits).again_after
    assert again_after == (None if seconds is None else pytest.approx(seconds))


def test_retry_after_of_others_says_nothing(limits: Limits) -> None:
    """It is for those who are too busy."""
    with listening.listening(says("500 Internal Server Error", retry_after="120")) as server:
        assert send(server.port, limits).again_after is None


def test_what_a_server_repeats_of_the_address_is_not_told(limits: Limits) -> None:
    """It knows path, password and signature, and may say them; what it says is cut behind that, and made harmless."""
    said = f"\x1b[31mno {HIDDEN_PATH} for ann:pass-word ({KEY})\x1b[0m " + "x" * 170 + "0123456789abcdef"
    with listening.listening(says("404 Not Found", said)) as server:
        answer = send(server.port, limits)
    assert answer.text.startswith(r"HTTP 404: \x1b[31mno /•••/•••?key=••• for ••• (•••)\x1b[0m x")
    assert answer.text.endswith("x")


TOKENS = st.text("abAB019-_~.é夜%", min_size=6, max_size=20).map(lambda text: text.replace("%", "%41"))


@settings(deadline=None)
@given(TOKENS, TOKENS, TOKENS, st.text(max_size=250))
def test_whatever_a_server_repeats_is_not_told(path: str, query: str, password: str, around: str) -> None:
    """As it was sent, as it is read, or as others would write it."""
    password = f"p/{password}:@"
    login = f"ann:{quote(password, safe='')}"
    there = cast("Webhook", address_of(f"https://{login}@hook.example/a/{path}?key={query}"))
    secrets = (there.url, there.login or there.url)
    for secret in (path, query, quote(password, safe="")):
        for form in (quote(secret, "%"), unquote(secret), quote(unquote(secret), safe="")):
            for said in (f"{around}{form}", f"{form}{around}", f"/{form}?{form}", f"{form}={form}{form}"):
                assert form not in Reply(404, "", said).in_short(secrets).replace(around, "")


@pytest.mark.parametrize(
    ("answer", "word"),
    (
        (sends(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "does not speak HTTP"),
        (sends(b"HTTP/1.1 banana\r\n\r\n"), "does not speak HTTP"),
        (sends(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n"), "does not speak HTTP"),
        (sends(b""), "closed the connection"),
        (listening.hangs, "no answer within 0.2 s"),
    ),
    ids=("another protocol", "no status", "no end of headers", "closes", "hangs"),
)
def test_what_is_no_answer_has_a_reason(impatient: Limits, answer: listening.Answer, word: str) -> None:
    """And says what to do."""
    with listening.listening(answer) as server:
        told = send(server.port, impatient)
    assert told.outcome is Outcome.FAILED
    assert told.text.startswith("http://127.0.0.1: ")
    assert word in told.text


@pytest.mark.parametrize(
    ("answer", "expected"),
    (
        (listening.never_ends("200 OK"), Answer(Outcome.SENT, "HTTP 200")),
        (listening.never_ends("410 Gone"), Answer(Outcome.GONE, "HTTP 410: " + "x" * 200)),
        (sends(b"HTTP/1.1 500 No\r\ncontent-length: 99\r\n\r\nhalf"), Answer(Outcome.FAILED, "HTTP 500: half")),
        (sends(b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\nzz"), Answer(Outcome.FAILED, "HTTP 500")),
        (sends(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf"), Answer(Outcome.SENT, "HTTP 200")),
    ),
    ids=("endless yes", "endless no", "half a no", "broken no", "half a yes"),
)
def test_a_status_counts_whatever_its_body_does(impatient: Limits, answer: listening.Answer, expected: Answer) -> None:
    """It was said before."""
    with listening.listening(answer) as server:
        assert send(server.port, impatient) == expected


def test_where_nothing_listens(limits: Limits) -> None:
    """The reason is not that of a server that says no."""
    with listening.nothing_listens() as port:
        assert "nothing listens there" in send(port, limits).text


def test_a_name_that_is_not_known(limits: Limits) -> None:
    """`.invalid` never is (RFC 6761)."""
    there = cast("Webhook", address_of("https://hook.invalid/0123456789"))
    answer = webhook.send(there, None, PAYLOAD, "msg_41", NOW, limits)
    assert answer.outcome is Outcome.FAILED
    assert answer.text.startswith("https://hook.invalid: its name is not known")


def test_a_certificate_is_verified(tls: ssl.SSLContext, trusted: Path, limits: Limits) -> None:
    """One whose issuer the host trusts, for this name; for another name it is none."""
    assert trusted.exists()
    with listening.listening(says("200 OK"), tls) as server:
        for host, outcome in (("localhost", Outcome.SENT), ("127.0.0.1", Outcome.FAILED)):
            there = cast("Webhook", address_of(f"https://{host}:{server.port}/0123456789"))
            answer = webhook.send(there, None, PAYLOAD, "msg_41", NOW, limits)
            assert answer.outcome is outcome
        assert "certificate is not trusted" in answer.text
        assert "127.0.0.1" in answer.text


def test_a_certificate_of_nobody_is_refused(tls: ssl.SSLContext, limits: Limits) -> None:
    """It says where the issuer's would go, and nothing was sent."""
    with listening.listening(says("200 OK"), tls) as server:
        there = cast("Webhook", address_of(f"https://localhost:{server.port}/0123456789"))
        answer = webhook.send(there, None, PAYLOAD, "msg_41", NOW, limits)
        assert server.requests == []
    assert answer.outcome is Outcome.FAILED
    assert "SSL_CERT_FILE" in answer.text


def test_https_where_http_is_spoken(server: Server, limits: Limits) -> None:
    """Says which of the two is wrong."""
    there = cast("Webhook", address_of(f"https://localhost:{server.port}/0123456789"))
    assert "no TLS is spoken there" in webhook.send(there, None, PAYLOAD, "msg_41", NOW, limits).text


def test_the_proxy_of_the_environment_is_used(server: Server, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the hosts of no_proxy."""
    there = cast("Webhook", address_of("http://hook.invalid/0123456789"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    assert webhook.send(there, None, PAYLOAD, "msg_41", NOW, limits).outcome is Outcome.SENT
    assert server.requests[0].line == "POST http://hook.invalid/0123456789 HTTP/1.1"
    monkeypatch.setenv("no_proxy", "hook.invalid")
    assert webhook.send(there, None, PAYLOAD, "msg_41", NOW, limits).outcome is Outcome.FAILED


def test_a_proxy_that_refuses(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is named as what refused."""
    there = cast("Webhook", address_of("https://hook.invalid/0123456789"))
    with listening.listening(says("407 Proxy Authentication Required")) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        assert "the proxy refused" in webhook.send(there, None, PAYLOAD, "msg_41", NOW, limits).text


def test_a_heartbeat_is_a_get(server: Server, limits: Limits) -> None:
    """As monitors want it; what it comes to is told as of a message."""
    assert webhook.beat(address(server.port), NOW, limits) == Answer(Outcome.SENT, "HTTP 204")
    assert server.requests[0].line == f"GET {HIDDEN_PATH} HTTP/1.1"
    assert server.requests[0].body == b""
    with listening.nothing_listens() as port:
        assert webhook.beat(address(port), NOW, limits).outcome is Outcome.FAILED


def test_nothing_is_logged(server: Server, limits: Limits, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever turns logs on finds no address in them."""
    with caplog.at_level(logging.DEBUG):
        send(server.port, limits)
    assert caplog.text == ""
