"""Makes the pictures that README and docs/ show: `make screenshots`. Real pages of a real root, by a real browser.

What is not of this root: the host's name, and since when its daemon has run.
"""

import io
import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from PIL import Image

from tests.browser.browser import Browser
from tests.browser.serving import Serving
from tests.browser.showcase.house import Showcase

DOCS = Path(__file__).parents[3] / "docs"
MOST = 60_000
"""Bytes of a picture."""
_COLOURS = 128
"""That are left: enough for letters with soft edges, and much less to keep."""


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
    Picture("now", "/", 900, 780),
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
    browser.cdp("Emulation.setScrollbarsHidden", hidden=True)
    browser.open(picture.path.format(failed=house.failed, trains=house.trains))
    browser.run("document.querySelector('.host').textContent = 'npu01'")
    browser.until(lambda: len(browser.all(".chart")) == len(browser.all(".chart canvas")), "the curve")
    shot = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
    content = io.BytesIO()
    shot.quantize(_COLOURS, kmeans=1).convert("RGB").save(content, "WEBP", lossless=True, method=6)
    if (taken := len(content.getvalue())) > MOST:
        raise RuntimeError(f"{picture.name}: {taken} bytes, more than {MOST}: show less of the page")
    picture.file.write_bytes(content.getvalue())
    return taken


if __name__ == "__main__":
    main()
