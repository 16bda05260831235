"""Making a long record shorter, so that neither a disk nor a reader suffers for a training of millions of steps."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from handlers.ckpt.files.bounded import without_waiting
from handlers.ckpt.files.durable import publishing
from handlers.training_record.rows import header_in, is_header, loss_in

FACTOR = 10
"""Of so many rows at most three are kept."""


def thin(path: Path, finest: int) -> int:
    """Thin what the record at `path` has of each `finest` steps, in place, and return how many rows there are then.

    Of each FACTOR rows those with the lowest and the highest loss are kept, and the first whose loss is no finite
    number; of all the first and the last one. A curve of them looks the same. Raises OSError; then the record is as it
    was.
    """
    kept = 0
    with open(path, "rb", opener=without_waiting) as stream, publishing(path) as target:
        for line in _thinned(stream, finest):
            target.write(line)
            kept += not is_header(line)
    return kept


def _thinned(lines: Iterable[bytes], finest: int) -> Iterator[bytes]:
    """Yield what is kept of rows, and each header, with how thin the rows behind it are."""
    bucket: list[bytes] = []
    written = b""
    is_first, is_fine = True, False
    for line in lines:
        if is_header(line):
            yield from _extremes(bucket)
            bucket = []
            is_fine, header = _coarser(line, finest)
            if header != written:
                yield (written := header)
        elif not line.strip():
            continue
        elif is_first or not is_fine:
            is_first = False
            yield line
        else:
            bucket.append(line)
            if len(bucket) > FACTOR:  # the last one waits: it may be the last of all
                yield from _extremes(bucket[:FACTOR])
                bucket = bucket[FACTOR:]
    yield from _extremes(bucket[:-1])
    yield from bucket[-1:]


def _extremes(bucket: list[bytes]) -> list[bytes]:
    losses = [loss_in(line) for line in bucket]
    finite = [number for number, loss in enumerate(losses) if math.isfinite(loss)]
    kept = set([number for number in range(len(bucket)) if number not in finite][:1])
    if finite:
        kept |= {min(finite, key=losses.__getitem__), max(finite, key=losses.__getitem__)}
    return [bucket[number] for number in sorted(kept)]


def _coarser(line: bytes, finest: int) -> tuple[bool, bytes]:
    """Return whether the rows behind a header are to be thinned, and the header that they have then."""
    try:
        header = header_in(line)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False, line
    if header.every != finest:
        return False, line
    return True, replace(header, every=finest * FACTOR).line()
