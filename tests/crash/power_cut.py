"""What a power cut leaves of a root: only what was fsynced is certain.

`Recording` surrounds the durable steps of all processes over one root, one step at a time, and writes down the tree after
each, with the content of what was fsynced. `images` goes through that record and yields, for each moment, two trees
that a disk may hold then:

* `lost`: nothing that was not fsynced. A name is there if its directory was fsynced after it was given, a file has the
  content of its last fsync, and is empty without one.
* `renamed`: all names, as file systems may write them out before the data; a file without fsync has its length in zeros.

A rename is one step on every file system with a journal: an fsync of either directory makes both its ends durable.
SQLite's file counts as durable at each commit (synchronous=FULL): that is SQLite's promise, and tested there.
"""

import contextlib
import fcntl
import hashlib
import os
import pickle
import shutil
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.steps import Around, Step

_STORE = ("glmd.db", "glmd.db-wal")
_NOT_KEPT = frozenset({*_STORE, "glmd.db-shm", "glmd.sock"})


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

    name: str
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
                self._write(Frame("beforehand", "fsync", tree, node.inode, content))
        for node in tree.values():
            if node.kind == stat.S_IFDIR:
                self._write(Frame("beforehand", "fsync", tree, node.inode))
        self._write(Frame("beforehand", "commit", tree, store=self._store()))

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
        tree, name = _tree(self._root), f"{role}: {step.name}"
        first = step.arguments[0] if step.arguments else None
        match step.operation:
            case "fsync" | "fdatasync" if isinstance(first, int):
                status = os.fstat(first)
                content = Path(f"/proc/self/fd/{first}").read_bytes() if stat.S_ISREG(status.st_mode) else b""
                return Frame(name, "fsync", tree, status.st_ino, content)
            case "rename" | "replace":
                ends = [os.path.relpath(os.fspath(end), self._root) for end in step.arguments[:2]]  # type: ignore[call-overload]
                return Frame(name, "rename", tree, renamed=(ends[0], ends[1]))
            case "commit":
                return Frame(name, "commit", tree, store=self._store())
            case other:
                return Frame(name, other, tree)

    def _store(self) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() if path.exists() else b"" for path in map(self._root.joinpath, _STORE))

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
            target = os.readlink(path) if kind == stat.S_IFLNK else ""
            if kind == stat.S_IFDIR:
                waiting += [path / name for name in os.listdir(path) if name not in _NOT_KEPT]  # noqa: PTH208 - as Path
            mode = stat.S_IMODE(status.st_mode)
            name = str(path.relative_to(root))
            tree[name] = Node(status.st_ino, kind, mode, status.st_size, status.st_mtime_ns, target)
    return tree


@dataclass
class _Thing:
    """A file, directory or link as long as it exists, which an inode number outlives."""

    node: Node
    content: bytes | None = None
    """What is durable of a file."""
    entries: "dict[str, _Thing]" = field(default_factory=dict)
    """What is durable of a directory."""
    live: "dict[str, _Thing]" = field(default_factory=dict)
    """What is in it now."""


@dataclass(frozen=True)
class Image:
    """A tree that a power cut leaves."""

    moment: str
    """After which step, and which of the two it is."""
    files: dict[str, tuple[Node, bytes]]
    store: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """Tells images that are the same."""
        digest = hashlib.sha256(b"\0".join(self.store))
        for name, (node, content) in sorted(self.files.items()):
            digest.update(f"{name}\0{node.kind}\0{node.inode}\0{node.target}\0".encode() + content)
        return digest.hexdigest()

    def restore(self, root: Path) -> None:
        """Make `root` this image, in place of what is there."""
        shutil.rmtree(root)
        inodes = {}
        for name, (node, content) in sorted(self.files.items(), key=lambda item: item[0].count("/") + (item[0] != ".")):
            path = root / name
            if node.kind == stat.S_IFDIR:
                path.mkdir()
            elif node.kind == stat.S_IFLNK:
                path.symlink_to(node.target)
            elif node.kind == stat.S_IFREG:
                path.write_bytes(content)
                path.chmod(node.mode)
            elif node.kind == stat.S_IFIFO:
                os.mkfifo(path)
            inodes[node.inode] = path.lstat().st_ino
        for name, (node, content) in self.files.items():
            path = root / name
            if (
                path.name == "manifest.json"
            ):  # which names files by inode; on the disk that was cut off they are the same
                for old, new in inodes.items():
                    content = content.replace(b'"inode": %d,' % old, b'"inode": %%%d,' % new)
                    content = content.replace(b'"inode": %d\n' % old, b'"inode": %%%d\n' % new)
                path.write_bytes(content.replace(b'"inode": %', b'"inode": '))
            os.utime(path, ns=(node.mtime_ns, node.mtime_ns), follow_symlinks=False)
        for name, stored in zip(_STORE, self.store, strict=True):
            if stored:
                (root / name).write_bytes(stored)


