"""What a view is asked, and what it answers with: nothing of HTTP beyond that."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.face.web.site import Site
from daemon.face.words.language import Language
from daemon.face.words.reading import Words
from handlers.codes import Code
from handlers.errors import HandlerError


class NotThereError(HandlerError):
    """Nothing is at this address."""

    code = Code.WEB_NOT_THERE


@dataclass(frozen=True)
class Asked:
    """A request for a view."""

    site: Site
    words: Words
    place: Mapping[str, str]
    """What stands in the path."""
    query: Mapping[str, str]
    chosen: Language | None = None
    """The language that the address names: its links keep it."""
    address: str = "/"
    """The path without the prefix, as an address has it: what is no ASCII is %-encoded."""

    def url(self, path: str, /, **query: object) -> str:
        """Return the address of a path, in the language that was chosen."""
        return self.site.url(path, **query, lang=self.chosen)

    def again(self, /, **query: object) -> str:
        """Return the address of this view with other values in its query."""
        return self.site.url(self.address, **{**self.query, "lang": self.chosen, **query})

    def number(self, name: str, least: int, most: int, default: int) -> int:
        """Return a number of the query within its bounds; the default where it is none. Raises NotThereError."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 16 and least <= int(text) <= most):
            raise NotThereError(f"{name}={text:.40}: write a number from {least} to {most}")
        return int(text)

    def say(self, key: str, **values: object) -> str:
        """Return a text of the page's in the reader's language."""
        return self.words.say("page", key, **values)


@dataclass(frozen=True)
class Page:
    """What a view shows."""

    template: str
    title: str
    content: object
    """A dataclass, which the template calls `content`."""
    tab: str = ""
    """Under which of the tabs it is: now, night, jobs or devices."""
    live: str = ""
    """Of what it wants to be told while it is open, as `job:42`; empty for nothing."""
    revision: str = ""
    """That of what it shows: where what it is told has another one, it is asked for again."""
    scripts: tuple[str, ...] = field(default=())
    """Beside app.js."""
    status: int = 200
