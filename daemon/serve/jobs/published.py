"""What lies where `latest/PREFIX` leads, compared with what the store says. Reads files, so it is work for workers.

Nothing here knows the store: what that says is handed over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from daemon.core.promotions import Promotion, Standing
from daemon.core.root import Root
from handlers.merging.latest import is_occupied, lead, leads_to, real, whole


class Place(Enum):
    """Where a link is, by what the store says."""

    FOLLOWS = auto()
    """Where it is to be; or there is none, and is to be none."""
    BEHIND = auto()
    """Where it was before the newest change: a crash came between."""
    ELSEWHERE = auto()
    """It leads to another whole output: somebody has set it, or where it was to lead is nothing any more."""
    GONE = auto()
    """It is not there: somebody has removed it, or as above."""
    USELESS = auto()
    """It leads to nothing that a training could go on from, or there is no link in its place: it is left alone."""


@dataclass(frozen=True)
class Seen:
    """A link as it was found."""

    place: Place
    target: str = ""
    """Where it leads, from the root as far as it is in there."""


def look(root: Root, prefix: str, standing: Standing) -> Seen:
    """Return where `latest/PREFIX` is. Raises OSError, also while `latest/` or `jobs/` is away: nobody can tell."""
    for directory in (root.latest, root.jobs):
        directory.stat()
    link, now = root.latest / prefix, standing.present
    wanted = None if now is None else now.directory(root.path)
    if is_occupied(link):
        return Seen(Place.USELESS)
    there = leads_to(link)
    if there == (None if wanted is None else real(wanted)):
        return Seen(Place.FOLLOWS)
    was = None if standing.before is None else standing.before.directory(root.path)
    is_of_use = there is not None and whole(there, prefix) is not None
    is_untouched = not is_of_use or there == (None if was is None else real(was))
    if now is not None and not now.followed and is_untouched and (wanted is None or whole(wanted, prefix) is not None):
        return Seen(Place.BEHIND)
    if there is None:
        return Seen(Place.GONE)
    target = _from(root, there)
    return Seen(Place.ELSEWHERE if is_of_use and target else Place.USELESS, target)


def bring(root: Root, prefix: str, standing: Standing) -> Seen:
    """Let `latest/PREFIX` lead where the store says, unless somebody has moved it since; say what was found.

    Done again it comes to the same. Raises OSError.
    """
    seen = look(root, prefix, standing)
    if seen.place is not Place.BEHIND or standing.present is None:
        return seen
    if (wanted := standing.present.directory(root.path)) is not None:
        lead(root.latest / prefix, wanted)
    return Seen(Place.FOLLOWS)


def newest_whole(root: Root, promoted: Iterable[Promotion]) -> Promotion | None:
    """Return the first of these whose output is there, whole. Raises OSError."""
    return next((one for one in promoted if is_whole(root, one)), None)


def is_whole(root: Root, promotion: Promotion) -> bool:
    """Say whether what was promoted is there, whole. Raises OSError."""
    directory = promotion.directory(root.path)
    return directory is not None and whole(directory, promotion.prefix) is not None


def _from(root: Root, directory: Path) -> str:
    """Return the path of `directory` from the root, if it is in there; empty where SQLite cannot keep it."""
    place = real(root.path)
    text = str(directory.relative_to(place) if directory.is_relative_to(place) else directory)
    return text if text.isprintable() else ""
