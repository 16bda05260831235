"""What the processes over one root do to its files, step by step: the tree after each, and what is fsynced by then."""

import contextlib
import fcntl
import os
import pickle
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.crash.steps import Around, Step, Taken

STORE = ("glmd.db", "glmd.db-wal")
"""SQLite's files."""
BEFOREHAND = Taken("", "beforehand", ())
_NOT_KEPT = frozenset({*STORE, "glmd.db-shm", "glmd.sock"})


@dataclass(frozen=True)
class Node:
    """One name in the tree: what it is of, by inode, and what a stat says."""

    inode: int
    kind: int
    """stat.S_IFMT of its mode."""
    mode: int
    size: int
    mtime_ns: int
    target: str = ""
    """Of a symbolic link."""


Tree = dict[str, Node]
"""By path within the root; the root itself is `.`."""


@dataclass(frozen=True)
class Frame:
    """One durable step that was taken, and the tree after it."""

    step: Taken
    operation: str
    tree: Tree
    synced: int | None = None
    """The inode that an fsync was for."""
    content: bytes = b""
    """Of that file, at that time."""
    renamed: tuple[str, str] | None = None
    store: tuple[bytes, ...] | None = None
    """SQLite's files after a commit."""


class Recording:
    """Writes the frames of all processes over `root` to the file `path`, in the order of the steps."""

    def __init__(self, root: Path, path: Path) -> None:
        self._root, self._path = root, path

    def begin(self) -> None:
        """Take what is there as durable: the content of all files, then all directories."""
        tree = _tree(self._root)
        for name, node in tree.items():
            if node.kind == stat.S_IFREG:
                content = (self._root / name).read_bytes()
                self._write(Frame(BEFOREHAND, "fsync", tree, node.inode, content))
        for node in tree.values():
            if node.kind == stat.S_IFDIR:
                self._write(Frame(BEFOREHAND, "fsync", tree, node.inode))
        self._write(Frame(BEFOREHAND, "commit", tree, store=self._store()))

    def of_process(self, root: Path, role: str) -> Around:
        """Return what surrounds the steps of the process that calls."""
        del root
        lock = os.open(self._path, os.O_RDONLY)
        threads = threading.RLock()

        @contextlib.contextmanager
        def around(step: Step) -> Iterator[None]:
            with threads:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    yield
                    self._write(self._frame(step, role))
                finally:
                    fcntl.flock(lock, fcntl.LOCK_UN)

        return around

    def _frame(self, step: Step, role: str) -> Frame:
        tree, taken = _tree(self._root), Taken(role, step.name, step.lines)
        first = step.arguments[0] if step.arguments else None
        match step.operation:
            case "fsync" | "fdatasync" if isinstance(first, int):
                status = os.fstat(first)
                content = Path(f"/proc/self/fd/{first}").read_bytes() if stat.S_ISREG(status.st_mode) else b""
                return Frame(taken, "fsync", tree, status.st_ino, content)
            case "rename" | "replace":
                ends = [os.path.relpath(os.fspath(end), self._root) for end in step.arguments[:2]]  # type: ignore[call-overload]
                return Frame(taken, "rename", tree, renamed=(ends[0], ends[1]))
            case "commit":
                return Frame(taken, "commit", tree, store=self._store())
            case other:
                return Frame(taken, other, tree)

    def _store(self) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() if path.exists() else b"" for path in map(self._root.joinpath, STORE))

    def _write(self, frame: Frame) -> None:
        with self._path.open("ab") as stream:
            pickle.dump(frame, stream)

    def frames(self) -> Iterator[Frame]:
        """Yield what was written."""
        with self._path.open("rb") as stream, contextlib.suppress(EOFError):
            while True:
                yield pickle.load(stream)  # noqa: S301 - our own


def _tree(root: Path) -> Tree:
    tree: Tree = {}
    waiting = [root]
    while waiting:
        path = waiting.pop()
        with contextlib.suppress(FileNotFoundError):  # another process is at work there
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            target = str(path.readlink()) if kind == stat.S_IFLNK else ""
            if kind == stat.S_IFDIR:
                waiting += [path / name for name in os.listdir(path) if name not in _NOT_KEPT]  # noqa: PTH208 - as Path
            mode = stat.S_IMODE(status.st_mode)
            name = str(path.relative_to(root))
            tree[name] = Node(status.st_ino, kind, mode, status.st_size, status.st_mtime_ns, target)
    return tree
