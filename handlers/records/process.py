"""Who a process is, beyond its pid: never signal a recycled pid."""

import errno
import math
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_NO_PROCESS = frozenset({errno.ESRCH, errno.ENOENT, errno.EINVAL})
"""What pidfd_open says where nobody has the number, or where a thread of some process has it (ENOENT since Linux
6.16, EINVAL before)."""


def boot_id() -> str:
    """Return the kernel's name for this boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(pid: int) -> int:
    """Return when `pid` started, in clock ticks since boot: field 22 of /proc/PID/stat (man 5 proc).

    Raises ProcessLookupError when there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    # Field 2 is the program's name in parentheses, and may itself hold blanks and parentheses.
    fields_from_third = stat[stat.rindex(b")") + 1 :].split()
    return int(fields_from_third[22 - 3])


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one boot, child or not. A zombie counts as gone."""

    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return who `pid` is now; raises ProcessLookupError."""
        return cls(pid, start_time(pid), boot_id())

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        descriptor = self.pidfd()
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def pidfd(self) -> int | None:
        """Return a descriptor that becomes readable when the process ends; the caller closes it. None when it is gone.

        The pid is looked at only after the descriptor holds it, so that what was checked is what is held.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError as error:
            if error.errno in _NO_PROCESS:
                return None
            raise
        is_mine = False
        try:
            is_mine = self._is_still_me() and not has_ended(descriptor)
        finally:  # also where no file can be opened: looking again and again must not take the last descriptors
            if not is_mine:
                os.close(descriptor)
        return descriptor if is_mine else None

    def signal(self, signum: signal.Signals) -> bool:
        """Send a signal to exactly this process; False when it is gone."""
        descriptor = self.pidfd()
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, signum)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _is_still_me(self) -> bool:
        try:
            return self.boot_id == boot_id() and self.start_time == start_time(self.pid)
        except ProcessLookupError:
            return False


def has_ended(pidfd: int, seconds: float = 0.0) -> bool:
    """Say whether a process has ended, or does so within `seconds`."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(math.ceil(seconds * 1000)))
