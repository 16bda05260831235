"""Reading the steps of a training from a rank's log while that grows, each step once."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.ckpt.files.bounded import without_waiting
from handlers.mindformers.log_lines import LOSS_ON_RANK_0
from handlers.rank_log.steps import StepLine, samples_in, step_in
from handlers.rank_log.tail import lines_of

MOST_BYTES = 1 << 20
"""That one look reads."""
_MARKS = (b"step:[", b"samples/s")
_RANK_0 = LOSS_ON_RANK_0.encode()


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """A step, and where the log goes on behind it."""

    step: StepLine
    end: int
    """In bytes from the log's beginning."""


class StepReader:
    """Reads on in the log of the rank whose loss is the training's.

    That is the highest one: with pipeline stages only the last one's loss is the loss. Where a rank warns before its
    first step that it is rank 0's, it is that one.
    """

    def __init__(self, logs: Mapping[int, Path]) -> None:
        self._logs = logs
        self.rank = max(logs)
        self._offset = 0
        self._held: LoggedStep | None = None
        """Of which the line that tells its samples may still come."""
        self._cut_at = 0
        """Where the log ended at the last look, within a line."""
        self._is_sure = False
        """Whether it is known that the loss is this rank's."""

    def read(self) -> list[LoggedStep]:
        """Return the steps of at most MOST_BYTES more; a last line that has no end yet is left for the next time.

        Raises OSError; then the next call reads the same.
        """
        content = self._more()
        if not content:
            return self._let_go()
        end = content.rfind(b"\n") + 1
        if not end:
            if len(content) < MOST_BYTES:
                before, self._cut_at = self._cut_at, self._offset + len(content)
                return self._let_go() if before == self._cut_at else []
            end = len(content)  # of a line without end, by pieces
        if self._turned_to_rank_0(content):
            return []
        found = list(self._steps(content[:end]))
        self._offset += end
        return found

    def at_end(self) -> bool:
        """Say whether there is no more to read for now."""
        return self._held is None and self._size() <= max(self._offset, self._cut_at)

    def turn_to_next_rank(self) -> bool:
        """Read another rank's log from its beginning, the next lower one's; return False where there is none."""
        lower = [rank for rank in self._logs if rank < self.rank]
        if not lower:
            return False
        self._turn_to(max(lower))
        return True

    def _more(self) -> bytes:
        size = self._size()
        if size < self._offset:  # somebody emptied it
            self._turn_to(self.rank)
        if size == self._offset:
            return b""
        descriptor = without_waiting(self._logs[self.rank], os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, MOST_BYTES, self._offset)
        finally:
            os.close(descriptor)

    def _size(self) -> int:
        return self._logs[self.rank].stat().st_size

    def _turned_to_rank_0(self, content: bytes) -> bool:
        if self._is_sure or self.rank == 0 or 0 not in self._logs or _RANK_0 not in content:
            return False
        self._turn_to(0)
        return True

    def _turn_to(self, rank: int) -> None:
        self.rank, self._offset, self._cut_at, self._held = rank, 0, 0, None

    def _let_go(self) -> list[LoggedStep]:
        held, self._held = self._held, None
        return [] if held is None else [held]

    def _steps(self, content: bytes) -> Iterator[LoggedStep]:
        end = self._offset
        for line in content.split(b"\n"):
            end += len(line) + 1
            if not any(mark in line for mark in _MARKS):
                continue
            for text in lines_of(line):
                if (step := step_in(text)) is not None:
                    yield from self._let_go()
                    self._held, self._is_sure = LoggedStep(step, end), True
                elif self._held is not None and (samples := samples_in(text)) is not None:
                    self._held = LoggedStep(replace(self._held.step, samples=samples), end)
                    yield from self._let_go()
