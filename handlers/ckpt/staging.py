"""Publishing several files as one set: written and made durable in a hidden directory, then renamed, manifest last.

A set is there when its manifest is. A kill between two renames leaves whole files and, in the hidden directory, the
rest with the manifest: the next run goes on from there.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from handlers.ckpt.durable import fsync_directory
from handlers.ckpt.errors import OutputExistsError

NAME = ".merging"


class Staging:
    """The hidden directory of `destination`, while this process holds it."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path = destination / NAME

    @contextlib.contextmanager
    def create(self, name: str, *, mode: int = 0o640) -> Iterator[int]:
        """Yield a descriptor to write the new file `name` through; it is on the disk when the block has ended."""
        path = self.path / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Remove what is in it."""
        for path in self.path.iterdir():
            path.unlink()

    def publish(self, last: str, *, replace: bool, obsolete: Collection[str] = ()) -> None:
        """Give all files their names in `destination`, `last` after all others; remove `obsolete` files there.

        Raises FileExistsError where a name is taken, unless `replace`.
        """
        fsync_directory(self.path)
        if replace:
            (self.destination / last).unlink(missing_ok=True)  # no manifest may speak of another set's files
            fsync_directory(self.destination)
        for path in sorted(self.path.iterdir()):
            if path.name != last:
                self._publish(path, replace=replace)
        for name in obsolete:
            (self.destination / name).unlink(missing_ok=True)
        fsync_directory(self.destination)
        self._publish(self.path / last, replace=replace)
        fsync_directory(self.destination)

    def _publish(self, path: Path, *, replace: bool) -> None:
        final = self.destination / path.name
        if replace:
            path.rename(final)
            return
        try:
            final.hardlink_to(path)
        except FileExistsError:
            if not final.samefile(path):  # else a killed run got no further
                raise
        path.unlink()


@contextlib.contextmanager
def staging(destination: Path) -> Iterator[Staging]:
    """Yield the hidden directory of `destination`, with what a killed run left in it; remove it afterwards.

    Raises OutputExistsError where another process holds it.
    """
    stage = Staging(destination)
    descriptor = _hold(stage.path)
    try:
        yield stage
    finally:
        shutil.rmtree(stage.path)
        os.close(descriptor)


def _hold(path: Path) -> int:
    """Make the directory and lock it; return the descriptor that holds the lock."""
    while True:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # removed meanwhile by a run that ended
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise OutputExistsError(f"{path.parent}: another merge is going on there; wait for its end") from error
        except FileNotFoundError:
            pass
        os.close(descriptor)
