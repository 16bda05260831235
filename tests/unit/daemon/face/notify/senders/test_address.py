"""Promises of daemon.face.notify.senders.address: what an address means, and how little is shown of it."""

import traceback
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.face.notify.senders import robots
from daemon.face.notify.senders.address import Mail, Robot, Security, Webhook, address_of, notes_of
from handlers.codes import Code
from handlers.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "url", "login", "host"),
    (
        ("https://hook.example/a/b?key=x%20y", "https://hook.example/a/b?key=x%20y", None, "hook.example"),
        ("HTTP://Hook.example:8080", "http://hook.example:8080", None, "hook.example"),
        ("https://ann:p%40ss@hook.example/é?q=é", "https://hook.example/%C3%A9?q=%C3%A9", "ann:p@ss", "hook.example"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x", None, "xn--bcher-kva.example"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x", None, "[::1]"),
    ),
)
def test_http_is_a_webhook(text: str, url: str, login: str | None, host: str) -> None:
    """It is called as HTTP wants it; user and password go into a header."""
    address = address_of(text)
    assert isinstance(address, Webhook)
    assert address.url.reveal() == url
    assert (address.login.reveal() if address.login else None) == login
    assert (address.scheme, address.host) == (text.partition(":")[0].lower(), host)


@pytest.mark.parametrize(
    ("text", "server"),
    (
        ("smtps://ann:p%40s%2Fs@mail.example/?from=a@b.example&to=c@d.example", (465, Security.TLS)),
        ("smtp://ann:p%40s%2Fs@mail.example:2525?from=a@b.example&to=c@d.example", (2525, Security.STARTTLS)),
        ("smtp://ann:p%40s%2Fs@mail.example/?from=a@b.example&to=c@d.example", (587, Security.STARTTLS)),
        ("smtp://ann:p%40s%2Fs@mail.example/?from=a@b.example&to=c@d.example&tls=off", (25, Security.NONE)),
        ("smtp://ann:p%40s%2Fs@localhost/?from=a@b.example&to=c@d.example", (25, Security.NONE)),
        ("smtp://ann:p%40s%2Fs@127.0.0.1/?from=a@b.example&to=c@d.example", (25, Security.NONE)),
    ),
)
def test_smtp_is_mail(text: str, server: tuple[int, Security]) -> None:
    """TLS is wanted, but where it is turned off or nobody is in between."""
    address = address_of(text)
    assert isinstance(address, Mail)
    assert (address.port, address.security) == server
    assert address.user is not None
    assert address.password is not None
    assert (address.user.reveal(), address.password.reveal()) == ("ann", "p@s/s")
    assert (address.sender, address.recipients) == ("a@b.example", ("c@d.example",))


def test_several_recipients() -> None:
    """By commas, or by several `to`; the + of an address is no blank."""
    address = address_of("smtps://h.example/?from=a@b.example&to=c+x@d.example,e@f.example&to=g@h.example")
    assert isinstance(address, Mail)
    assert address.recipients == ("c+x@d.example", "e@f.example", "g@h.example")
    assert (address.user, address.password) == (None, None)


