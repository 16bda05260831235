"""Every page as a browser has it: whole, quiet, readable by everybody, at every width, and asking nobody else."""

import hashlib
import json
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.acceptance.house import House
from tests.browser.browser import AXE, WIDTHS, Browser
from tests.browser.past import DONE, FAILED, HOSTILE, REFUSED, addresses

pytestmark = pytest.mark.browser

ADDRESSES = addresses()
WIDE_TOO = ("/", f"/jobs/{FAILED}")
"""Pages that axe looks at in all widths."""


def with_language(path: str, language: str) -> str:
    """Return the address of a page in a language."""
    return f"{path}{'&' if '?' in path else '?'}lang={language}"


def test_axe_is_what_was_published() -> None:
    """By its hash, with licence and version."""
    (listed,) = json.loads((AXE.parent / "vendor.json").read_text())
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in AXE.parent.iterdir()}
    del there["vendor.json"]
    assert there == listed["files"]


@pytest.mark.parametrize("language", ("en", "zh"))
def test_everybody_can_use_every_page(browser: Browser, language: str) -> None:
    """No violation of WCAG 2.2 A and AA that axe-core finds, light and dark."""
    browser.cdp("Page.enable")
    browser.cdp("Page.setBypassCSP", enabled=True)  # axe is no script of ours
    found = []
    try:
        browser.open("/help")
        browser.run("document.body.append(Object.assign(document.createElement('img'), {src: '/favicon.ico'}))")
        assert "image-alt" in str(browser.violations()), "axe looks"
        for path in ADDRESSES:
            for width in WIDTHS if path in WIDE_TOO and language == "en" else (768,):
                browser.look(width)
                browser.open(with_language(path, language))
                for is_dark in (False, True):
                    browser.look(width, is_dark=is_dark)
                    theme = "dark" if is_dark else "light"
                    found += [f"{path} {width} {theme}: {told}" for told in browser.violations()]
    finally:
        browser.cdp("Page.setBypassCSP", enabled=False)
    assert found == []


def test_every_page_at_every_width(browser: Browser, pictures: Path) -> None:
    """Nothing but what has a box of its own is wider than the window; and there is a picture of each to look at."""
    wide = []
    for path in ADDRESSES:
        name = path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-") or "now"
        for width in WIDTHS:
            browser.look(width)
            browser.open(path)
            browser.until(lambda: browser.run("return document.readyState") == "complete", "it is loaded")
            beyond = browser.run(
                "const {scrollWidth, clientWidth} = document.documentElement; return scrollWidth - clientWidth"
            )
            if beyond != 0:
                wide.append(f"{path} at {width}: {beyond}")
            height = browser.run("return document.documentElement.scrollHeight")
            assert isinstance(height, int)
            for theme in ("light", "dark"):
                browser.look(width, min(height, 3000), is_dark=theme == "dark")
                browser.shoot(pictures / f"{name}-{width}-{theme}.png")
    assert wide == []


def test_every_page_is_quiet_and_asks_this_host_alone(browser: Browser, furnished: House) -> None:
    """No message in the console, of scripts, of the content security policy or of trusted types, in either language."""
    assert furnished.is_up
    for path in ADDRESSES:
        for language in ("en", "zh"):
            browser.open(with_language(path, language))
            assert browser.run("return document.documentElement.lang") == language
            said = [text for text in browser.complaints() if path not in REFUSED or "404" not in text]
            assert said == [], path
    assert browser.hosts() == {"127.0.0.1"}


def test_hostile_words_run_nothing(browser: Browser) -> None:
    """Of a name, a reason, a rank's last line and its log: they are there to be read."""
    shown = 0
    of_job = [path.removeprefix(f"/jobs/{FAILED}") for path in ADDRESSES if path.startswith(f"/jobs/{FAILED}")]
    for path in ("/", *(f"/jobs/{HOSTILE}{inner}" for inner in of_job)):
        browser.open(path)
        assert browser.run("return window.ran ?? 0") == 0, path
        shown += "<img src=x" in str(browser.run("return document.body.textContent"))
        assert browser.all("img[src=x]") == []
        assert browser.all("main script") == []
        assert browser.complaints() == [], path
    assert shown >= 3


