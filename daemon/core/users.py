"""Users of this host: whose a file is, and who asks."""

import os
import pwd
import socket
import struct
from dataclasses import dataclass, field
from typing import Self

_PEER = struct.Struct("3i")
"""struct ucred: pid, uid, gid (man 7 unix)."""


@dataclass(frozen=True)
class User:
    """One user, by the number that the kernel knows it by."""

    number: int
    asks_for: str = field(default="", compare=False)
    """Whom it asks for, by its own word; empty for itself."""

    @classmethod
    def of_this_process(cls) -> Self:
        """Return who runs this process."""
        return cls(os.geteuid())

    @classmethod
    def at_the_other_end(cls, connected: socket.socket) -> Self:
        """Return who connected to a Unix socket, by the kernel's word. Raises OSError."""
        _, number, _ = _PEER.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return cls(number & 0xFFFFFFFF)

    @property
    def name(self) -> str:
        """The user's name; the number where this host has no name for it. Behind it, whom it asks for."""
        try:
            name = pwd.getpwuid(self.number).pw_name
        except (KeyError, OverflowError):  # the latter for a number that no user has
            name = str(self.number)
        return f"{name} for {self.asks_for}" if self.asks_for else name
