"""Makes pages of what views show: Jinja2, in which everything is escaped, and no secret is told."""

import re
import shlex
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import jinja2
from markupsafe import Markup

from daemon.core.root import DEFAULT_ROOT
from daemon.face.status import seconds_since
from daemon.face.web.asking import Asked, Page
from daemon.face.web.daemon_word import DaemonWord
from daemon.face.web.rows import Row
from daemon.face.words.language import Language
from handlers.hidden_keys import HiddenKeys
from handlers.units.byte_sizes import format_size
from handlers.units.durations import format_duration

_EMPTY = Row("", "", "", defaultdict(str))
"""What a browser makes new rows of."""
_ADDRESS = re.compile(r"/\S*")
TABS = ("now", "night", "jobs", "devices")
_PATHS = {"now": "/", "night": "/night", "jobs": "/jobs", "devices": "/devices"}


def rendered(page: Page, asked: Asked, daemon: DaemonWord) -> str:
    """Return the HTML of a page. Reads nothing."""
    return (
        _environment(asked.site.hidden)
        .get_template(page.template)
        .render(
            page=page,
            content=page.content,
            asked=asked,
            say=asked.say,
            words=asked.words,
            url=asked.url,
            daemon=daemon,
            is_down=daemon.is_down,
            to_start=_to_start(asked.site.root.path),
            languages=[(language, asked.again(lang=language)) for language in Language],
            tabs=[(tab, asked.url(_PATHS[tab])) for tab in TABS],
            static=lambda name: asked.site.url(asked.site.static.path(name)),
            since=_since(asked),
            empty=_EMPTY,
        )
    )


@cache
def _environment(hidden: HiddenKeys) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=partial(_without_secrets, hidden),
    )
    environment.filters |= {"duration": format_duration, "size": format_size, "exactly": exactly, "number": number}
    return environment


def _to_start(root: Path) -> str:
    """Return what to type where no daemon runs: the service's root is /var/glm, any other is somebody's own."""
    return "systemctl status glmd" if root == DEFAULT_ROOT else f"glmd --root {shlex.quote(str(root))} serve"


def _without_secrets(hidden: HiddenKeys, value: object) -> object:
    """Return what an expression of a template comes to, without values that are not shown. Addresses are the page's."""
    if not isinstance(value, str) or isinstance(value, Markup):  # a macro's: what is in it was here before
        return value
    return (HiddenKeys() if _ADDRESS.fullmatch(value) else hidden).in_lines(value)


def exactly(moment: datetime) -> str:
    """Return a moment by this host's clock."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def number(value: float | None) -> str:
    """Return a number as people write it; a dash for none."""
    return "–" if value is None else f"{value:.4g}"


def _since(asked: Asked) -> Callable[[datetime | str, bool], str]:
    def since(moment: datetime | str, lasts: bool) -> str:  # noqa: FBT001 - a template's
        """Return how long ago a moment was, or for how long something `lasts`; nothing for none."""
        if not moment:
            return ""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return asked.say("lasts" if lasts else "ago", time=format_duration(seconds_since(at, datetime.now(UTC))))

    return since
