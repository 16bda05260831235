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
    """Remove the copies of drops that were rejected meanwhile, or became one of the `new` directories of jobs."""
    left = [
        path
        for path in (*copy.glob("inbox/*"), *copy.glob("claims/*/*"))
        if not os.path.lexists(root / path.relative_to(copy))
    ]
    if not left:
        return
    ends = (*(directory / "submitted.yaml" for directory in new), *copy.glob("rejected/*"))
    went_on = {digest for path in ends if (digest := _digest(path)) is not None}
    for path in left:
        if _digest(path) in went_on:
            path.unlink()
            if path.parent.parent.name == "claims":
                path.parent.rmdir()


def _digest(path: Path) -> str | None:
    try:
        return digest_of(read_bounded(path, _MOST))
    except (OSError, CkptError):
        return None
