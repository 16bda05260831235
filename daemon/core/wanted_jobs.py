"""Which jobs somebody wants to see of all that there were, as SQL: everything that was typed is a value."""

from collections.abc import Collection
from dataclasses import dataclass

from daemon.core.states import Job, State

LONGEST = 100
"""Characters of a text that is looked for; what is longer is cut."""
_COLUMNS = ("name", "reason", "code", "prefix")
_NUMBERS = 1 << 62


@dataclass(frozen=True)
class WantedJobs:
    """What has to be true of the jobs."""

    states: Collection[State] = ()
    """One of these; empty for any."""
    text: str = ""
    """It stands in the name, the reason, the code or the prefix, in letters of either case, or is the number."""

    def condition(self) -> tuple[str, list[object]]:
        """Return what stands behind WHERE, and its values."""
        parts: list[str] = []
        values: list[object] = []
        if self.states:
            parts.append(f"state IN ({','.join('?' * len(self.states))})")
            values += sorted(self.states)
        if text := self.text.strip()[:LONGEST]:
            parts.append(f"({' OR '.join([*(f'{column} LIKE ? ESCAPE ?' for column in _COLUMNS), 'id = ?'])})")
            for _ in _COLUMNS:
                values += [f"%{_literal(text)}%", "\\"]
            values.append(int(text) if text.isascii() and text.isdecimal() and int(text) < _NUMBERS else -1)
        return " AND ".join(parts) or "TRUE", values


@dataclass(frozen=True)
class FoundJobs:
    """Some of the jobs that are wanted."""

    jobs: tuple[Job, ...]
    """The newest first."""
    newer: int | None = None
    """Behind which number newer ones are; None where there are none."""
    older: int | None = None
    """Before which number older ones are; None where there are none."""


def _literal(text: str) -> str:
    """Return `text` such that LIKE (https://sqlite.org/lang_expr.html#like) finds nothing in it but letters."""
    return "".join(f"\\{char}" if char in "\\%_" else char for char in text)
