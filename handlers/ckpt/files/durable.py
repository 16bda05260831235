"""The one place where files get their final name: write-temp, fsync, rename, fsync the directory."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

UMASK = 0o027
"""What the daemon and its shims set, whatever they are started with: the group reads, and nobody else writes."""


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an OSError of the block say that it is about `path`: those of open files do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def fsync_directory(directory: Path) -> None:
    """Make renames, links and unlinks in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _naming(directory):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the content of `path`, no matter who wrote it, survive a power cut. Follows no link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with _naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(directory: Path) -> None:
    """Make everything below `directory`, if it is there, survive a power cut: regular files and names."""
    for parent, _, names in os.walk(directory):
        for path in (Path(parent, name) for name in names):
            if stat.S_ISREG(path.lstat().st_mode):
                fsync_file(path)
        fsync_directory(Path(parent))


def make_directory(directory: Path, *, mode: int = 0o750) -> None:
    """Create `directory` and its missing parents, each made durable in its parent.

    Group and setgid come from a setgid parent; to ask for setgid is what RestrictSUIDSGID= of our units refuses.
    """
    if directory.is_dir():
        return
    make_directory(directory.parent, mode=mode)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=mode)
    fsync_directory(directory.parent)


@contextlib.contextmanager
def publishing(path: Path, *, mode: int = 0o640, replace: bool = True, lasting: bool = True) -> Iterator[BinaryIO]:
    """Yield a writable, seekable file that becomes `path` when the block ends well.

    Until then it has a dot name in the same directory; when the block raises it is removed, and `path` stays as it was.
    An existing `path` is replaced in one step; without `replace` it is a FileExistsError. Without `lasting` no disk is
    waited for, and a power cut may leave an older `path`, or an empty one.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb", opener=_private) as stream:
            yield stream
            with _naming(path):
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                if lasting:
                    os.fsync(stream.fileno())
        if replace:
            temporary.rename(path)
        else:
            path.hardlink_to(temporary)
            temporary.unlink()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        fsync_directory(path.parent)


def _private(path: str, flags: int) -> int:
    """Open for this user alone: what is written may be a secret, and has its own mode only when it is whole.

    Not through a link, and without waiting for anyone who is at the other end of a FIFO.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def publish_bytes(path: Path, content: bytes, *, mode: int = 0o640, replace: bool = True, lasting: bool = True) -> None:
    """Write `content` to `path`, whole or not at all, as `publishing` does."""
    with publishing(path, mode=mode, replace=replace, lasting=lasting) as stream, _naming(path):
        stream.write(content)


def open_lock(path: Path) -> BinaryIO:
    """Open a file to be locked, and make it if it is missing.

    For this user alone: anyone who may read it may lock it, and so keep others from their work.
    """
    return open(path, "ab", opener=_private)


def publish_symlink(path: Path, target: Path) -> None:
    """Let `path` be a symbolic link to `target`, replacing an older link in one step."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    temporary.symlink_to(target)
    try:
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def move(source: Path, destination: Path) -> None:
    """Rename `source` to `destination` (same file system), durable in both directories."""
    source.rename(destination)
    fsync_directory(destination.parent)
    if source.parent != destination.parent:
        fsync_directory(source.parent)