def test_pages_are_whole_without_scripts(browser: Browser) -> None:
    """A browser in which nothing runs shows the same, its curve as a picture, and asks again by itself."""
    browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
    try:
        for path in ADDRESSES:
            browser.open(path)
            text = browser.find("main").text
            assert len(text) > 10, path
        browser.open(f"/jobs/{DONE}")
        picture = browser.find("noscript img")
        assert picture.is_displayed()
        assert picture.size["width"] > 300
        browser.open("/")
        assert browser.all("noscript meta[http-equiv=refresh]") != []
        assert "whole" in browser.find("main").text
    finally:
        browser.cdp("Emulation.setScriptExecutionDisabled", value=False)


def test_from_now_to_a_failure_by_keys_alone(browser: Browser) -> None:
    """By Tab and Enter, which everybody has; and by the keys that `?` tells of."""
    browser.open("/")
    walk(browser, f"{FAILED} fails")
    browser.until(lambda: browser.text("h1").startswith(f"{FAILED} fails"), "the job's page")
    walk(browser, "All of the failure")
    browser.until(lambda: "failed first" in browser.text("h2"), "the failure's page")
    browser.keys("g", "n")
    browser.until(lambda: bool(browser.all(".rows a")), "now again")
    for _ in range(20):
        browser.keys("j")
        if focused(browser).startswith(f"{FAILED} fails"):
            break
    browser.keys(Keys.ENTER)
    browser.until(lambda: browser.text("h1").startswith(f"{FAILED} fails"), "the job's page")
    browser.keys("?")
    browser.until(lambda: browser.all("kbd") != [], "the page of the keys")


def focused(browser: Browser) -> str:
    """Return what has the focus."""
    return str(browser.run("return document.activeElement.innerText ?? ''"))


def walk(browser: Browser, to: str) -> None:
    """Press Tab until a link has the focus, which is to be seen then, and open it."""
    for _ in range(60):
        browser.keys(Keys.TAB)
        if focused(browser).startswith(to):
            break
    assert focused(browser).startswith(to)
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    browser.keys(Keys.ENTER)


def test_the_theme_can_be_chosen_and_stays(browser: Browser) -> None:
    """By a button, for the next page, too."""
    ink = "return getComputedStyle(document.documentElement).color"
    browser.open("/")
    browser.until(lambda: browser.run(ink) != "rgb(0, 0, 0)", "the style sheet")
    before = browser.run(ink)
    browser.find("[data-theme-toggle]").click()
    chosen = browser.run(ink)
    assert chosen != before
    browser.open("/help")
    assert browser.run(ink) == chosen
    browser.find("[data-theme-toggle]").click()
    assert browser.run(ink) == before


def test_from_a_failure_to_the_end_of_the_log(browser: Browser) -> None:
    """Where the error stands: the end of a long log is in the window at once, not its beginning."""
    browser.look(360, 740)
    browser.open(f"/jobs/{HOSTILE}/failure")
    browser.find(".failure a[href*='/log']").click()
    at = "return document.getElementById('end').getBoundingClientRect().top"
    browser.until(lambda: bool(browser.all("#end")) and 0 <= int(str(browser.run(at)).split(".")[0]) <= 740, "the end")


def test_the_page_of_a_failure(browser: Browser) -> None:
    """Which rank was first, its line, why, and what to do, above all else."""
    browser.look(360, 740)
    browser.open(f"/jobs/{FAILED}/failure")
    text = browser.text("main")
    for words in (
        "Rank 1 on device 1 failed first",
        "exit code 1",
        "ValueError: loss is not a number",
        f"glmd retry {FAILED}",
    ):
        assert words in text
    top = browser.run("return document.querySelector('.failure').getBoundingClientRect().top")
    assert isinstance(top, float | int)
    assert top < 400
