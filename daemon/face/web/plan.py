"""What the settings say of the page, in a form that takes little memory.

The settings themselves are read by a child: what reads them has more than what serves pages.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from daemon.core.web_plan import WebPlan
from daemon.face.children import result_of
from handlers.codes import Code
from handlers.errors import BadInputError

if TYPE_CHECKING:
    from daemon.core.settings import Settings

_WITHIN = 30.0
"""Seconds that reading the settings may take."""


@dataclass(frozen=True)
class PagePlan:
    """All that they say of it."""

    root: Path
    web: WebPlan
    night: str
    """From the evening to the morning: `18:00-08:00`."""
    log_format: Literal["auto", "json", "pretty"]
    log_level: str

    @classmethod
    def of(cls, settings: "Settings") -> "PagePlan":
        """Return what these settings say."""
        log = settings.log
        return cls(settings.root, settings.web.plan(), settings.night, log.format.value, log.level.value)


def read_plan(config: Path | None, root: Path | None) -> PagePlan:
    """Return what the settings in `config` say, of `root` where one is given. Raises BadInputError."""
    found = result_of(partial(_plan, config, root), seconds=_WITHIN)
    if isinstance(found, PagePlan):
        return found
    text = found if isinstance(found, str) else f"the settings could not be read: {found}"
    raise BadInputError(text, Code.SETTINGS_UNUSABLE)


def _plan(config: Path | None, root: Path | None) -> PagePlan | str:
    """Return what they say, or what is wrong with them."""
    from daemon.core.settings import load_settings  # noqa: PLC0415 - only a child has room for it

    try:
        return PagePlan.of(load_settings(config, root))
    except BadInputError as error:
        return str(error)
