"""Places in a dropped file, kept for a problem that may come up later there."""

from handlers.codes import Code
from handlers.records.checked import Spot
from handlers.validate.document import Place
from handlers.validate.problem import Problem

_LONGEST = 1000
"""Characters of a line that is kept; a problem in a longer one is shown without it."""


def spot(place: Place) -> Spot:
    """Return where problems with the value at `place` are."""
    problem = place.problem(Code.CONFIG_PATH, "")
    return Spot(
        line=problem.line,
        column=problem.column,
        where=encodable(problem.where),
        excerpt=encodable(problem.excerpt) if len(problem.excerpt) <= _LONGEST else "",
    )


def at(place: Spot, code: Code, message: str, hint: str = "") -> Problem:
    """Return a problem there."""
    return Problem(place.line, place.column, place.where, message, hint, place.excerpt, code=code)


def encodable(text: str) -> str:
    """Return `text` with half surrogate pairs, which YAML's escapes can make and no file name has, spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()
