"""What a power cut leaves of a root: only what was fsynced is certain.

`images` goes through a recording and yields, for each moment, two trees that a disk may hold then:

* `lost`: nothing that was not fsynced. A name is there if its directory was fsynced after it was given, a file has the
  content of its last fsync, and is empty without one.
* `renamed`: all names, as file systems may write them out before the data; a file without fsync has its length in
  zeros.

A rename is one step on every file system with a journal: an fsync of either directory makes both its ends durable.
SQLite's file counts as durable at each commit (synchronous=FULL): that is SQLite's promise, and tested there.
"""

import hashlib
import itertools
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.crash.recording import BEFOREHAND, STORE, Frame, Node, Recording, Tree
from tests.crash.steps import Taken

_INODE = re.compile(rb'("inode": )(\d+)')


@dataclass(eq=False)
class _Thing:
    """A file, directory or link as long as it exists, which an inode number outlives."""

    number: int
    node: Node
    content: bytes | None = None
    """What is durable of a file."""
    entries: "dict[str, _Thing]" = field(default_factory=dict)
    """What is durable of a directory."""
    live: "dict[str, _Thing]" = field(default_factory=dict)
    """What is in it now."""


@dataclass(frozen=True)
class Left:
    """What a name stands for after a power cut. Names of the same `number` are hard links."""

    number: int
    node: Node
    content: bytes


@dataclass(frozen=True)
class Image:
    """A tree that a power cut leaves."""

    moment: Taken
    """After which step, and which of the two it is."""
    names: dict[str, Left]
    """Directories come before what is in them."""
    store: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """Tells images that are the same."""
        digest = hashlib.sha256(b"\0".join(self.store))
        for name, left in sorted(self.names.items()):
            digest.update(f"{name}\0{left.number}\0{left.node.kind}\0{left.node.target}\0".encode() + left.content)
        return digest.hexdigest()

    def restore(self, root: Path) -> None:
        """Make `root` this image, in place of what is there."""
        shutil.rmtree(root)
        made: dict[int, Path] = {}
        for name, left in self.names.items():
            if left.number in made:
                (root / name).hardlink_to(made[left.number])
            else:
                _make(root / name, left)
            made.setdefault(left.number, root / name)
        # A manifest names files by inode, and a disk that was cut off has kept these.
        inodes = {b"%d" % self._inode(number): b"%d" % path.lstat().st_ino for number, path in sorted(made.items())}
        for name, left in self.names.items():
            if Path(name).name == "manifest.json":
                content = _INODE.sub(lambda match: match[1] + inodes.get(match[2], match[2]), left.content)
                (root / name).write_bytes(content)
            os.utime(root / name, ns=(left.node.mtime_ns, left.node.mtime_ns), follow_symlinks=False)
        for name, content in zip(STORE, self.store, strict=True):
            if content:
                (root / name).write_bytes(content)

    def _inode(self, number: int) -> int:
        return next(left.node.inode for left in self.names.values() if left.number == number)


def _make(path: Path, left: Left) -> None:
    match left.node.kind:
        case stat.S_IFDIR:
            path.mkdir()
        case stat.S_IFLNK:
            path.symlink_to(left.node.target)
        case stat.S_IFIFO:
            os.mkfifo(path)
        case _:
            path.write_bytes(left.content)
            path.chmod(left.node.mode)


def images(recording: Recording) -> Iterator[Image]:
    """Yield what a power cut may leave after each step, each image once."""
    seen = set()
    disk = _Disk()
    for frame in recording.frames():
        disk.take(frame)
        if frame.step == BEFOREHAND:
            continue
        for image in (disk.lost(frame.step), disk.renamed(frame.step)):
            if image.digest not in seen:
                seen.add(image.digest)
                yield image


class _Disk:
    def __init__(self) -> None:
        self._things: dict[int, _Thing] = {}
        self._numbers = itertools.count()
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
        before, self._things = self._things, {}
        for node in tree.values():
            if node.inode not in self._things:
                self._things[node.inode] = before.get(node.inode) or _Thing(next(self._numbers), node)
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

    def lost(self, step: Taken) -> Image:
        """Return what is certain."""
        names = self._below(lambda thing: thing.entries, lambda thing: thing.content or b"")
        return Image(replace(step, name=f"{step.name}, lost"), names, self._store)

    def renamed(self, step: Taken) -> Image:
        """Return all names, with what is certain of their content."""
        names = self._below(lambda thing: thing.live, _content_or_zeros)
        return Image(replace(step, name=f"{step.name}, renamed"), names, self._store)

    def _below(
        self, entries: Callable[[_Thing], dict[str, _Thing]], content: Callable[[_Thing], bytes]
    ) -> dict[str, Left]:
        names: dict[str, Left] = {}
        assert self._root is not None
        waiting = [(".", self._root)]
        while waiting:
            name, thing = waiting.pop()
            names[name] = Left(thing.number, thing.node, content(thing))
            waiting += [(str(Path(name) / entry), each) for entry, each in entries(thing).items()]
        return names


def _content_or_zeros(thing: _Thing) -> bytes:
    if thing.content is None and thing.node.kind == stat.S_IFREG:
        return bytes(thing.node.size)
    return thing.content or b""
