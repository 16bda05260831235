import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.browser.browser import Browser
from tests.browser.past import furnish
from tests.browser.serving import Serving


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a root in which trainings were; its daemon is up, and what it trains takes its time."""
    house = House(tmp_path_factory.mktemp("house"))
    try:
        furnish(house)
        house.environment(STANDIN_PAUSE="0.5", STANDIN_DATA="500,4")
        house.start()
        yield house
    finally:
        house.close()


@pytest.fixture(scope="session")
def serving(furnished: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    serving = Serving(furnished.root, tmp_path_factory.mktemp("web") / "log")
    try:
        serving.start()
        yield serving
    finally:
        serving.end()


@pytest.fixture(scope="session")
def one_browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser, serving: Serving) -> Iterator[Browser]:
    """Return the browser, at the page, having heard nothing yet."""
    one_browser.base = serving.base
    one_browser.look()
    one_browser.driver.get("about:blank")
    one_browser.complaints()
    one_browser.hosts()
    yield one_browser
    one_browser.driver.get("about:blank")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where pictures of the pages go: $GLMD_SCREENSHOTS, which .ci/run names and prints."""
    named = os.environ.get("GLMD_SCREENSHOTS")
    return Path(named) if named else tmp_path_factory.mktemp("pictures")