@pytest.mark.parametrize(
    ("text", "word"),
    (
        ("team", "does not begin as"),
        ("://x", "does not begin as"),
        ("https://", "does not begin as"),
        ("https:///x", "no host"),
        ("https://h.example:port/", "a port that is none"),
        ("https://h.example:0/", "a port that is none"),
        ("https://h.example:70000/", "a port that is none"),
        ("https://[::1/", "no host"),
        ("https://h.example/#x", "# is %23"),
        ("https://h example/", "%20"),
        ("https://h..example/", "no name"),
        (f"https://{'h' * 64}.example/", "no name"),
        ('https://h".example/', "no name"),
        ("https://ann:/pass@h.example/", "%40"),
        ("https://ann?pass@h.example/", "%40"),
        ("smtps://h.example/", "?from="),
        ("smtps://h.example/?from=a@b.example", "?from="),
        ("smtps://h.example/?to=a@b.example", "?from="),
        ("smtps://h.example/?from=a@b.example,c@d.example&to=a@b.example", "?from="),
        ("smtps://h.example/?from=a@b.example&to=c@d.example&cc=x@y.example", "tls=off"),
        ("smtp://h.example/?from=a@b.example&to=c@d.example&tls=on", "tls=off"),
        ("smtps://h.example/?from=a@b.example&to=c@d.example&tls=off", "for smtp://"),
        ("smtps://ann:pa/ss@h.example/?from=a@b.example&to=c@d.example", "%2F"),
        ("smtps://ann:1/2@h.example/?from=a@b.example&to=c@d.example", "%2F"),
        ("smtps://ann:pä@h.example/?from=a@b.example&to=c@d.example", "ASCII"),
        ("smtps://h.example/?from=a&to=c@d.example", "no mail address"),
        ("smtps://h.example/?from=a@b.example&to=c@d.example%0d%0aBcc:%20x@y.example", "no mail address"),
        ("smtps://h.example/?from=a@b.example&to=%22", "no mail address"),
        ("nosuchchat://token/", "Apprise knows no such address"),
        ("dingtalk://not_a_token!/", "Apprise knows no such address"),
    ),
)
def test_what_is_no_address_says_how_it_is_written(text: str, word: str) -> None:
    """And shows its scheme at most: what looks like a host may be a part of a password."""
    with pytest.raises(BadInputError) as caught:
        address_of(text)
    assert caught.value.code is Code.NOTIFY_ADDRESS
    assert word in str(caught.value)
    assert "example" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "form"),
    (
        ("https://oapi.dingtalk.com/robot/send?access_token=0123abc", "dingtalk://SECRET@TOKEN/"),
        ("https://open.feishu.cn/open-apis/bot/v2/hook/0123-abc", "feishu://TOKEN/"),
        ("https://sctapi.ftqq.com/SCT0123abc.send", "schan://SENDKEY/"),
        ("https://api.telegram.org/bot123456789:0123abc/sendMessage", "tgram://BOT_TOKEN/CHAT_ID/"),
        ("https://api.day.app/0123abc/", "barks://api.day.app/DEVICE_KEY/"),
    ),
)
def test_the_url_of_a_robot_is_no_webhook(text: str, form: str) -> None:
    """It would take our JSON for nonsense; the message says how to write it."""
    with pytest.raises(BadInputError) as caught:
        address_of(text)
    assert caught.value.code is Code.NOTIFY_ADDRESS
    assert form in str(caught.value)
    assert "0123" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "scheme"),
    (
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0123-abc", "wecombot"),
        ("https://open.larksuite.com/open-apis/bot/v2/hook/0123-abc", "lark"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "slack"),
    ),
)
def test_a_robots_url_that_apprise_reads_is_a_robot(text: str, scheme: str) -> None:
    """It can stay as the chat showed it."""
    address = address_of(text)
    assert isinstance(address, Robot)
    assert address.scheme == scheme
    assert str(address) == f"{scheme}://•••"


def test_without_apprise_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to write the address then, where it is the URL of a robot that is known."""
    monkeypatch.setattr(robots, "find_spec", lambda _: None)
    for text, words in (
        ("dingtalk://0123@abc/", "pip install 'glmd[notify]'"),
        ("https://open.feishu.cn/open-apis/bot/v2/hook/0123", "feishu://TOKEN/"),
    ):
        with pytest.raises(BadInputError) as caught:
            address_of(text)
        assert caught.value.code is Code.NOTIFY_NO_APPRISE
        assert words in str(caught.value)
        assert "0123" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "word"),
    (
        ("http://hook.example/x", "https://"),
        ("smtp://ann:pass@mail.example/?from=a@b.example&to=c@d.example&tls=off", "password"),
        ("smtp://mail.example/?from=a@b.example&to=c@d.example&tls=off", "messages"),
    ),
)
def test_what_others_can_read_is_noted(text: str, word: str) -> None:
    """With no more of the address than scheme and host."""
    (note,) = notes_of(address_of(text))
    assert word in note
    assert "b.example" not in note


@pytest.mark.parametrize(
    "text",
    (
        "https://hook.example/x",
        "http://127.0.0.1:8080/x",
        "http://[::1]/x",
        "http://localhost/x",
        "smtp://mail.example/?from=a@b.example&to=c@d.example",
        "smtp://localhost/?from=a@b.example&to=c@d.example",
        "wecombot://0123-abc/",
    ),
)
def test_what_nobody_can_read_is_not_noted(text: str) -> None:
    """TLS, or nobody in between."""
    assert notes_of(address_of(text)) == []


HUSHED = "s3cretZZ"
ODD = st.lists(st.sampled_from([*"a1/:@?#&=%[]. é夜\\\"'+,;\0\n", "%2F", "%40", "//", "x:1"]), max_size=3).map("".join)
SCHEMES = st.sampled_from(
    ("http://", "https://", "smtp://", "smtps://", "dingtalk://", "wecombot://", "json://", "x://", "")
)


@settings(max_examples=500, deadline=None)  # the first loads Apprise
@given(SCHEMES, ODD, ODD, st.sampled_from(("h.example/", "h.example:1/?from=a@b.c&to=d@e.f", "", "[::1]")), ODD)
def test_nothing_shows_a_secret(scheme: str, before: str, between: str, host: str, after: str) -> None:
    """Wherever it stands, in user, password, path or query, and whatever is wrong around it."""
    login = f"{before}{HUSHED}:{between}{HUSHED}@"
    for text in (f"{scheme}{login}{host}{after}", f"{scheme}h.example/{before}{HUSHED}{after}", f"{HUSHED}{before}"):
        shown = ""
        with suppress(BadInputError):
            address = address_of(text)
            shown = f"{address!r} {address} {notes_of(address)}"
        try:
            address_of(text)
        except BadInputError as error:
            shown += "".join(traceback.format_exception(error)) + repr(error.__context__)
        assert HUSHED.lower() not in shown.lower()
