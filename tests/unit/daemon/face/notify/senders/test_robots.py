"""Promises of daemon.face.notify.senders.robots: the real Apprise, its plugins pointed at servers here."""

import json
import logging
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs

import pytest
import requests

from daemon.face.notify.message import Answer, Outcome, Payload
from daemon.face.notify.secret import Secret
from daemon.face.notify.senders import robots
from daemon.face.notify.senders.address import Robot, address_of
from daemon.face.notify.senders.limits import Limits
from handlers.errors import BadInputError
from tests import listening
from tests.listening import Request, says
from tests.unit.daemon.face.notify.senders.messages import NOW, PAYLOAD

URLS = {
    "dingtalk": "dingtalk://SEC0123456789abc@abcdef987654/",
    "feishu": "feishu://0123456789-abcdef/",
    "lark": "lark://0123456789-abcdef/",
    "wecombot": "wecombot://0123456789-abcdef/",
    "schan": "schan://SCT0123456789abcdef/",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
    "tgram": "tgram://123456789:abcdefg_hijklmnop/12315544/",
}
ENDPOINTS = {
    "dingtalk": ("notify_url", "http://127.0.0.1:{}/robot/send?access_token={{token}}"),
    "feishu": ("notify_url", "http://127.0.0.1:{}/hook/{{token}}/"),
    "lark": ("notify_url", "http://127.0.0.1:{}/hook/"),
    "wecombot": ("notify_url", "http://127.0.0.1:{}/send?key={{key}}"),
    "schan": ("notify_url", "http://127.0.0.1:{}/{{token}}.send"),
    "slack": ("webhook_url", "http://127.0.0.1:{}/services"),
    "tgram": ("notify_url", "http://127.0.0.1:{}/bot"),
}
"""Where each plugin has the address of its chat, and ours instead."""
YES = {"slack": "ok"}
YES_OF_OTHERS = '{"errcode":0,"errmsg":"ok","code":0,"msg":"success","ok":true}'
NO = {
    "dingtalk": ("200 OK", '{"errcode":310000,"errmsg":"keywords not in content"}', "errcode 310000: keywords not in"),
    "feishu": ("200 OK", '{"code":19024,"msg":"Key Words Not Found"}', "Key Words Not Found"),
    "lark": ("200 OK", '{"code":19021,"msg":"sign match fail"}', "sign match fail"),
    "wecombot": ("200 OK", '{"errcode":93000,"errmsg":"invalid webhook url"}', "errcode 93000: invalid webhook url"),
    "schan": ("200 OK", '{"code":40001,"message":"bad key"}', "code 40001: bad key"),
    "slack": ("403 Forbidden", "invalid_token", "HTTP 403: invalid_token"),
    "tgram": ("400 Bad Request", '{"ok":false,"description":"chat not found"}', "chat not found"),
}
"""How each chat says no."""


def text_of(request: Request) -> str:
    """Return what a chat would show of a request, whatever its form."""
    is_json = request.body.startswith(b"{")
    document = json.loads(request.body) if is_json else parse_qs(request.body.decode())
    return "\n".join(texts(document))


def texts(value: object) -> Iterator[str]:
    """Yield all texts in a document."""
    match value:
        case str():
            yield value
        case dict() | list():
            for one in value.values() if isinstance(value, dict) else value:
                yield from texts(one)


def send(url: str, limits: Limits, payload: Payload = PAYLOAD) -> Answer:
    """Send, and see that nothing of the address is told but how Apprise calls it."""
    address = address_of(url)
    assert isinstance(address, Robot)
    answer = robots.send(address.url, address.scheme, payload, NOW, limits)
    for piece in re.split(r"[/:@?=]+", url.partition("://")[2]):
        assert len(piece) < 6 or piece not in answer.text
    assert len(answer.text) <= 300
    assert answer.text.isprintable()
    return answer


@dataclass(frozen=True)
class Pointed:
    """One robot, whose plugin can be pointed at a server here."""

    name: str
    monkeypatch: pytest.MonkeyPatch

    @property
    def yes(self) -> listening.Answer:
        """What its chat says when it has taken a message."""
        return says("200 OK", YES.get(self.name, YES_OF_OTHERS))

    def at(self, port: int) -> str:
        """Return its address, which leads to `port`."""
        plugin = type(robots._plugin(Secret(URLS[self.name]), self.name))
        name, endpoint = ENDPOINTS[self.name]
        self.monkeypatch.setattr(plugin, name, endpoint.format(port))
        return URLS[self.name]


