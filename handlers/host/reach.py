"""Reaching paths that others chose: on storage that is dead a look at one may never return.

Anyone who lets such work run, in a process that can be given up, sets a `Guard`: it is asked before each file system
that is entered, so that it knows what hangs, and can keep others away from it.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Protocol

from handlers.host.mountinfo import MOUNTINFO, mounts

_LONGEST = 4096
"""Characters; the kernel looks at no path of more bytes, see path_resolution(7)."""
_MOST_LINKS = 40
"""As many as the kernel follows, see path_resolution(7)."""


class DoesNotAnswerError(OSError):
    """Storage does not answer. That may pass."""

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(errno.ETIMEDOUT, why, str(path))

    def __reduce__(self) -> tuple[type["DoesNotAnswerError"], tuple[str, str]]:
        """Let it cross to another process."""
        return type(self), (str(self.filename), str(self.strerror))


class Guard(Protocol):
    """Watches over a process that reaches for paths."""

    def entering(self, mount: str, path: Path) -> contextlib.AbstractContextManager[None]:
        """Return what to be within while the file system `mount` is touched; raises DoesNotAnswerError."""

    def work(self) -> None:
        """Take note that the process is at work."""

    def tell(self, value: object, /) -> None:
        """Take note of what it has found out, or does."""


class _Unguarded:
    def entering(self, mount: str, path: Path) -> contextlib.AbstractContextManager[None]:
        del mount, path
        return contextlib.nullcontext()

    def work(self) -> None:
        pass

    def tell(self, value: object, /) -> None:
        pass


_guard: Guard = _Unguarded()


def set_guard(guard: Guard) -> None:
    """Let `guard` be asked by every `reach` of this process."""
    global _guard  # noqa: PLW0603 - one process does one piece of guarded work
    _guard = guard


def is_at_work() -> None:
    """Tell the guard of this process that it is: to be called now and then by what takes minutes."""
    _guard.work()


def tell(what: str) -> None:
    """Tell the guard of this process what it does, for people: of what takes minutes."""
    _guard.tell(what)


def reach(path: str | os.PathLike[str]) -> None:
    """Touch the absolute `path` and what it links to, mount by mount: what would hang later hangs here.

    Whether it is there is for the caller to find out. Raises DoesNotAnswerError.
    """
    if len(os.fspath(path)) > _LONGEST:
        return
    # Not the root, without which nobody would ask.
    places = {
        mount.place: f"{mount.number} {mount.place}" for mount in mounts(MOUNTINFO.read_bytes()) if mount.place != "/"
    }
    reached, ahead, links = Path("/"), _parts(path), 0
    with contextlib.ExitStack() as within:
        while ahead:
            part = ahead.pop()
            reached = reached.parent if part == ".." else reached / part
            if mount := places.get(str(reached)):
                within.close()
                within.enter_context(_guard.entering(mount, Path(path)))
            target = _target(reached)
            if target is not None and (links := links + 1) <= _MOST_LINKS:
                ahead += _parts(target)
                reached = reached.parent
                if target.startswith("/"):
                    reached = Path("/")
                    within.close()


def _parts(path: str | os.PathLike[str]) -> list[str]:
    """Return the names on the way, the first one last."""
    return [part for part in reversed(os.fspath(path).split("/")) if part not in {"", "."}]


def _target(path: Path) -> str | None:
    """Look at `path` itself and, if it is a link, at where it leads."""
    try:
        is_link = stat.S_ISLNK(path.lstat().st_mode)
        return os.readlink(path) if is_link else None  # noqa: PTH115 - its very text
    except (OSError, ValueError):  # not there, not allowed, not a path: the caller gets to know
        return None
