"""What holds for every answer: its headers, the names it may be asked by, and how."""

import pytest

from tests.unit.daemon.face.diary import TRAINING, Diary, utc
from tests.unit.daemon.face.web.visitor import Visitor, addresses

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
WORDS = ("default-src 'none'", "frame-ancestors 'none'")
OF_PAGES = ("script-src 'self';", "style-src 'self';", "require-trusted-types-for 'script'; trusted-types 'none'")


def test_every_answer_has_them(visitor: Visitor, diary: Diary) -> None:
    """Pages, what is no page, errors, refusals, the stylesheet: no answer is without, and none sets a cookie."""
    diary.job("run", utc("2026-11-28 02:00"), *TRAINING)
    static = [visitor.application.site.static.path(name) for name in ("app.css", "app.js", "uPlot.iife.min.js")]
    odd = [
        "/nothing",
        "/jobs/7",
        "/events",
        "/healthz",
        "/metrics",
        "/favicon.ico",
        "/" + "x" * 5000,
        "/jobs/1/steps.csv",
    ]
    answers = [
        *visitor.all([*addresses(), *static, *odd]),
        visitor.get("/", "POST"),
        visitor.get("/", host="evil.example"),
        visitor.get("/events?of=now", "HEAD"),
    ]
    for answer in answers:
        told = answer.headers
        assert {name: told.get(name) for name in HEADERS} == HEADERS, answer.url
        policy = told["content-security-policy"]
        assert all(word in policy for word in WORDS), answer.url
        assert "image/svg" in told["content-type"] or all(word in policy for word in OF_PAGES), answer.url
        assert "set-cookie" not in told
        assert "server" not in told
        is_fixed = answer.url.path in {*static, "/favicon.ico"}
        assert ("max-age" in told["cache-control"]) if is_fixed else (told["cache-control"] == "no-store"), answer.url


@pytest.mark.parametrize(
    "host",
    (
        "localhost", "localhost:8470", "LOCALHOST", "127.0.0.1", "127.0.0.1:1", "127.8.8.8:8470", "[::1]", "[::1]:8470",
        "npu01.example", "Npu01.Example:443", "glm.internal", "[fd00::1]:80",
    ),
)  # fmt: skip
def test_names_that_it_may_be_asked_by(visitor: Visitor, host: str) -> None:
    """This host's own, those of the settings, and that of `url`; with any port."""
    visitor = Visitor(visitor.root, url="https://npu01.example/glmd", hosts=["glm.internal", "[fd00::1]"])
    assert visitor.get("/healthz", host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    (
        "", "evil.example", "evil.example:8470", "localhost.evil.example", "localhost.", "127.0.0.1.evil.example",
        "0.0.0.0",  # noqa: S104 - refused

        "10.0.0.1", "[fd00::1]", "[::]", "[::1", "::1", "user@localhost", "localhost:80@evil.example", "localhost/x",
        "localhost:", "localhost:x", "localhost:999999", " localhost", "localhost,evil.example", "[::1%25eth0]",
        "2130706433", "127.1", "0x7f.0.0.1", "localhost:8470:8470", "x" * 4000,
    ),
)  # fmt: skip
def test_names_that_it_may_not_be_asked_by(visitor: Visitor, host: str) -> None:
    """A stranger's page whose name leads to this host gets nothing: a browser says by which name it asks."""
    answer = visitor.get("/healthz", host=host)
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_methods_that_would_change_something(visitor: Visitor) -> None:
    """The page only reads."""
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
        for path in ("/", "/jobs/1", "/events?of=now", "/nothing"):
            answer = visitor.get(path, method)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["allow"] == "GET, HEAD"


def test_a_picture_can_run_nothing(visitor: Visitor, diary: Diary) -> None:
    """It has its colours in it, and is by itself in a box."""
    diary.job("run", utc("2026-11-28 02:00"), *TRAINING)
    policy = visitor.get("/jobs/1/loss.svg").headers["content-security-policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
