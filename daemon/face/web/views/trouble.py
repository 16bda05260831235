"""What the page says when it cannot show what it was asked for."""

from dataclasses import dataclass

from daemon.core.error_codes import code_of
from daemon.face.web.asking import Asked, Page


@dataclass(frozen=True)
class Trouble:
    """What is the matter."""

    status: int
    title: str
    reason: str


def trouble(asked: Asked, error: Exception, status: int) -> Page:
    """Return a page that says what prevents it, and what to do."""
    title = asked.say("not_there") if status == 404 else asked.say("not_now")
    reason = str(error)
    if not asked.words.is_of_reasons and status != 404:
        reason = asked.words.joined(asked.words.title(code_of(error)), reason)
    return Page("trouble.html", title, Trouble(status, title, reason), status=status)
