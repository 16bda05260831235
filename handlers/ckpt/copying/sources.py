"""A parameter's content, read from the shards' slices as if it were one file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.entry import CkptFile
from handlers.ckpt.files.transfer import scatter
from handlers.ckpt.layout import Band
from handlers.ckpt.planning.plan import Parameter

MAX_VIEWS = 1 << 12
"""Pieces that are read into separately at once; more would cost memory (200 bytes each) without saving time."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The shards of a run, opened: their descriptors by rank."""

    shards: Mapping[int, CkptFile]
    descriptors: Mapping[int, int]

    def get(self, name: str, rank: int, start: int, views: Sequence[memoryview]) -> None:
        """Fill `views`, one after the other, with consecutive bytes of rank's slice of parameter `name`.

        Raises InconsistentError where the file ends before, and OSError.
        """
        shard = self.shards[rank]
        scatter(self.descriptors[rank], shard.entries[name].extents, start, views, shard.path)

    def portions(self, name: str, rank: int, size: int) -> Iterator[memoryview]:
        """Yield rank's slice of parameter `name` in portions of `size` bytes, each good until the next one."""
        buffer = memoryview(bytearray(size))
        length = self.shards[rank].entries[name].nbytes
        for start in range(0, length, size):
            view = buffer[: min(size, length - start)]
            self.get(name, rank, start, (view,))
            yield view

    def path(self, rank: int) -> Path:
        """Where rank's shard lies."""
        return self.shards[rank].path


class Content:
    """A parameter's whole content, to be read once, first byte to last, in portions of any size.

    Of every slice it takes the holder number `replica`; where a slice has fewer, its first.
    """

    def __init__(self, parameter: Parameter, sources: Sources, replica: int = 0) -> None:
        self._name = parameter.name
        self._sources = sources
        self._instead = {ranks[0]: ranks[replica] for ranks in parameter.tiling.replicas if replica < len(ranks)}
        self._bands = parameter.tiling.bands(parameter.item_size)
        self._band = Band((), 0, 0, 0)
        self._done = 0
        """Bytes of the band that were read."""

    def fill(self, view: memoryview) -> None:
        """Fill `view` with the next bytes. Raises InconsistentError where a shard became shorter, and OSError."""
        while view:
            if self._done == self._band.nbytes:
                self._band, self._done = next(self._bands), 0
                continue
            count = min(len(view), self._band.nbytes - self._done, self._most())
            self._fill(view[:count])
            view = view[count:]
            self._done += count

    def skip(self, count: int) -> None:
        """Skip the next `count` bytes, which are there."""
        while count:
            if self._done == self._band.nbytes:
                self._band, self._done = next(self._bands), 0
                continue
            passed = min(count, self._band.nbytes - self._done)
            self._done += passed
            count -= passed

    def _most(self) -> int:
        """Return how many bytes of the band may be read at once."""
        columns = len(self._band.sources)
        return max(1, MAX_VIEWS // columns) * columns * self._band.piece

    def _fill(self, view: memoryview) -> None:
        """Fill `view` from the band: each source's pieces in one go, the kernel putting each where it belongs."""
        for column, rank in enumerate(self._band.sources):
            start, views = pieces(self._band, column, self._done, view)
            if views:
                self._sources.get(self._name, self._instead.get(rank, rank), self._band.offset + start, views)


def pieces(band: Band, column: int, done: int, view: memoryview) -> tuple[int, list[memoryview]]:
    """Find the pieces of one source in `view`, which stands for the bytes of `band` from byte `done` on.

    Returns where in the source, counted from the band's first piece, they begin, and the parts of `view`. The first
    and the last piece may be cut.
    """
    if len(band.sources) == 1:
        return done, [view]
    piece, width = band.piece, len(band.sources) * band.piece
    place = column * piece - done
    """Of row 0's piece in `view`."""
    first = max(0, (-place - piece) // width + 1)
    start = place + first * width
    views = [view[max(at, 0) : at + piece] for at in range(start, len(view), width)]
    return first * piece + max(0, -start), views
