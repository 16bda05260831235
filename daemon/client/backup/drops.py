"""Files that were dropped and are no job yet, while a daemon that runs makes jobs of them.

A file goes from the inbox into a claim, and from there into a job's directory or to the rejected ones. The store is
copied first, and then these places in that order, so that a file is seen at least once. What was seen twice is found by
its bytes, and taken out of the earlier place: it would be run twice.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from daemon.core.names import digest_of
from handlers.ckpt.errors import CkptError
from handlers.ckpt.files.bounded import read_bounded

_MOST = 1 << 20
"""Of a dropped file, by far."""


def remove_those_that_went_on(root: Path, copy: Path, new: Iterable[Path]) -> None:
    """Remove the copies of drops of which there is one further on: `new` are directories of jobs since the store."""
    drops, claims = _left(root, copy, "inbox/*"), _left(root, copy, "claims/*/*")
    if not drops and not claims:
        return
    ends = _digests((*(directory / "submitted.yaml" for directory in new), *copy.glob("rejected/*")))
    for claim in claims:
        if _digest(claim) in ends:
            claim.unlink()
            claim.parent.rmdir()
    ends |= _digests(copy.glob("claims/*/*"))
    for drop in drops:
        if _digest(drop) in ends:
            drop.unlink()


def _left(root: Path, copy: Path, places: str) -> list[Path]:
    """Return the copies of what is not there any more."""
    return [path for path in copy.glob(places) if not os.path.lexists(root / path.relative_to(copy))]


def _digests(paths: Iterable[Path]) -> set[str]:
    return {digest for path in paths if (digest := _digest(path)) is not None}


def _digest(path: Path) -> str | None:
    try:
        return digest_of(read_bounded(path, _MOST))
    except (OSError, CkptError):
        return None
