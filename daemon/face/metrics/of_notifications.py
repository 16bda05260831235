"""Samples of notifications, by what glmd-notify says of its outbox while it runs."""

from collections.abc import Iterator
from pathlib import Path

from daemon.core.root import Root
from daemon.face.metrics import families
from daemon.face.metrics.family import Sample
from daemon.face.notify.message import MessageState
from daemon.face.notify.standing import read_standing


def of_notifications(root: Root, directory: Path) -> Iterator[Sample]:
    """Yield them, where it tells of `root`. Raises OSError, StandingError."""
    standing = read_standing(directory)
    if standing is None or standing.root.absolute() != root.path.absolute():
        return
    for name, one in standing.destinations.items():
        for state in MessageState:
            yield families.MESSAGES(one.messages.get(state, 0), name, state)
        if one.oldest_pending is not None:
            yield families.MESSAGE_OLDEST(one.oldest_pending.timestamp(), name)
