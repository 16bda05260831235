"""Making the record of an attempt again from its ranks' logs, as of a training that was over before there were any."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from handlers.ckpt.files.durable import move
from handlers.rank_log.step_reader import LoggedStep, StepReader
from handlers.training_record.record import EVENTS, NAME, RecordWriter, read
from handlers.training_record.rows import Header


def rebuild(logs: Mapping[int, Path], directory: Path, header: Header) -> int:
    """Write the record in `directory` again from `logs`, by rank, and return how many rows it has.

    A record that is there gives way when the new one is whole; where the logs tell no step it stays. Raises OSError.
    """
    reader = StepReader(logs)
    # Named such that the daemon removes what a killed run left.
    new = Path(tempfile.mkdtemp(prefix=".steps.", suffix=".tmp", dir=directory))
    try:
        writer = RecordWriter(new, header)
        while True:
            count = 0
            for steps in _pieces(reader):
                writer.append(steps, reader.rank)
                count += len(steps)
            if count or not reader.turn_to_next_rank():
                break
        if not count:
            return 0
        for old in directory.glob(f"{EVENTS}*.glmd"):
            old.unlink()
        for path in sorted(new.iterdir()):
            move(path, directory / path.name)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return sum(1 for _ in read(directory / NAME))


def _pieces(reader: StepReader) -> Iterator[list[LoggedStep]]:
    """Yield what a log tells, to its end; nothing of one that is not there."""
    try:
        while not reader.at_end():
            yield reader.read()
    except FileNotFoundError:
        return
