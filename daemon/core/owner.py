"""glmd.owner, in a root whose store lies elsewhere: which host's daemon serves it, and where its store is.

A root on a shared file system is seen by several hosts, and the store, the lock and the socket by one. The daemon
replaces the file every few seconds: `seq` is its sign of life, so that clocks are not compared.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TypeVar

from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.codes import Code
from handlers.errors import RefusedError
from handlers.records.process import boot_id

NAME = "glmd.owner"
_MOST_BYTES = 1 << 16

_T = TypeVar("_T")


class ElsewhereError(RefusedError):
    """The daemon of a root is another host's, and so is its store."""

    code = Code.DAEMON_ELSEWHERE


class OwnerError(RefusedError):
    """glmd.owner says nothing that this glmd understands."""

    code = Code.DAEMON_RECORD


@dataclass(frozen=True)
class Owner:
    """glmd.owner."""

    host: str
    boot_id: str
    """Of the host: two may have the same name."""
    pid: int
    store: Path
    """The directory of store, lock and socket, on that host."""
    seq: int = 0
    """Grows while the daemon lives."""
    stopped: bool = False
    """Whether it was told to end, and did."""

    @classmethod
    def now(cls, store: Path) -> Self:
        """Return what this process would say."""
        return cls(os.uname().nodename, boot_id(), os.getpid(), store)

    def is_of_the_process_of(self, other: "Owner") -> bool:
        """Say whether the same daemon has written both."""
        return (self.host, self.boot_id, self.pid) == (other.host, other.boot_id, other.pid)

    def is_of_the_boot_of(self, other: "Owner") -> bool:
        """Say whether both were written on one host, since it was booted: there the kernel's locks count."""
        return (self.host, self.boot_id) == (other.host, other.boot_id)

    def content(self) -> bytes:
        """Return it as the file has it."""
        return (json.dumps({**asdict(self), "store": str(self.store)}, indent=1) + "\n").encode()


def read_owner(root: Path) -> Owner | None:
    """Return what glmd.owner in `root` says; None where there is none. Raises OSError and OwnerError."""
    path = root / NAME
    try:
        values = json.loads(read_bounded(path, _MOST_BYTES))
        return Owner(
            host=_of(values, "host", str),
            boot_id=_of(values, "boot_id", str),
            pid=_of(values, "pid", int),
            store=Path(_of(values, "store", str)),
            seq=_of(values, "seq", int),
            stopped=_of(values, "stopped", bool),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (DamagedFileError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise OwnerError(
            f"{path}: not what this glmd writes ({type(error).__name__}: {error}); stop glmd wherever it serves this "
            "root, remove the file, and start glmd again"
        ) from error


def _of(values: dict[str, object], key: str, kind: type[_T]) -> _T:
    value = values[key]
    if type(value) is not kind:
        raise TypeError(f"{key} is {value!r:.60}")
    return value
