"""Whether a daemon is there."""

from enum import Enum, auto
from pathlib import Path


class Presence(Enum):
    """Whether a daemon is there."""

    ANSWERS = auto()
    BUSY = auto()
    """It is, and has no time to answer."""
    UNKNOWN = auto()
    """This user may not ask it."""
    ELSEWHERE = auto()
    """It is another host's: from here nobody can tell."""
    ABSENT = auto()


def presence(root: Path) -> Presence:
    """Say whether a daemon is there at `root`; waits a second for its answer at most."""
    from daemon.core.control import (  # noqa: PLC0415
        BusyError,
        NotAllowedError,
        NotHereError,
        NotRunningError,
        ask,
    )

    try:
        ask(root, "ping", timeout=1.0)
    except BusyError:
        return Presence.BUSY
    except NotAllowedError:
        return Presence.UNKNOWN
    except NotHereError:
        return Presence.ELSEWHERE
    except NotRunningError:
        return Presence.ABSENT
    return Presence.ANSWERS
