"""Promises of handlers.ckpt.looking.inspect: it tells what lies before it, and describes each kind."""

from pathlib import Path

import pytest

from handlers.ckpt import DamagedFileError, Family, Format, inspect, merge, open_set, read_strategy
from handlers.ckpt.looking.inspect import CkptTable, EntryRow, LayoutRow, OutputTable, StrategyTable, inspect_set
from tests.unit.handlers.ckpt.ckpt_writer import Run, Write, ckpt

TABLE = "word_embeddings.embedding_table"
REAL = Path(__file__).parents[4] / "fixtures" / "strategies"


def test_a_checkpoint_is_described(run: Run) -> None:
    """Each entry with its shape, type, size, chunks and family."""
    table = inspect(run.shard(1))
    assert isinstance(table, CkptTable)
    assert table.rows[0] == EntryRow(TABLE, (4, 6), "Float32", 96, chunks=1, family=Family.WEIGHTS)
    assert (table.format, table.size) == (Format.CKPT, run.shard(1).stat().st_size)


def test_a_shard_is_described_with_its_strategy(run: Run) -> None:
    """Which ranks hold which slice; nothing of what the strategy does not name."""
    table = inspect(run.shard(1), read_strategy(run.strategy))
    assert isinstance(table, CkptTable)
    assert str(table.rows[0].spread) == "ranks 0-3: 4 rows each"
    assert table.rows[-1].spread is None


def test_a_strategy_file_is_described(run: Run) -> None:
    """Each parameter with its layout."""
    table = inspect(run.strategy)
    assert isinstance(table, StrategyTable)
    assert (table.stages, table.ranks) == ((0,), 4)
    assert table.rows[2] == LayoutRow("layers.0.dense_4h_to_h.weight", (0,), (4,), (-1, 0), optimizer_shards=0)


def test_the_strategy_file_of_a_stage_says_which(run: Run) -> None:
    """Of MindSpore's own files of two stages, the second's."""
    del run
    table = inspect(REAL / "pp2_mp2" / "ckpt_strategy_rank_2.ckpt")
    assert isinstance(table, StrategyTable)
    assert (table.stages, table.rows[0].stages) == ((1,), (1,))


def test_an_output_is_described(run: Run, tmp_path: Path) -> None:
    """A directory that a merge has published: each file of it."""
    (tmp_path / "merged").mkdir()
    opened = open_set({rank: run.shard(rank) for rank in range(4)}, [run.strategy])
    merge(opened.plan(), tmp_path / "merged", prefix="glm-6b", tag="31_4")
    table = inspect(tmp_path / "merged")
    assert isinstance(table, OutputTable)
    assert (table.prefix, table.tag) == ("glm-6b", "31_4")
    assert [file.path.name for file in table.files] == ["filtered_transformed.ckpt"]
    assert table.files[0].rows[0].dims == (16, 6)


def test_a_set_of_shards_is_described(run: Run) -> None:
    """With what is missing: here rank 2, and so a quarter of each parameter that is cut."""
    table = inspect_set(open_set({rank: run.shard(rank) for rank in (0, 1, 3)}, [run.strategy]))
    assert (table.ranks, table.missing_ranks) == ((0, 1, 3), (2,))
    assert [part.ranks for part in table.missing[TABLE]] == [(2,)]
    assert table.rows[0].name == TABLE
    assert inspect_set(open_set([run.shard(0)])).missing == {}


def test_a_family_is_judged_within_what_is_looked_at(run: Run) -> None:
    """Of a file within that file, of a set within all of its shards: a twin may be in another stage."""
    weight = "layers.0.query_key_value.weight"
    run.tensors |= {f"{prefix}.{weight}": run.tensors[weight] for prefix in ("ema", "exp_avg")}
    run.stages, run.layouts, run.stages_of = 2, {}, {weight: (0,), f"ema.{weight}": (1,)}
    for rank in range(4):
        run.write_shard(rank, ckpt(run.slices(rank)))
    alone, among = inspect(run.shard(3)), inspect_set(open_set([run.shard(rank) for rank in range(4)]))
    assert isinstance(alone, CkptTable)
    families = [{row.name: row.family for row in table.rows} for table in (alone, among)]
    assert [each[f"ema.{weight}"] for each in families] == ["weights", "ema"]
    assert [each[f"exp_avg.{weight}"] for each in families] == ["optimizer", "optimizer"]


def test_anything_else_is_refused(written: Write) -> None:
    """A file of no kind says what it was taken for."""
    with pytest.raises(DamagedFileError, match="taken for a checkpoint file"):
        inspect(written(b"hello"))
