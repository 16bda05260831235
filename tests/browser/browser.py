"""A real browser that reaches this host alone, and tells what it asked for and what it complained of."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

PATIENCE = 20.0
WIDTHS = (360, 768, 1440)
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # CI is root
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-device-scale-factor=1",
    "--lang=en",
)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(
            f"{name} is missing: apt-get install chromium chromium-driver fonts-noto-cjk, or pytest -m 'not browser'"
        )
    return found


class Browser:
    """Chromium, driven by chromium-driver."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        for argument in _ARGUMENTS:
            options.add_argument(argument)
        options.binary_location = _program("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(_program("chromedriver")))
        self.driver.set_page_load_timeout(PATIENCE)
        self.base = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def cdp(self, method: str, **arguments: object) -> dict[str, object]:
        """Call a method of the Chrome DevTools protocol."""
        found: dict[str, object] = self.driver.execute_cdp_cmd(method, arguments)
        return found

    def look(self, width: int = 1000, height: int = 800, *, is_dark: bool = False) -> None:
        """Look through a window of this width, on a light or dark desktop."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.cdp("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme, still])

    def open(self, path: str) -> None:
        """Load a page."""
        self.driver.get(self.base + path)

    def run(self, script: str, *arguments: object) -> object:
        """Run a script in the page, and return what it returns."""
        found: object = self.driver.execute_script(script, *arguments)
        return found

    def find(self, selector: str) -> WebElement:
        """Return the first element that a selector names, once it is there."""
        self.until(lambda: bool(self.all(selector)), f"an element {selector}")
        return self.all(selector)[0]

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that are there."""
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector: str = "body") -> str:
        """Return what is to be read in the first such element; empty where there is none, as while a page loads."""
        found = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return str(found)

    def keys(self, *keys: str) -> None:
        """Press keys."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
        """Wait for a condition, and return how long that took."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                pytest.fail(f"not within {seconds:g} s: {what}\n{self.driver.current_url}\n{self.text()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def complaints(self) -> list[str]:
        """Return what the console has had to say since the last call."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def hosts(self) -> set[str | None]:
        """Return the hosts that something was asked of since the last call."""
        found = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in {"Network.requestWillBeSent", "Network.webSocketCreated"}:
                parameters = message["params"]
                url = urlsplit(str(parameters.get("url") or parameters["request"]["url"]))
                if url.scheme not in {"data", "chrome", "about"}:
                    found.add(url.hostname)
        return found

    def violations(self) -> list[str]:
        """Return what axe-core finds in the page, by the rules of WCAG 2.2 A and AA; the page's CSP must be off."""
        if not self.run("return typeof axe !== 'undefined'"):
            self.run(AXE.read_text())
        told = self.driver.execute_async_script(
            "const done = arguments[1];"
            "axe.run(document, {runOnly: {type: 'tag', values: arguments[0]}, resultTypes: ['violations']})"
            ".then((found) => done(found.violations.flatMap((rule) => rule.nodes.map((node) =>"
            " `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))), (error) => done([String(error)]))",
            _TAGS,
        )
        return [str(each) for each in told]

    def shoot(self, path: Path) -> None:
        """Write a picture of the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.driver.get_screenshot_as_png())
