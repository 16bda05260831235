"""Copying directories that others write in: no link is followed, nobody waited for, and what vanishes is told."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from daemon.core.backup_record import LeftOut
from handlers.ckpt.files.transfer import write_all

Wanted = Callable[[PurePath], bool]
"""Says of a place, from the directory that is copied, whether it is."""

_BLOCK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_NOT_READ = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ELOOP, errno.ENXIO})
"""What is wrong with one file, and not with this process or the host."""
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
"""Another file system, another's files, or too many links: a copy will do."""


class _SourceError(Exception):
    """What is to be copied cannot be read; what is wrong with the copy is an OSError."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@contextlib.contextmanager
def _source() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _GONE | _NOT_READ:
            raise _SourceError(error) from error
        raise


def everything(place: PurePath) -> bool:
    """Want all."""
    del place
    return True


class TreeCopy:
    """Copies what lies below `root` to the same places below `destination`, with modes and times, and owners for root.

    All of it raises OSError where the copy cannot be written.
    """

    def __init__(self, root: Path, destination: Path) -> None:
        self._root = root
        self._destination = destination
        self.files = 0
        self.bytes = 0
        self.left_out: list[LeftOut] = []

    def directory(self, place: PurePath, wanted: Wanted = everything) -> None:
        """Copy the directory at `place` with what is in it."""
        with self._telling(place), self._opened(self._root / place) as source:
            self._directory(source, place, PurePath(), wanted)

    def file(self, place: PurePath, source: Path | None = None) -> None:
        """Copy the file at `place`, or another one to there."""
        with self._telling(place), self._opened(source or self._root / place) as descriptor:
            self._file(descriptor, place)

    def link(self, place: PurePath) -> bool:
        """Make the copy at `place` a hard link, and say whether that can be done there."""
        copy = self._destination / place
        with self._telling(place):
            try:
                with _source():
                    status = os.lstat(self._root / place)
                if not stat.S_ISREG(status.st_mode):
                    self._leave_out_by_kind(place, status.st_mode)
                    return True
                os.link(self._root / place, copy, follow_symlinks=False)
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return False
                raise
            self.files += 1
            self.bytes += status.st_size
        return True

    def leave_out(self, place: PurePath, why: str, *, is_lack: bool = False) -> None:
        """Tell that something is not in the copy."""
        self.left_out.append(LeftOut(place=ascii(str(place))[1:-1], why=why, is_lack=is_lack))

    def _directory(self, source: int, place: PurePath, inside: PurePath, wanted: Wanted) -> None:
        copy = self._destination / place
        copy.mkdir(mode=0o700, exist_ok=not place.parts)  # of the whole tree it is there
        with _source():
            names = sorted(os.listdir(source))
        for name in names:
            if wanted(inside / name):
                with self._telling(place / name):
                    self._entry(source, name, place / name, inside / name, wanted)
        _make_like(copy, os.fstat(source))

    def _entry(self, parent: int, name: str, place: PurePath, inside: PurePath, wanted: Wanted) -> None:
        with _source():
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            with _source():
                target = os.readlink(name, dir_fd=parent)
            (self._destination / place).symlink_to(target)
        elif stat.S_ISDIR(mode):
            with self._opened(name, parent) as source:
                self._directory(source, place, inside, wanted)
        elif stat.S_ISREG(mode):
            with self._opened(name, parent) as source:
                self._file(source, place)
        else:
            self._leave_out_by_kind(place, mode)

    def _file(self, source: int, place: PurePath) -> None:
        """Copy an open file as far as it is written now."""
        copy, status = self._destination / place, os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            self._leave_out_by_kind(place, status.st_mode)
            return
        target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            size = _transfer(source, target, status.st_size)
        except BaseException as error:
            copy.unlink()
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(copy)
            raise
        finally:
            os.close(target)
        _make_like(copy, status)
        self.files += 1
        self.bytes += size

    def _leave_out_by_kind(self, place: PurePath, mode: int) -> None:
        self.leave_out(place, f"it is no regular file ({stat.filemode(mode)})")

    @contextlib.contextmanager
    def _opened(self, path: Path | str, parent: int | None = None) -> Iterator[int]:
        with _source():
            descriptor = os.open(path, _FLAGS, dir_fd=parent)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _telling(self, place: PurePath) -> Iterator[None]:
        try:
            yield
        except _SourceError as error:
            if error.cause.errno in _GONE:
                self.leave_out(place, "it was removed before it could be copied")
            elif error.cause.errno == errno.ELOOP:
                self.leave_out(place, "it is a symbolic link, and glmd does not follow it", is_lack=True)
            else:
                self.leave_out(place, f"it cannot be read: {error.cause.strerror}", is_lack=True)


def _transfer(source: int, target: int, size: int) -> int:
    """Copy `size` bytes, or fewer where the file has become shorter; return how many."""
    done = 0
    while done < size:
        with _source():
            block = os.pread(source, min(_BLOCK, size - done), done)
        if not block:
            break
        write_all(target, memoryview(block), done)
        done += len(block)
    return done


def _make_like(copy: Path, status: os.stat_result) -> None:
    """Give a copy the mode and time of what it is a copy of, and the owner where we may."""
    if os.geteuid() == 0:
        os.chown(copy, status.st_uid, status.st_gid)
    copy.chmod(stat.S_IMODE(status.st_mode))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
