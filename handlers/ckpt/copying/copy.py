"""The bytes of a file's parameters from the shards to the output: read, compared, looked at, hashed, written.

Several threads each take the next few parameters in file order and write them where they belong: every offset is known
beforehand.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import xxhash

from handlers.ckpt.copying.assembled import AssembledContent
from handlers.ckpt.copying.crew import Crew
from handlers.ckpt.copying.finite import Tally
from handlers.ckpt.copying.replicas import ComparedContent
from handlers.ckpt.copying.sources import Content, Sources
from handlers.ckpt.copying.updated import ParameterContent, TensorContent, UpdatedContent
from handlers.ckpt.entry import NotFinite
from handlers.ckpt.files.target import Target, Window
from handlers.ckpt.files.transfer import Flusher
from handlers.ckpt.formats import Placed
from handlers.ckpt.planning.assembled import Assembled, Written
from handlers.ckpt.planning.output import OutputFile
from handlers.ckpt.planning.plan import Parameter, Plan

BUFFER = 1 << 20
"""Bytes that a thread fills and writes at once: in the processor's cache, and enough to keep a disk busy. It has half
as much again for replicas, and for an adapter. With four mebibytes two threads are hardly slower than four with one."""
SHARE = 8 << 20
"""Bytes of consecutive parameters that a thread takes at least, so that small ones are written together."""

Progress = Callable[[int, int], None]
"""Gets the bytes written so far, and in all; always called in the thread that merges."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """What a merge takes the time for."""

    hashed: bool = True
    """Hash every parameter, for the manifest."""
    compared: bool = True
    """Compare replicas."""
    workers: int = 4
    """Threads that copy. They mostly wait for the disk: of 2.6 GB on two busy cores two take 2.0 s, three 1.6, four
    1.5, `cp` and sync 1.9; eight are no faster than four."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was found of a parameter while its bytes went by."""

    hash: str | None
    not_finite: NotFinite


class Copy:
    """A plan being carried out: `sources` are the shards' descriptors by rank, `size` is that of all output files."""

    def __init__(
        self, plan: Plan, sources: Mapping[int, int], size: int, progress: Progress | None, copy_options: CopyOptions
    ) -> None:
        self._sources = Sources(plan.shards, sources)
        self._strategy = bool(plan.strategy_files)
        self._size = size
        self._progress = progress
        self._options = copy_options
        self._written = 0
        self._compared: set[str] = set()
        """Parameters that an earlier file has too, and whose replicas were compared then."""

    def file(self, file: OutputFile, descriptor: int) -> list[Copied]:
        """Write `file` to `descriptor`; return what was found of its parameters, in the file's order.

        Raises InconsistentError where replicas differ or a shard became shorter, and OSError. No thread is left then.
        """
        shares = list(_shares(file.placed))
        todo = iter(shares)  # of a list, so that each thread that asks gets another one
        found = dict[str, Copied]()
        with Target(descriptor) as target, Flusher(descriptor) as flusher:

            def wrote(count: int) -> None:
                if not target.direct:
                    flusher.wrote(count)
                self._written += count
                if self._progress is not None:
                    self._progress(self._written, self._size)

            if file.preamble:
                target.write(memoryview(file.preamble), 0)
                wrote(len(file.preamble))
            crew = Crew()
            crew.run(
                min(self._options.workers, len(shares)),
                lambda: self._work(todo, Window(target, BUFFER, crew.report), found),
                wrote,
            )
        self._compared.update(found)
        return [found[placement.parameter.name] for placement in file.placed]

    def _work(self, shares: Iterator[Sequence[Placed[Written]]], window: Window, found: dict[str, Copied]) -> None:
        """Copy one share after the other, in one of the threads."""
        for share in shares:
            for placed in share:
                found[placed.parameter.name] = self._copy(placed, window)
            window.flush()

    def _copy(self, placed: Placed[Written], window: Window) -> Copied:
        """Copy one parameter."""
        parameter = placed.parameter
        content: TensorContent
        if isinstance(parameter, Assembled):
            content = AssembledContent(parameter, self._source)
        else:
            content = self._source(parameter)
        digest = xxhash.xxh3_128() if self._options.hashed else None
        tally = Tally(parameter.type)
        for head, extent in zip(placed.heads or (b"",), placed.extents, strict=True):
            window.move(extent.offset - len(head))
            window.put(memoryview(head))
            left = extent.length
            while left:
                view = window.room()[:left]
                content.fill(view)
                tally.look(view)
                if digest is not None:
                    digest.update(view)
                window.advance(len(view))
                left -= len(view)
        return Copied(digest.hexdigest() if digest is not None else None, tally.found)

    def _source(self, parameter: Parameter) -> ParameterContent:
        """Return what reads `parameter`, with its adapter added."""
        if parameter.update is not None:
            return UpdatedContent(parameter, parameter.update, self._content)
        return self._content(parameter)

    def _content(self, parameter: Parameter) -> Content | ComparedContent:
        """Return what reads `parameter` as the shards have it."""
        # What no strategy of the run names may be slices, which no trust makes replicas.
        compared = self._options.compared or (self._strategy and not parameter.laid)
        if compared and parameter.name not in self._compared:
            return ComparedContent(parameter, self._sources, strategy=self._strategy)
        return Content(parameter, self._sources)


def _shares(placed: Sequence[Placed[Written]]) -> Iterator[Sequence[Placed[Written]]]:
    """Divide a file's parameters, in their order, among the threads."""
    share, size = list[Placed[Written]](), 0
    for placement in placed:
        share.append(placement)
        size += placement.parameter.nbytes
        if size >= SHARE:
            yield share
            share, size = [], 0
    if share:
        yield share
