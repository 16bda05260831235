"""The settings of the page."""

import pytest
from pydantic import ValidationError

from daemon.core.web_plan import Action, WebPlan, address_in
from daemon.core.web_settings import WebSettings


def test_without_any() -> None:
    """It listens where systemd says, and lets nobody do anything."""
    web = WebSettings().plan()
    assert web == WebPlan()
    assert (web.listen, web.prefix, web.actions, web.download) == ("auto", "", (), False)


@pytest.mark.parametrize(
    ("listen", "address"),
    (("127.0.0.1:8470", ("127.0.0.1", 8470)), ("[::1]:80", ("::1", 80)), ("localhost:1", ("localhost", 1))),
)
def test_addresses_of_this_host(listen: str, address: tuple[str, int]) -> None:
    """With their port."""
    assert address_in(WebSettings(listen=listen).listen) == address


@pytest.mark.parametrize(
    "listen",
    (
        "0.0.0.0:80",
        ":8470",
        "8470",
        "10.0.0.1:80",
        "[::]:80",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "",
        "web.sock",
    ),
)
def test_others_are_refused(listen: str) -> None:
    """What strangers could reach: there is no password."""
    with pytest.raises(ValidationError, match="ssh -L"):
        WebSettings(listen=listen)


@pytest.mark.parametrize(
    ("url", "prefix"),
    (("https://npu01.example", ""), ("https://npu01.example/", ""), ("http://npu01.example:8080/a/glmd/", "/a/glmd")),
)
def test_the_prefix_behind_a_proxy(url: str, prefix: str) -> None:
    """Is the path of the address."""
    assert WebSettings(url=url).plan().prefix == prefix


@pytest.mark.parametrize(
    "url", ("npu01", "ftp://x", "https://", "https://a@b/", "https://x/?q", "https://x/#f", "javascript:1")
)
def test_what_is_no_address(url: str) -> None:
    """Is refused with what would be one."""
    with pytest.raises(ValidationError, match="https://HOST"):
        WebSettings(url=url)


@pytest.mark.parametrize(
    "wrong",
    (
        {"hosts": ["https://x"]}, {"hosts": ["x:80"]}, {"hosts": ["*"]}, {"hosts": [""]}, {"language": "fr"},
        {"actions": ["cancel", "cancel"]}, {"actions": ["submit"]}, {"hide": ["["]}, {"hide": ["x"] * 101},
        {"other": 1},
    ),
)  # fmt: skip
def test_what_is_refused(wrong: dict[str, object]) -> None:
    """Before it is served."""
    with pytest.raises(ValidationError):
        WebSettings.model_validate(wrong)


def test_what_is_taken() -> None:
    """Names in small letters."""
    web = WebSettings(hosts=("Npu01.Example", "[FD00::1]"), actions=(Action.CANCEL,), hide=("ak",))
    hosts = ("npu01.example", "[fd00::1]")
    assert web.plan() == WebPlan(hosts=hosts, actions=(Action.CANCEL,), hide=("ak",))


@pytest.mark.parametrize("url", ("http://127.0.0.1:8082/metrics", "http://localhost:1", "http://[::1]:8082/metrics"))
def test_an_exporter_of_this_host(url: str) -> None:
    """By its address."""
    assert WebSettings(npu_exporter=url).npu_exporter == url


@pytest.mark.parametrize(
    "url",
    ("https://127.0.0.1:8082/", "http://npu01:8082/metrics", "http://10.0.0.1:8082/", "http://a@127.0.0.1:8082/",
     "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://127.0.0.1:8082/?x", "file:///x", "127.0.0.1:8082", ""),
)  # fmt: skip
def test_exporters_of_others_are_refused(url: str) -> None:
    """The page has loopback at most."""
    with pytest.raises(ValidationError, match="8082/metrics"):
        WebSettings(npu_exporter=url)
