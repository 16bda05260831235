"""File systems that never answer: real ones, of FUSE, whose server has lost its tongue."""

import ctypes
import os
import stat
import struct
import threading
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_FORCE, _MNT_DETACH = 1, 2
_IN = struct.Struct("<IIQQIIIHH")
"""struct fuse_in_header of linux/fuse.h: length, opcode, unique, nodeid, uid, gid, pid, and what is of no meaning."""
_OUT = struct.Struct("<IiQ")
_INIT, _GETATTR = 26, 3


class Dead(Enum):
    """How it does not answer."""

    DEAF = auto()
    """It does not even take a request: KILL ends who waits."""
    MUTE = auto()
    """It takes requests: nothing ends who waits, until the mount is gone."""
    WITHIN = auto()
    """It takes them, and answers what is asked of its root directory itself."""


class DeadMount:
    """A mount at `path`, which is made, until it is closed. Takes root."""

    def __init__(self, path: Path, how: Dead = Dead.MUTE) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._how = how
        self._fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if _libc.mount(b"dead", os.fsencode(path), b"fuse", 0, options) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
        self._answer_init()  # without which the kernel would not ask for anything
        self._thread = threading.Thread(target=self._serve, daemon=True)
        if how is not Dead.DEAF:
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the mount away: whoever waits for it gets an error, as when an administrator does."""
        _libc.umount2(os.fsencode(self.path), _MNT_FORCE)
        _libc.umount2(os.fsencode(self.path), _MNT_DETACH)
        if self._how is not Dead.DEAF:
            self._thread.join(10)
        os.close(self._fuse)

    def _answer_init(self) -> None:
        opcode, unique, _ = self._take()
        assert opcode == _INIT
        # struct fuse_init_out: version 7.31, and nothing that is optional
        self._answer(unique, struct.pack("<IIIIHHIIHH8I", 7, 31, 0, 0, 0, 0, 1 << 16, 0, 0, 0, *[0] * 8))

    def _serve(self) -> None:
        while True:
            try:
                opcode, unique, node = self._take()
            except OSError:  # it was unmounted
                return
            if self._how is Dead.WITHIN and opcode == _GETATTR and node == 1:
                attributes = [1, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, 0, 0, 0, 4096, 0]
                self._answer(unique, struct.pack("<QII6Q10I", 0, 0, 0, *attributes))

    def _take(self) -> tuple[int, int, int]:
        _, opcode, unique, node, *_ = _IN.unpack_from(os.read(self._fuse, 1 << 17))
        return opcode, unique, node

    def _answer(self, unique: int, body: bytes) -> None:
        os.write(self._fuse, _OUT.pack(_OUT.size + len(body), 0, unique) + body)
