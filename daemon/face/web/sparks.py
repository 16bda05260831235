"""The losses of trainings as curves of one line, read again when a training is longer by what can be seen."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.face.training import training_of
from handlers.records.job_dir import JobDir
from handlers.training_record.record import NAME

_POINTS = 64
"""Rows that a curve is made of."""
_MOST = 64
"""Curves that are kept."""


@dataclass(frozen=True)
class _Read:
    bytes: int
    attempts: int
    losses: Sequence[float]


class Sparks:
    """The curves that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, _Read] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, directory: JobDir) -> Sequence[float]:
        """Return some losses of a training, evenly; none before its first step, nor of records that cannot be read.

        The job's own page says why not; the others are shown anyway.
        """
        try:
            return self._of(directory)
        except OSError:
            return ()

    def _of(self, directory: JobDir) -> Sequence[float]:
        records = [path / NAME for path in directory.trainings()]
        size = sum(_size(path) for path in records)
        with self._lock:
            known = self._kept.get(directory.path)
            if known is not None and known.attempts == len(records) and 0 <= size - known.bytes <= size // _POINTS:
                self._kept.move_to_end(directory.path)
                return known.losses
        training = training_of(directory, _POINTS)
        losses = () if training is None else [loss for _, loss in training.points()]
        with self._lock:
            self._kept[directory.path] = _Read(size, len(records), losses)
            self._kept.move_to_end(directory.path)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return losses


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