def images(recording: Recording) -> Iterator[Image]:
    """Yield what a power cut may leave after each step, each image once."""
    seen = set()
    disk = _Disk()
    for frame in recording.frames():
        disk.take(frame)
        if frame.name == "beforehand":
            continue
        for image in (disk.lost(frame.name), disk.renamed(frame.name)):
            if image.digest not in seen:
                seen.add(image.digest)
                yield image


class _Disk:
    def __init__(self) -> None:
        self._things: dict[int, _Thing] = {}
        self._root: _Thing | None = None
        self._renames: list[tuple[_Thing, str, _Thing, str, _Thing]] = []
        self._store: tuple[bytes, ...] = (b"", b"")

    def take(self, frame: Frame) -> None:
        """Go on to the next frame."""
        self._look(frame.tree)
        if frame.store is not None:
            self._store = frame.store
        if frame.renamed is not None:
            self._rename(frame.tree, *frame.renamed)
        thing = self._things.get(frame.synced) if frame.synced is not None else None
        if thing is not None and thing.node.kind == stat.S_IFDIR:
            self._sync_directory(thing)
        elif thing is not None:
            thing.content = frame.content

    def _look(self, tree: Tree) -> None:
        """Bring up to date what is there now; an inode that was gone meanwhile is another thing's."""
        self._things = {node.inode: self._things.get(node.inode) or _Thing(node) for node in tree.values()}
        for name, node in tree.items():
            thing = self._things[node.inode]
            thing.node, thing.live = node, {}
            if name == ".":
                self._root = thing
        for name, node in tree.items():
            if name != ".":
                path = Path(name)
                self._things[tree[str(path.parent)].inode].live[path.name] = self._things[node.inode]

    def _rename(self, tree: Tree, source: str, destination: str) -> None:
        old, new = Path(source), Path(destination)
        ends = [tree.get(str(path)) for path in (old.parent, new.parent, new)]
        if all(ends) and old.parent != new.parent:
            one, other, moved = (self._things[node.inode] for node in ends if node)
            self._renames.append((one, old.name, other, new.name, moved))

    def _sync_directory(self, directory: _Thing) -> None:
        directory.entries = dict(directory.live)
        for rename in [each for each in self._renames if directory in (each[0], each[2])]:
            self._renames.remove(rename)
            source, old, destination, new, moved = rename
            if source.entries.get(old) is moved:
                del source.entries[old]
            if destination.live.get(new) is moved:
                destination.entries[new] = moved

    def lost(self, moment: str) -> Image:
        """Return what is certain."""
        files: dict[str, tuple[Node, bytes]] = {}
        waiting = [(".", self._root)]
        while waiting:
            name, thing = waiting.pop()
            assert thing is not None
            files[name] = (thing.node, thing.content or b"")
            waiting += [(str(Path(name) / entry), each) for entry, each in thing.entries.items()]
        return Image(f"{moment}, lost", files, self._store)

    def renamed(self, moment: str) -> Image:
        """Return all names, with what is certain of their content."""
        files: dict[str, tuple[Node, bytes]] = {}
        waiting = [(".", self._root)]
        while waiting:
            name, thing = waiting.pop()
            assert thing is not None
            content = (
                bytes(thing.node.size) if thing.content is None and thing.node.kind == stat.S_IFREG else thing.content
            )
            files[name] = (thing.node, content or b"")
            waiting += [(str(Path(name) / entry), each) for entry, each in thing.live.items()]
        return Image(f"{moment}, renamed", files, self._store)
