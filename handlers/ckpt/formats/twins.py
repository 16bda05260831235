"""Shards that are alike, of which one needs a walk and the others only a comparison.

The ranks of a run write the same entries, so that their shards differ in the tensors' bytes alone. What is not tensor
bytes, the frame, says all that a walk finds. A shard of the same size whose frame is byte for byte another's is whole,
and holds the same entries: comparing costs an eighth of walking.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from handlers.ckpt.entry import CkptFile
from handlers.ckpt.files.opening import opened
from handlers.ckpt.formats.walk import walk

MAX_FRAME = 4 << 20
"""Bytes. GLM-6B's shards have 0.1 MB; one with more is walked each time."""


@dataclass(frozen=True)
class Frame:
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


def walk_all(paths: Mapping[int, Path]) -> dict[int, CkptFile]:
    """Walk the shards of a run, by rank; raises the errors of `walk`. Shards that are alike share their entries."""
    walked: list[tuple[CkptFile, Frame]] = []
    found = {}
    for rank, path in sorted(paths.items()):
        file = _like(path, walked)
        if file is None:
            file = walk(path)
            frame = Frame.of(file) if len(paths) > 1 else None
            if frame is not None:
                walked.append((file, frame))
        found[rank] = file
    return found


def _like(path: Path, walked: list[tuple[CkptFile, Frame]]) -> CkptFile | None:
    with opened(path) as (descriptor, fingerprint):
        for file, frame in walked:
            if file.fingerprint.size == fingerprint.size and frame.is_of(descriptor):
                return replace(file, path=path, fingerprint=fingerprint)
    return None
