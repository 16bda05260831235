"""What is in a shard, found out once for each: by a walk through its records, or by likeness to a shard walked before.

The ranks of a run write the same entries, so that their shards differ in the tensors' bytes alone. What is not tensor
bytes, the frame, says all that a walk finds. A shard of the same size whose frame is byte for byte another's is whole,
and holds the same entries: comparing costs an eighth of walking.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import xxhash

from handlers.ckpt import CkptFile, Fingerprint, walk
from handlers.ckpt.opening import opened

MAX_FRAME = 4 << 20
"""Bytes. GLM-6B's shards have 0.1 MB; one with more is walked each time."""


@dataclass(frozen=True)
class _Frame:
    """All bytes of a file that are not tensors', with their offsets."""

    pieces: tuple[tuple[int, bytes], ...]

    @classmethod
    def of(cls, file: CkptFile) -> Self | None:
        """Read the frame of a walked file; None where it does not tell all, or the file has changed.

        It does not where it is unusually large, or where something follows the last tensor: a checksum of the tensors.
        """
        gaps = list(_gaps(file))
        if sum(end - start for start, end in gaps) > MAX_FRAME or gaps[-1][1] == file.fingerprint.size:
            return None
        with opened(file.path) as (descriptor, fingerprint):
            pieces = tuple((start, os.pread(descriptor, end - start, start)) for start, end in gaps)
        return cls(pieces) if fingerprint == file.fingerprint else None

    def is_of(self, descriptor: int) -> bool:
        """Tell whether an open file has this frame."""
        return all(os.pread(descriptor, len(piece), start) == piece for start, piece in self.pieces)


def _gaps(file: CkptFile) -> Iterator[tuple[int, int]]:
    """Yield start and end of what no tensor's bytes cover."""
    at = 0
    extents = (extent for entry in file.entries.values() for extent in entry.extents)
    for extent in sorted(extents, key=lambda extent: extent.offset):
        if extent.offset > at:
            yield at, extent.offset
        at = max(at, extent.offset + extent.length)
    if at < file.fingerprint.size:
        yield at, file.fingerprint.size


@dataclass(frozen=True, eq=False)
class Content:
    """Names, shapes and types of a shard's entries, shared by all shards that have the same."""

    digest: str
    file: CkptFile
    """The first shard found to have them."""
    frame: _Frame | None


class Contents:
    """All that the shards of a tree contain. Memory goes by what differs, not by shards."""

    def __init__(self) -> None:
        self._by_digest: dict[str, Content] = {}
        self._by_size: dict[int, list[Content]] = {}

    def of(self, path: Path) -> tuple[Fingerprint, Content]:
        """Find out what is in a shard, and of which state of the file that is true; raises the errors of `walk`."""
        like = self._alike(path)
        if like is not None:
            return like
        file = walk(path)
        digest = _digest(file)
        content = self._by_digest.get(digest)
        if content is None or content.file.fingerprint.size != file.fingerprint.size:
            content = Content(digest, file, _Frame.of(file))
            self._by_digest[digest] = content
            self._by_size.setdefault(file.fingerprint.size, []).append(content)
        return file.fingerprint, content

    def _alike(self, path: Path) -> tuple[Fingerprint, Content] | None:
        """Compare a shard with those of its size; None where it is like none."""
        with opened(path) as (descriptor, fingerprint):
            for content in self._by_size.get(fingerprint.size, ()):
                if content.frame is not None and content.frame.is_of(descriptor):
                    return fingerprint, content
        return None

    def keep(self, digests: set[str]) -> None:
        """Forget what no shard has any more."""
        self._by_digest = {digest: self._by_digest[digest] for digest in self._by_digest if digest in digests}
        self._by_size = {}
        for content in self._by_digest.values():
            self._by_size.setdefault(content.file.fingerprint.size, []).append(content)


def _digest(file: CkptFile) -> str:
    entries = sorted((entry.name, entry.dims, entry.type) for entry in file.entries.values())
    return xxhash.xxh3_128_hexdigest(repr(entries).encode())
