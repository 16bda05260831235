"""A parameter's content, compared with what its other holders have while it is read."""

import math
from pathlib import Path
from typing import NoReturn

from xxhash import xxh3_128_digest

from handlers.ckpt.codes import Code
from handlers.ckpt.copying.sources import Content, Sources
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.planning.plan import Parameter

BUFFER = 1 << 19
"""Bytes of a replica that are read at once."""


class ComparedContent:
    """Like Content, and refuses where a replica differs.

    No byte of a holder's slice is read twice. Portions are compared by their hashes: both take 15 us of half a
    mebibyte, comparing the memoryviews, which goes byte by byte, 470 us.
    """

    def __init__(self, parameter: Parameter, sources: Sources, *, strategy: bool) -> None:
        self._parameter = parameter
        self._sources = sources
        self._strategy = strategy
        self._content = Content(parameter, sources)
        holders = max(map(len, parameter.tiling.replicas), default=1)
        self._replicas = [Content(parameter, sources, replica) for replica in range(1, holders)]
        self._other = memoryview(bytearray(min(parameter.nbytes, BUFFER) if self._replicas else 0))

    def fill(self, view: memoryview) -> None:
        """Fill `view` with the next bytes. Raises InconsistentError where holders differ, and what Content raises."""
        self._content.fill(view)
        if not self._replicas:
            return
        for start in range(0, len(view), BUFFER):
            portion = view[start : start + BUFFER]
            found = xxh3_128_digest(portion)
            for replica in self._replicas:
                other = self._other[: len(portion)]
                replica.fill(other)
                if xxh3_128_digest(other) != found:
                    self._refuse()

    def skip(self, count: int) -> None:
        """Skip the next `count` bytes, uncompared."""
        for content in (self._content, *self._replicas):
            content.skip(count)

    def _refuse(self) -> NoReturn:
        """Find out which holders differ, and say so."""
        for ranks in self._parameter.tiling.replicas:
            for rank in ranks[1:]:
                if not self._same(ranks[0], rank):
                    raise InconsistentError(
                        self._differ(self._sources.path(ranks[0]), self._sources.path(rank)), Code.REPLICAS_DIFFER
                    )
        raise InconsistentError(
            f"{self._parameter.name}: its shards changed during the merge: is a training still writing them?",
            Code.CHANGED,
        )

    def _same(self, first: int, other: int) -> bool:
        """Tell whether both ranks hold the same bytes."""
        return all(
            xxh3_128_digest(one) == xxh3_128_digest(two)
            for one, two in zip(
                self._sources.portions(self._parameter.name, first, BUFFER),
                self._sources.portions(self._parameter.name, other, BUFFER),
                strict=True,
            )
        )

    def _differ(self, first: Path, other: Path) -> str:
        found = f"{other}: {self._parameter.name}: it differs from that of {first}"
        if not self._strategy:
            return (
                f"{found}, but in a data parallel run all ranks hold the same. Are the shards of different runs "
                "or steps? Or was the run model parallel? Then give its strategy files"
            )
        if self._parameter.laid:
            return (
                f"{found}, though by the strategy both must be equal: is the strategy of another run, or are "
                "the shards of different steps?"
            )
        if math.prod(self._parameter.tiling.dims) == 1:
            return f"{found}, though it is a single value: are the shards of different steps or runs?"
        return (
            f"{found}, and no strategy names it, so glmd cannot know whether the ranks hold slices of it. The "
            "strategy of a LoRA run names only what it trains: give that of a full fine-tune of the same "
            "network, cut in the same way, too"
            " (--layout-from). Otherwise the shards are of different steps or runs"
        )
