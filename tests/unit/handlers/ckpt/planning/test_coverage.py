"""Promises of handlers.ckpt.planning.coverage: who holds what is what numpy cut, and what nobody holds is told."""

from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import InconsistentError, read_strategies, read_strategy, walk
from handlers.ckpt.entry import Entry
from handlers.ckpt.planning.coverage import coverage, ranks_text, spread_of
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, Write, small_run, strategy

ROWS = "layers.0.query_key_value.weight"
COLUMNS = "layers.0.dense_4h_to_h.weight"
NORM = "layers.0.layernorm.gamma"
REAL = Path(__file__).parents[4] / "fixtures" / "strategies"


@pytest.mark.parametrize("dev_matrix", ((4,), (2, 4), (2, 2, 2)))
def test_each_rank_holds_what_numpy_cut_for_it(tmp_path: Path, dev_matrix: tuple[int, ...]) -> None:
    """Every slice of every parameter, replicas included, and no rank is left out."""
    run = small_run(tmp_path / "output", dev_matrix).write()
    found = coverage(read_strategy(run.strategy), {rank: walk(run.shard(rank)) for rank in range(run.ranks)})
    assert [spread.name for spread in found.spreads] == list(run.layouts)
    for spread in found.spreads:
        whole = run.tensors[spread.name]
        assert spread.dims == whole.shape
        for part in spread.slices:
            cut = whole[tuple(slice(begin, end) for begin, end in part.bounds)]
            for rank in part.ranks:
                np.testing.assert_array_equal(cut, run.slices(rank)[spread.name])
        assert sorted(rank for part in spread.slices for rank in part.ranks) == list(range(run.ranks))
    assert (found.missing, found.missing_ranks, found.absent) == ({}, (), ())
    assert found.unlaid == ("scale_sense", "global_step", "epoch_num")


def test_what_no_shard_holds_is_missing(tmp_path: Path) -> None:
    """Of dp 2 x mp 2, rank 1 alone can be spared, for rank 3 holds the same; without both their slices are missing."""
    run = small_run(tmp_path / "output", (2, 2)).write()
    shards = {rank: walk(run.shard(rank)) for rank in (0, 2, 3)}
    found = coverage(read_strategy(run.strategy), shards)
    assert (found.missing, found.missing_ranks) == ({}, (1,))
    del shards[3]
    found = coverage(read_strategy(run.strategy), shards)
    assert found.missing_ranks == (1, 3)
    assert NORM not in found.missing
    assert [(part.ranks, part.bounds) for part in found.missing[ROWS]] == [((1, 3), ((12, 24), (0, 8)))]


def test_optimizer_state_that_was_not_saved_is_absent(run: Run) -> None:
    """What the strategy names and no shard has, by name."""
    run.tensors = {name: each for name, each in run.tensors.items() if not name.startswith("adam_v")}
    run.write()
    run.strategy.write_bytes(strategy(run.layouts))
    found = coverage(read_strategy(run.strategy), {rank: walk(run.shard(rank)) for rank in range(4)})
    assert found.absent == ("adam_v.layers.0.query_key_value.weight",)


def test_real_optimizer_shards() -> None:
    """MindSpore's own file of dp 2 mp 4: rank 0 holds the first 128 rows of lm_head, rank 4 the next."""
    real = read_strategy(REAL / "dp2_mp4_optimizer_shards" / "ckpt_strategy_rank_0.ckpt")
    name = next(name for name in real.layouts if name.endswith("lm_head.weight") and "adam" not in name)
    spread = spread_of(real, Entry(name, (128, 32), "Float16", ()))
    assert spread is not None
    assert spread.dims == (1024, 32)
    assert [part.ranks for part in spread.slices] == [(0,), (4,), (1,), (5,), (2,), (6,), (3,), (7,)]
    assert spread.slices[1].bounds == ((128, 256), (0, 32))
    assert str(spread).startswith("rank 0: rows 0-127; rank 4: rows 128-255; ")


def test_real_pipeline_stages() -> None:
    """Each parameter is held by its own stage's ranks, counted through the run."""
    real = read_strategies([REAL / "pp2_mp2" / f"ckpt_strategy_rank_{rank}.ckpt" for rank in (0, 2)])
    for number, stage in real.stages.items():
        name = next(name for name, layout in stage.layouts.items() if layout.tensor_map == (0, -1))
        spread = spread_of(real, Entry(name, (4, 4), "Float16", ()))
        assert spread is not None
        assert [part.ranks for part in spread.slices] == [(2 * number,), (2 * number + 1,)]


def test_a_shape_that_the_layout_cannot_have_is_refused(run: Run) -> None:
    """The file and the parameter are named."""
    with pytest.raises(InconsistentError, match=rf"ckpt_strategy_rank_0\.ckpt: {ROWS}: .*for 2 dimensions"):
        spread_of(read_strategy(run.strategy), Entry(ROWS, (6,), "Float16", ()))


@pytest.mark.parametrize(
    ("lay", "dims", "text"),
    (
        (Lay((4,), (-1, -1)), (8, 6), "ranks 0-3: whole"),
        (Lay((4,), (0, -1)), (4, 6), "ranks 0-3: 4 rows each"),
        (Lay((4,), (-1, 0)), (4, 6), "ranks 0-3: 6 columns each"),
        (Lay((4,), (0,)), (4,), "ranks 0-3: 4 elements each"),
        (Lay((2, 4), (1, -1)), (4, 6), "ranks 0-3: rows 0-3; ranks 4-7: rows 4-7"),
        (Lay((2, 2), (0, -1)), (4, 6), "ranks 0,2: rows 0-3; ranks 1,3: rows 4-7"),
        (
            Lay((2, 2), (1, 0)),
            (4, 6),
            (
                "rank 0: rows 0-3, columns 0-5; rank 1: rows 0-3, columns 6-11; "
                "rank 2: rows 4-7, columns 0-5; rank 3: rows 4-7, columns 6-11"
            ),
        ),
        (Lay((2, 2), (-1, 0, -1)), (2, 3, 4), "ranks 0,2: [:, 0:3, :]; ranks 1,3: [:, 3:6, :]"),
        (Lay((2,), (-1, 0, -1)), (2, 3, 4), "ranks 0-1: 3 of dimension 1 each"),
    ),
)
def test_a_spread_is_one_line(written: Write, lay: Lay, dims: tuple[int, ...], text: str) -> None:
    """Short where it is regular, exact where it is not."""
    read = read_strategy(written(strategy({"w": lay})))
    assert str(spread_of(read, Entry("w", dims, "Float16", ()))) == text


def test_many_slices_are_counted(written: Write) -> None:
    """A line does not grow with the number of ranks."""
    read = read_strategy(written(strategy({"w": Lay((2, 16), (0, 1))})))
    text = str(spread_of(read, Entry("w", (4, 6), "Float16", ())))
    assert text.endswith("; … 32 slices in all")
    assert text.count(";") == 8


@pytest.mark.parametrize(
    ("ranks", "text"), (((3,), "rank 3"), ((0, 1, 2), "ranks 0-2"), ((0, 4), "ranks 0,4"), ((0, 1, 4), "ranks 0-1,4"))
)
def test_ranks_in_words(ranks: tuple[int, ...], text: str) -> None:
    """Runs of ranks are ranges."""
    assert ranks_text(ranks) == text
