"""What is mounted where, as /proc/self/mountinfo tells it; see proc_pid_mountinfo(5)."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """One mount."""

    number: str
    """The kernel's own, which no other has at the same time."""
    place: str
    """An absolute path."""
    kind: str
    """The file system's type."""


def mounts(mountinfo: bytes) -> Iterator[Mount]:
    """Yield what is mounted, in the order of its mounting: of two on one place, the later one is on top."""
    for line in mountinfo.splitlines():
        # 36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/sda rw
        mount, _, file_system = line.partition(b" - ")
        number, _, _, _, place, *_ = mount.split(b" ")
        yield Mount(os.fsdecode(number), os.fsdecode(_unescaped(place)), os.fsdecode(file_system.split(b" ")[0]))


def _unescaped(place: bytes) -> bytes:
    r"""Undo the kernel's escapes: blank, tab, newline and backslash stand as \ooo."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), place)
