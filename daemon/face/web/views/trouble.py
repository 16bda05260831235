"""What the page says when it cannot show what it was asked for."""

from dataclasses import dataclass

from daemon.core.error_codes import code_of
from daemon.face.web.asking import Asked, Page


@dataclass(frozen=True)
class Trouble:
    """What is the matter."""

    status: int
    title: str
    told: str


def trouble(asked: Asked, error: Exception, status: int) -> Page:
    """Return a page that says what prevents it, and what to do."""
    title = asked.say("not_there") if status == 404 else asked.say("not_now")
    told = str(error)
    if not asked.words.is_of_reasons and status != 404:
        told = asked.words.joined(asked.words.title(code_of(error)), told)
    return Page("trouble.html", title, Trouble(status, title, told), status=status)
