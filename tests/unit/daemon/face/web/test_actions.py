"""Promises of what the page may ask the daemon for."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from daemon.core.night_hours import NightHours
from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.core.web_plan import Action, WebPlan
from daemon.face.web.app import Application
from daemon.face.web.site import Site

HOST = "http://localhost"
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


class Browser:
    """Looks at the page of a root, and keeps its cookies."""

    def __init__(self, root: Root, *actions: Action, **web: object) -> None:
        site = Site(root, WebPlan(actions=actions, **web), NightHours.parse("18:00-08:00"), "npu01")
        self._transport = httpx.ASGITransport(Application(site).asgi)
        self.cookies = httpx.Cookies()

    def get(self, path: str) -> httpx.Response:
        """Ask for an address."""
        return self._ask("GET", path)

    def post(self, path: str, data: dict[str, str], headers: dict[str, str]) -> httpx.Response:
        """Send a form."""
        return self._ask("POST", path, data=data, headers=headers)

    def _ask(self, method: str, path: str, **more: object) -> httpx.Response:
        async def ask() -> httpx.Response:
            browser = httpx.AsyncClient(transport=self._transport, base_url=HOST, cookies=self.cookies)
            async with browser:
                answer = await browser.request(method, path, **more)
                self.cookies = browser.cookies
                return answer

        return asyncio.run(ask())


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Make a root with a job that waits."""
    root = Root(tmp_path)
    with Store.open(root.store) as store:
        store.add(NewJob(claim="a", name="waits", devices=(0, 1), prefix="glm-6b"))
    return root


def token_in(browser: Browser, address: str = "/jobs/1/do/cancel") -> str:
    """Open the question, and return what its form brings back."""
    found = TOKEN.search(browser.get(address).text)
    assert found is not None
    return found[1]


def test_by_default_the_page_only_reads(root: Root) -> None:
    """No question, no form, no button, no method but GET and HEAD."""
    browser = Browser(root)
    assert browser.get("/jobs/1/do/cancel").status_code == 404
    assert browser.post("/jobs/1/do/cancel", data={"token": "x"}, headers={"Origin": HOST}).status_code == 405
    assert "/do/" not in browser.get("/jobs/1").text


def test_only_what_the_settings_name_and_the_job_allows_is_offered(root: Root) -> None:
    """A job that waits can be cancelled, not retried; what is not named is not there at all."""
    browser = Browser(root, Action.CANCEL, Action.RETRY)
    page = browser.get("/jobs/1").text
    assert "/jobs/1/do/cancel" in page
    assert "/jobs/1/do/retry" not in page
    assert browser.get("/jobs/1/do/retry").status_code == 404
    assert browser.get("/jobs/1/do/promote").status_code == 404
    assert browser.get("/jobs/1/do/drop").status_code == 404


@pytest.mark.parametrize(
    ("token", "headers", "keeps_cookie"),
    (
        (None, {"Origin": HOST}, False),
        ("", {"Origin": HOST}, True),
        ("0" * 64, {"Origin": HOST}, True),
        (None, {}, True),
        (None, {"Origin": "http://evil.example"}, True),
        (None, {"Origin": "null"}, True),
        (None, {"Origin": "http://["}, True),
    ),
)
def test_a_form_that_the_page_did_not_show_does_nothing(
    root: Root, token: str | None, headers: dict[str, str], *, keeps_cookie: bool
) -> None:
    """Without its token, its session or its origin nobody is asked; there is no daemon, which would be a 409."""
    browser = Browser(root, Action.CANCEL)
    right = token_in(browser)
    if not keeps_cookie:
        browser.cookies.clear()
    sent = browser.post("/jobs/1/do/cancel", data={"token": right if token is None else token}, headers=headers)
    assert sent.status_code == 404
    assert "this form is not from this page" in sent.text


def test_a_token_is_of_one_job_and_action(root: Root) -> None:
    """Shown for one, it does nothing to another; nor does it hold in another process."""
    with Store.open(root.store) as store:
        store.add(NewJob(claim="b", name="second", devices=(0, 1), prefix="glm-6b"))
    browser = Browser(root, Action.CANCEL)
    right = token_in(browser)
    assert browser.post("/jobs/2/do/cancel", data={"token": right}, headers={"Origin": HOST}).status_code == 404
    other = Browser(root, Action.CANCEL)
    other.cookies = browser.cookies
    assert other.post("/jobs/1/do/cancel", data={"token": right}, headers={"Origin": HOST}).status_code == 404


def test_a_daemon_that_is_not_there_is_told_of(root: Root) -> None:
    """The page says so, and the job is as it was."""
    browser = Browser(root, Action.CANCEL)
    sent = browser.post("/jobs/1/do/cancel", data={"token": token_in(browser)}, headers={"Origin": HOST})
    assert sent.status_code == 409
    assert "glmd does not run" in sent.text
    with Store.open(root.store) as store:
        assert store.job(1).state is State.QUEUED


def test_the_session_is_for_this_page_alone(root: Root) -> None:
    """No script reads it, no other page sends it; behind a proxy with TLS it is sent by that alone."""
    told = Browser(root, Action.CANCEL).get("/jobs/1/do/cancel").headers["Set-Cookie"]
    assert "HttpOnly; SameSite=Strict" in told
    assert "Path=/;" in told
    behind = Browser(root, Action.CANCEL, url="https://npu01.example/glmd", hosts=("localhost",))
    told = behind.get("/jobs/1/do/cancel").headers["Set-Cookie"]
    assert "Path=/glmd" in told
    assert "Secure" in told


def test_a_body_is_bounded(root: Root) -> None:
    """What is longer than any form of ours is not read to its end, and does nothing."""
    browser = Browser(root, Action.CANCEL)
    data = {"token": token_in(browser), "reason": "x" * 5000}
    assert browser.post("/jobs/1/do/cancel", data=data, headers={"Origin": HOST}).status_code == 404
