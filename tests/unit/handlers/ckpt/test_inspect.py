"""Promises of handlers.ckpt.inspect: it tells the two kinds of .ckpt apart and describes each."""

import pytest

from handlers.ckpt import DamagedFileError, Family, inspect
from handlers.ckpt.inspect import CkptTable, EntryRow, LayoutRow, StrategyTable
from tests.unit.handlers.ckpt.ckpt_writer import Run, Write


def test_a_checkpoint_is_described(run: Run) -> None:
    """Each entry with its shape, type, size, chunks and family."""
    table = inspect(run.shard(1))
    assert isinstance(table, CkptTable)
    assert table.rows[0] == EntryRow(
        "word_embeddings.embedding_table", (4, 6), "Float32", 96, chunks=1, family=Family.WEIGHTS
    )
    assert table.size == run.shard(1).stat().st_size


def test_a_strategy_file_is_described(run: Run) -> None:
    """Each parameter with its layout."""
    table = inspect(run.strategy)
    assert isinstance(table, StrategyTable)
    assert table.stages == (0,)
    assert table.rows[2] == LayoutRow("layers.0.dense_4h_to_h.weight", (4,), (-1, 0), optimizer_shards=0)


def test_anything_else_is_refused(written: Write) -> None:
    """A file of neither kind says what it was taken for."""
    with pytest.raises(DamagedFileError, match="taken for a checkpoint file"):
        inspect(written(b"hello"))
