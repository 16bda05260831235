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

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import OutputExistsError
from handlers.ckpt.files.durable import fsync_directory

NAME = ".merging"
REPLACED = ".replaced"
"""In the hidden directory: the `last` file of a set that is giving way to a new one, and says what belonged to it."""
LOCK = ".lock"
"""In the hidden directory: who has locked it publishes there. The directory itself NFS does not lock (man 2 flock)."""


class Staging:
    """The hidden directory of `destination`, while this process holds it."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path = destination / NAME
        self.replaced = self.path / REPLACED

    @contextlib.contextmanager
    def create(self, name: str, *, mode: int = 0o640) -> Iterator[int]:
        """Yield a descriptor to write the new file `name` through; it is on the disk when the block has ended.

        An OSError that names no file, as those of writing, gets this one's name.
        """
        path = self.path / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        except OSError as error:
            if error.filename is None:
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Remove what was to be published."""
        for path in self._files():
            path.unlink()

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.iterdir() if path.name not in {REPLACED, LOCK})

    def publish(self, last: str, *, replace: bool, obsolete: Collection[str] = ()) -> None:
        """Give all files their names in `destination`, `last` after all others.

        With `replace`, what has these names gives way, and `obsolete` files there are removed. Without it, a name that
        is taken raises FileExistsError, and after any error the names that were given are taken back.
        """
        fsync_directory(self.path)
        if replace:
            self._make_way(last, obsolete)
        given: list[Path] = []
        try:
            for path in self._files():
                if path.name != last:
                    self._publish(path, given, replace=replace)
            fsync_directory(self.destination)
            self._publish(self.path / last, given, replace=replace)
            fsync_directory(self.destination)
        except BaseException:
            for final in reversed(given):
                with contextlib.suppress(OSError):
                    final.unlink()
            raise

    def _make_way(self, last: str, obsolete: Collection[str]) -> None:
        """Take away the old set's `last` file, which may not describe another set's files, and what is obsolete."""
        fsync_directory(self.destination)  # of the hidden directory itself: what is moved there must not be lost
        with contextlib.suppress(FileNotFoundError):
            (self.destination / last).rename(self.replaced)
        fsync_directory(self.path)
        fsync_directory(self.destination)
        for name in obsolete:
            (self.destination / name).unlink(missing_ok=True)

    def _publish(self, path: Path, given: list[Path], *, replace: bool) -> None:
        """Give one file its name; without `replace`, add that to `given`."""
        final = self.destination / path.name
        if replace:
            path.rename(final)
            return
        try:
            final.hardlink_to(path)
        except FileExistsError:
            if not final.samefile(path):  # else a killed run got no further
                raise
        given.append(final)
        path.unlink()


@contextlib.contextmanager
def staging(destination: Path) -> Iterator[Staging]:
    """Yield the hidden directory of `destination`, with what a killed run left in it; remove it afterwards.

    It stays where an error keeps a set from being replaced by another one altogether.

    Raises OutputExistsError where another process holds it.
    """
    stage = Staging(destination)
    lock = _hold(stage.path)
    try:
        yield stage
    finally:
        is_over = not stage.replaced.exists()  # else the next run has to go on, as after a kill
        if is_over:
            shutil.rmtree(stage.path, ignore_errors=True)  # what the disk keeps, the next run clears
        os.close(lock)
        if is_over:
            with contextlib.suppress(OSError):
                stage.path.rmdir()  # NFS keeps a file that is removed while it is open, and so its directory
            with contextlib.suppress(OSError):
                fsync_directory(destination)


def _hold(path: Path) -> int:
    """Make the directory and lock the file in it; return the descriptor that holds the lock."""
    lock = path / LOCK
    while True:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        try:
            descriptor = _open(path)
        except FileNotFoundError:
            continue  # removed meanwhile by a run that ended
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise OutputExistsError(
                f"{path.parent}: another merge is going on there; wait for its end", Code.UNDER_WAY
            ) from error
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(descriptor)
            raise OSError(error.errno, error.strerror, str(lock)) from error
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the file to be locked in the directory, which must be no link: what lies there is removed."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(LOCK, flags, 0o600, dir_fd=directory)
    finally:
        os.close(directory)
