"""Makes the pictures that README and docs/ show: `make screenshots`. Real pages of a real root, by a real browser.

What is not of this root: the host's name, and since when its daemon has run.
"""

import base64
import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.browser.browser import Browser
from tests.browser.serving import Serving
from tests.browser.showcase.house import Showcase

DOCS = Path(__file__).parents[3] / "docs"
MOST = 60_000
"""Bytes of a picture."""
_QUALITIES = (80, 65, 50, 35)
"""Of WebP, the first that is small enough."""


@dataclass(frozen=True)
class Picture:
    """A part of a page."""

    name: str
    path: str
    """With {failed} and {trains} for the jobs' numbers."""
    width: int
    height: int

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return DOCS / f"page-{self.name}.webp"


PICTURES = (
    Picture("now", "/", 900, 760),
    Picture("job", "/jobs/{trains}", 900, 660),
    Picture("failure", "/jobs/{failed}/failure", 360, 760),
    Picture("nights", "/nights", 900, 440),
)


def main() -> None:
    """Make them all."""
    with tempfile.TemporaryDirectory() as name:
        house = Showcase(Path(name))
        serving = Serving(house.root, Path(name) / "web.log")
        try:
            house.furnish()
            record = house.root / "daemon.json"
            started = (house.today - timedelta(days=6)).isoformat()
            record.write_text(json.dumps(json.loads(record.read_text()) | {"started": started}))
            serving.start()
            with Browser() as browser:
                browser.base = serving.base
                for picture in PICTURES:
                    sys.stdout.write(f"{picture.file.name}: {_take(picture, house, browser)} bytes\n")
        finally:
            serving.end()
            house.close()


def _take(picture: Picture, house: Showcase, browser: Browser) -> int:
    """Take a picture, and return how large it is. Raises RuntimeError where it cannot be small enough."""
    size = {"width": picture.width, "height": picture.height, "mobile": picture.width < 500}
    browser.cdp("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=2)
    browser.open(picture.path.format(failed=house.failed, trains=house.trains))
    browser.run("document.querySelector('.host').textContent = 'npu01'")
    if picture.name == "job":
        browser.until(lambda: bool(browser.text(".chart p[aria-live]")), "the curve")
    for quality in _QUALITIES:
        taken = browser.cdp("Page.captureScreenshot", format="webp", quality=quality)
        content = base64.b64decode(str(taken["data"]))
        if len(content) <= MOST:
            picture.file.write_bytes(content)
            return len(content)
    raise RuntimeError(f"{picture.name}: {len(content)} bytes, more than {MOST}")


if __name__ == "__main__":
    main()
