"""The bytes of a file's parameters from the shards to the output: read, compared with their replicas, hashed, written.

Everything goes through one buffer that stays in the processor's cache. Copying inside the kernel (copy_file_range)
would spare nothing: the bytes must be seen for the hash anyway, and measured it is no faster (1 GiB with fsync: 2.2 to
2.5 s, this way 1.9 s).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.layout import Band
from handlers.ckpt.output import OutputFile, Placed
from handlers.ckpt.plan import Parameter, Plan
from handlers.ckpt.transfer import Flusher, scatter, spans, write_all

BUFFER = 1 << 20
"""Bytes."""
MAX_VIEWS = 1 << 14
"""Pieces of the buffer that are read into separately; more would cost memory without saving time."""

Progress = Callable[[int, int], None]
"""Gets the bytes written so far, and in all."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What a merge takes the time for."""

    hashed: bool = True
    """Hash every parameter, for the manifest."""
    compared: bool = True
    """Compare replicas byte for byte."""


class Copy:
    """A plan being carried out: `sources` are the shards' descriptors by rank, `size` is that of all output files."""

    def __init__(
        self, plan: Plan, sources: Mapping[int, int], size: int, progress: Progress | None, effort: Effort
    ) -> None:
        self._plan = plan
        self._sources = sources
        self._size = size
        self._progress = progress
        self._effort = effort
        self._written = 0
        self._buffer = bytearray(BUFFER)
        self._other = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._columns: tuple[tuple[int, int], tuple[list[memoryview], ...]] = ((0, 0), ())
        self._compared: set[str] = set()

    def file(self, file: OutputFile, descriptor: int) -> list[str | None]:
        """Write `file` to `descriptor`; return its parameters' hashes. Raises InconsistentError where replicas differ."""
        with Flusher(descriptor) as self._flusher:
            self._descriptor = descriptor
            self._put(memoryview(file.preamble), 0)
            return [self._copy(placed) for placed in file.placed]

    def _copy(self, placed: Placed) -> str | None:
        """Copy one parameter; return its hash."""
        parameter = placed.parameter
        if self._effort.compared and parameter.name not in self._compared:
            self._compared.add(parameter.name)
            for ranks in parameter.tiling.replicas:
                self._compare(parameter, ranks)
        for head, extent in zip(placed.heads, placed.extents, strict=False):
            self._put(memoryview(head), extent.offset - len(head))
        digest = xxhash.xxh3_128() if self._effort.hashed else None
        at = 0
        for view in self._blocks(parameter):
            if digest is not None:
                digest.update(view)
            self._put_content(placed, view, at)
            at += len(view)
        return digest.hexdigest() if digest is not None else None

    def _blocks(self, parameter: Parameter) -> Iterator[memoryview]:
        """Yield the content, first byte to last, in blocks that are good until the next one."""
        for band in parameter.tiling.bands(parameter.item_size):
            width = len(band.sources) * band.piece
            if band.rows == 1 or width > BUFFER:
                for row in range(band.rows):
                    for rank in band.sources:
                        yield from self._piece(parameter, rank, band.offset + row * band.piece, band.piece)
            else:
                yield from self._rows(parameter, band)

    def _piece(self, parameter: Parameter, rank: int, start: int, length: int) -> Iterator[memoryview]:
        """Yield `length` consecutive bytes of rank's slice, from `start`."""
        for done in range(0, length, BUFFER):
            view = self._view[: min(BUFFER, length - done)]
            self._get(parameter, rank, start + done, (view,))
            yield view

    def _rows(self, parameter: Parameter, band: Band) -> Iterator[memoryview]:
        """Yield a band whose rows are pieces of several ranks, as many rows at once as the buffer holds.

        Each rank's pieces are read in one go, the kernel putting each where it belongs in its row.
        """
        width = len(band.sources) * band.piece
        columns = self._columns_of(len(band.sources), band.piece)
        for row in range(0, band.rows, len(columns[0])):
            rows = min(len(columns[0]), band.rows - row)
            for rank, column in zip(band.sources, columns, strict=True):
                self._get(parameter, rank, band.offset + row * band.piece, column[:rows])
            yield self._view[: rows * width]

    def _columns_of(self, count: int, piece: int) -> tuple[list[memoryview], ...]:
        """Cut the buffer into rows of `count` pieces; return the pieces column by column."""
        if self._columns[0] != (count, piece):
            width = count * piece
            rows = max(1, min(BUFFER // width, MAX_VIEWS // count))
            self._columns = (
                (count, piece),
                tuple(
                    [self._view[start : start + piece] for start in range(first, rows * width, width)]
                    for first in range(0, width, piece)
                ),
            )
        return self._columns[1]

    def _compare(self, parameter: Parameter, ranks: Sequence[int]) -> None:
        """Refuse unless all `ranks` hold the same bytes."""
        first, *others = ranks
        length = self._plan.shards[first].entries[parameter.name].nbytes
        for start in range(0, length, BUFFER):
            count = min(BUFFER, length - start)
            self._get(parameter, first, start, (self._view[:count],))
            other = memoryview(self._other)[:count]
            for rank in others:
                self._get(parameter, rank, start, (other,))
                # Whole byte arrays are compared by memcmp, views element by element.
                same = self._buffer == self._other if count == BUFFER else bytes(self._view[:count]) == bytes(other)
                if not same:
                    raise InconsistentError(self._differ(parameter, self._path(first), self._path(rank)))

    def _path(self, rank: int) -> Path:
        return self._plan.shards[rank].path

    def _get(self, parameter: Parameter, rank: int, start: int, views: Sequence[memoryview]) -> None:
        """Fill `views` with consecutive bytes of rank's slice."""
        shard = self._plan.shards[rank]
        scatter(self._sources[rank], shard.entries[parameter.name].extents, start, views, shard.path)

    def _put_content(self, placed: Placed, view: memoryview, at: int) -> None:
        """Write `view` at `at` in the parameter, which the heads of chunks may cut."""
        for span in spans(placed.extents, at, len(view)):
            self._put(view[: span.length], span.offset)
            view = view[span.length :]

    def _put(self, view: memoryview, offset: int) -> None:
        write_all(self._descriptor, view, offset)
        self._written += len(view)
        self._flusher.wrote(len(view))
        if self._progress is not None:
            self._progress(self._written, self._size)

    def _differ(self, parameter: Parameter, first: Path, other: Path) -> str:
        found = f"{other}: {parameter.name}: it differs from that of {first}"
        if self._plan.strategy is None:
            return (
                f"{found}, but in a data parallel run all ranks hold the same: are the shards of different runs or "
                "steps, or was the run model parallel, and its strategy files are to be given?"
            )
        if parameter.laid:
            return (
                f"{found}, which by the strategy it must equal: is the strategy another run's, or are the shards of "
                "different steps?"
            )
        return (
            f"{found}, and no strategy names it: the ranks hold slices of it, and which is not said. A LoRA run's "
            "strategy names only what it trains; give the strategy of a full fine-tune of the same network and layout"
        )
