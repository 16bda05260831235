"""What changes while a page is looked at: jobs, losses, curves, the daemon, and the page's own process."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains

from daemon.core.states import State
from tests.acceptance.house import CONFIG, House
from tests.browser.browser import Browser
from tests.browser.serving import Serving

pytestmark = pytest.mark.browser

DOWN = "glmd does not run here"


@pytest.fixture(scope="module")
def training(furnished: House) -> int:
    """Return a job that trains."""
    furnished.drop("living.yaml", text=CONFIG.format(data=furnished.data, devices="[4,6)") + "# living\n")
    furnished.until_taken("living.yaml")
    number = next(job.id for job in furnished.jobs() if job.name == "living")
    furnished.until(State.TRAINING, number)
    return number


def mark(browser: Browser) -> None:
    """Put something into the page that is gone when it is loaded anew."""
    browser.run("window.mark = true")


def is_marked(browser: Browser) -> bool:
    """Tell whether the page is the one that was marked."""
    return browser.run("return window.mark === true") is True


def test_a_row_appears_and_its_loss_changes(browser: Browser, furnished: House) -> None:
    """A job that is dropped is to be seen within seconds, and what it trains without another load."""
    browser.open("/")
    furnished.drop("appears.yaml", text=CONFIG.format(data=furnished.data, devices="[2,4)") + "# appears\n")
    row = "[data-list=running] li"
    browser.until(lambda: "appears" in browser.text("[data-list=running]"), "its row")
    browser.until(lambda: browser.text(f"{row} [data-cell=loss]") != "", "a loss")
    mark(browser)
    before = browser.text(f"{row} [data-cell=loss]")
    browser.until(lambda: browser.text(f"{row} [data-cell=loss]") not in {before, ""}, "another loss", 5)
    assert is_marked(browser)
    assert browser.complaints() == []
    number = next(job.id for job in furnished.jobs() if job.name == "appears")
    assert furnished.run("cancel", str(number)).returncode == 0
    browser.until(lambda: "appears" in browser.text("[data-list=ended]"), "it has ended")
    assert "appears" not in browser.text("[data-list=running]")


def test_a_curve_grows_and_its_zoom_stays(browser: Browser, training: int) -> None:
    """New points come without another load, and what was zoomed to stays so; it is in the address, too."""
    browser.open(f"/jobs/{training}")
    browser.find(".chart canvas")
    mark(browser)

    def said() -> str:
        return browser.text(".chart p[aria-live]")

    first = said()
    browser.until(lambda: said() != first, "a point", 6)
    browser.until(lambda: int(said().split()[1].rstrip(":")) >= 16, "some points")
    over = browser.find(".u-over")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", over)
    width = over.size["width"]
    ActionChains(browser.driver).move_to_element_with_offset(over, -width // 4, 0).click_and_hold().move_by_offset(
        width // 4, 0
    ).release().perform()
    browser.until(lambda: "from=" in browser.driver.current_url, "the zoom is in the address")
    zoomed = browser.driver.current_url

    def at_the_right_edge() -> str:
        ActionChains(browser.driver).move_to_element_with_offset(over, 0, 5).perform()
        ActionChains(browser.driver).move_to_element_with_offset(over, width // 2 - 3, 5).perform()
        return said().partition(":")[0]

    edge = at_the_right_edge()
    last = browser.run("return document.querySelector('progress').value")
    browser.until(lambda: browser.run("return document.querySelector('progress').value") != last, "another point", 8)
    browser.until(lambda: at_the_right_edge() == edge, "the same step at the right edge", 3)
    assert browser.driver.current_url == zoomed
    assert is_marked(browser)
    browser.driver.refresh()
    browser.find(".chart canvas")
    assert browser.driver.current_url == zoomed
    over = browser.find(".u-over")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", over)
    browser.until(lambda: at_the_right_edge() == edge, "the same step after another load")
    assert browser.complaints() == []


def test_eight_tabs(browser: Browser, training: int) -> None:
    """A browser opens six connections to a host: tabs that nobody sees keep none, so that the ninth loads, too."""
    first = browser.driver.current_window_handle
    opened = []
    try:
        for _ in range(8):
            browser.driver.switch_to.new_window("tab")
            opened.append(browser.driver.current_window_handle)
            browser.open("/")
            browser.until(lambda: "living" in browser.text("[data-list=running]"), "the page")
        browser.driver.switch_to.new_window("tab")
        opened.append(browser.driver.current_window_handle)
        browser.open(f"/jobs/{training}")
        browser.find(".chart canvas")
    finally:
        for handle in opened:
            browser.driver.switch_to.window(handle)
            browser.driver.close()
        browser.driver.switch_to.window(first)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a root whose daemon may be killed."""
    house = House(tmp_path)
    try:
        yield house.start()
    finally:
        house.close()


@pytest.fixture
def own(house: House, browser: Browser, tmp_path: Path) -> Iterator[Serving]:
    """Return its page."""
    serving = Serving(house.root, tmp_path / "web.log")
    try:
        serving.start()
        browser.base = serving.base
        yield serving
    finally:
        browser.driver.get("about:blank")
        serving.end()


def test_the_daemon_is_killed_and_comes_back(browser: Browser, own: Serving, house: House) -> None:
    """An open page says within three seconds that nothing moves on, and that it does again; nobody loads it by hand."""
    assert own.base
    browser.open("/")
    for _ in range(2):
        browser.until(lambda: not browser.find("#bar").is_displayed(), "no bar")
        house.stop(signal.SIGKILL)
        browser.until(lambda: DOWN in browser.text("#bar"), "the bar", 3)
        house.start()
        browser.until(lambda: DOWN not in browser.text("#bar"), "no bar any more", 5)
        browser.until(lambda: not browser.find("#bar").is_displayed(), "no bar")


@pytest.mark.parametrize("how", (signal.SIGKILL, signal.SIGTERM))
def test_the_page_is_killed_and_comes_back(browser: Browser, own: Serving, house: House, how: signal.Signals) -> None:
    """An open page goes on by itself when it is there again, with what has happened meanwhile."""
    browser.open("/")
    browser.until(lambda: "nothing runs" in browser.text(), "the page")
    own.end(how)
    house.drop()
    house.until(State.DONE)
    own.start()
    browser.until(lambda: "1 run" in browser.text("[data-list=ended]"), "the job", 10)
    browser.until(lambda: not browser.find("#bar").is_displayed(), "no bar")