@pytest.fixture(params=URLS)
def robot(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pointed:
    """Return each robot."""
    return Pointed(request.param, monkeypatch)


def test_a_robot_says_title_and_text(robot: Pointed, limits: Limits) -> None:
    """In one message, in the chat's own form."""
    with listening.listening(robot.yes) as server:
        assert send(robot.at(server.port), limits) == Answer(Outcome.SENT)
    (request,) = server.requests
    text = text_of(request)
    for line in (PAYLOAD.title, *PAYLOAD.text.splitlines()):
        assert line in text
    assert b"apprise" not in (request.body + str(request.headers).encode()).lower()  # nor a link to its pictures


def test_a_robot_that_says_no_is_heard(robot: Pointed, limits: Limits) -> None:
    """Also where it does so with HTTP 200, which Apprise takes for a yes; the reason is the chat's own."""
    status, body, words = NO[robot.name]
    with listening.listening(says(status, body)) as server:
        answer = send(robot.at(server.port), limits)
    assert answer.outcome is Outcome.FAILED
    assert answer.text.startswith(f"{robot.name}: ")
    assert words in answer.text


def test_a_yes_may_be_long(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read to its end, or it would be no document."""
    robot = Pointed("wecombot", monkeypatch)
    with listening.listening(says("200 OK", '{"errcode":0,"more":"' + "x" * 10_000 + '"}')) as server:
        assert send(robot.at(server.port), limits) == Answer(Outcome.SENT)


def test_a_page_is_no_yes(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A portal before the network answers with 200 and its own page, which robots with documents never do."""
    robot = Pointed("dingtalk", monkeypatch)
    with listening.listening(says("200 OK", "<html>Please log in</html>")) as server:
        answer = send(robot.at(server.port), limits)
    assert answer == Answer(Outcome.FAILED, "dingtalk: what answers is no robot: <html>Please log in</html>")


def test_what_is_no_robot_has_a_reason(robot: Pointed, impatient: Limits) -> None:
    """Garbage, silence, an early end, and nothing at all."""
    for answer, words in (
        (listening.sends(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "no answer"),
        (listening.sends(b""), "no answer"),
        (listening.hangs, "no answer in time"),
    ):
        with listening.listening(answer) as server:
            told = send(robot.at(server.port), impatient)
        assert told.outcome is Outcome.FAILED
        assert words in told.text
    with listening.nothing_listens() as port:
        assert send(robot.at(port), impatient).outcome is Outcome.FAILED


def test_a_robot_that_is_too_busy_says_until_when(robot: Pointed, limits: Limits) -> None:
    """Apprise itself tells only that it did not go."""
    with listening.listening(says("429 Too Many Requests", "{}", retry_after="77")) as server:
        answer = send(robot.at(server.port), limits)
    assert (answer.outcome, answer.again_after) == (Outcome.FAILED, 77.0)


@pytest.mark.parametrize("log_level", (logging.DEBUG, 1))
def test_no_log_has_an_address(
    robot: Pointed,
    impatient: Limits,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    log_level: int,
) -> None:
    """Neither of a yes, nor of a no, nor of an address that is none; Apprise writes them into its logs."""
    caplog.set_level(log_level)
    for name in ("apprise", "urllib3"):
        caplog.set_level(log_level, name)
    for answer in (robot.yes, says("500 No", "no"), listening.hangs):
        with listening.listening(answer) as server:
            send(robot.at(server.port), impatient)
    with pytest.raises(BadInputError) as caught:
        address_of("dingtalk://SEC-0123456789abc@abc!def987654/")
    assert "987654" not in str(caught.value)
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_logs_are_as_before(limits: Limits) -> None:
    """And so is `requests`: who sends leaves nothing behind."""
    before = requests.Session.send
    with listening.listening(says("200 OK")) as server:
        send(f"json://127.0.0.1:{server.port}/hidden-path-0123", limits)
    logger = logging.getLogger("apprise")
    assert (logger.propagate, logger.level) == (True, logging.NOTSET)
    assert requests.Session.send is before


@pytest.mark.parametrize(
    "words", ("<!channel> go", "@all go", "@Everyone go", '<at user_id="all">x</at> go', "@所有人 go")
)
def test_nobody_is_called_by_what_strangers_wrote(robot: Pointed, limits: Limits, words: str) -> None:
    """Names of jobs and log lines are theirs; a word joiner, which nobody sees, breaks what a chat would obey."""
    with listening.listening(robot.yes) as server:
        send(robot.at(server.port), limits, Payload(words, words, {}))
    (request,) = server.requests
    assert words not in text_of(request)
    assert words.encode() not in request.body


def test_markdown_stays_as_it_is_written(robot: Pointed, limits: Limits) -> None:
    """A loss of `*nan*` is no emphasis: the text is sent as plain text, or escaped."""
    with listening.listening(robot.yes) as server:
        send(robot.at(server.port), limits, Payload("t", "a_b *c* [d](http://e)", {}))
    (request,) = server.requests
    assert "a_b *c* [d](http://e)" in text_of(request)
    assert b"markdown" not in request.body.lower()


def test_what_is_long_is_cut(robot: Pointed, limits: Limits) -> None:
    """To one message that each chat takes, of whole characters; WeCom counts bytes."""
    with listening.listening(robot.yes) as server:
        assert send(robot.at(server.port), limits, Payload("夜", "夜里" * 5000, {})).outcome is Outcome.SENT
    (request,) = server.requests
    assert "夜里夜里…" in text_of(request)
    assert len(request.body) < 20_000
    if robot.name == "wecombot":
        assert len(json.loads(request.body)["text"]["content"].encode()) <= 2048


def test_a_title_alone_is_a_message(limits: Limits) -> None:
    """Where there is no more to say."""
    with listening.listening(says("200 OK")) as server:
        assert send(f"json://127.0.0.1:{server.port}/x", limits, Payload("title", "", {})).outcome is Outcome.SENT
    assert json.loads(server.requests[0].body)["message"] == "title"


def test_bark_at_a_host_of_ones_own(limits: Limits) -> None:
    """Its server is often one's own: its URL has a host, and the device's key behind it."""
    with listening.listening(says("200 OK", '{"code":200,"message":"success"}')) as server:
        assert send(f"bark://127.0.0.1:{server.port}/devicekey0123/", limits).outcome is Outcome.SENT
    assert json.loads(server.requests[0].body)["device_key"] == "devicekey0123"


def test_a_redirect_is_not_followed(limits: Limits) -> None:
    """It would take the message where nobody meant it to go."""
    with listening.listening(says("200 OK")) as other:
        to = says("302 Found", location=f"http://127.0.0.1:{other.port}/")
        with listening.listening(to) as server:
            answer = send(f"json://127.0.0.1:{server.port}/x", limits)
        assert other.requests == []
    assert answer.text.startswith("json: HTTP 302")


def test_a_no_is_no_yes_by_an_option(limits: Limits) -> None:
    """Apprise's `optional` makes every failure a success; it is for others."""
    with listening.listening(says("500 No")) as server:
        assert send(f"json://127.0.0.1:{server.port}/x?optional=yes&retry=3", limits).outcome is Outcome.FAILED
        assert len(server.requests) == 1


def test_a_certificate_is_verified(tls: ssl.SSLContext, limits: Limits) -> None:
    """Apprise's libraries trust their own list of issuers, or REQUESTS_CA_BUNDLE."""
    with listening.listening(says("200 OK"), tls) as server:
        answer = send(f"jsons://localhost:{server.port}/x", limits)
    assert answer.outcome is Outcome.FAILED
    assert "REQUESTS_CA_BUNDLE" in answer.text


@pytest.mark.parametrize("form", sorted(robots.FORMS.values()))
def test_each_form_that_a_message_names_is_apprises(form: str) -> None:
    """As the installed Apprise reads it."""
    for word, value in (
        ("BOT_TOKEN", "123456789:abcdefg_hijklmnop"),
        ("CHAT_ID", "12315544"),
        ("TOKEN_A/TOKEN_B/TOKEN_C", "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"),
    ):
        form = form.replace(word, value)
    assert robots.scheme_of(Secret(form), "x") == form.partition(":")[0]


def test_who_sends_to_no_robot_loads_no_apprise() -> None:
    """It takes 45 MB and a second; pydantic, too, stays out."""
    code = (
        "import sys; from daemon.face.notify import credentials; "
        "from daemon.face.notify.senders import sending, address; "
        "address.address_of('https://h.example/x'); address.address_of('smtp://h.example/?from=a@b.c&to=d@e.f'); "
        "print(sorted({'apprise', 'requests', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
