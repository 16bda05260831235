"""What the daemon has written of itself: the page has no socket to ask it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.core.daemon_record import DaemonRecordError, PresentFault, is_alive, read_daemon_record
from daemon.core.presence import Presence
from daemon.core.root import Root


@dataclass(frozen=True)
class DaemonWord:
    """Whether the daemon is there, and what fails."""

    presence: Presence
    version: str = ""
    started: datetime | None = None
    devices: tuple[int, ...] = ()
    """Those that its settings give to it."""
    faults: Sequence[PresentFault] = ()

    @property
    def is_down(self) -> bool:
        """Whether nothing moves on."""
        return self.presence is Presence.ABSENT

    @property
    def status_word(self) -> tuple[Presence, str]:
        """What `daemon.face.status.overview` wants of it."""
        return self.presence, "; ".join(fault.reason for fault in self.faults)


def daemon_word(root: Root) -> DaemonWord:
    """Return what it has written, as far as that can be read."""
    try:
        record = read_daemon_record(root)
        if record is None:
            return DaemonWord(Presence.ABSENT)
        presence = Presence.ANSWERS if is_alive(record) else Presence.ABSENT
    except (OSError, DaemonRecordError):  # whatever reads the store has more to say of why
        return DaemonWord(Presence.UNKNOWN)
    return DaemonWord(presence, record.version, record.started, record.devices, record.faults)
