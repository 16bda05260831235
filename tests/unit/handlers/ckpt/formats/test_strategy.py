"""Promises of handlers.ckpt.formats.strategy, kept with MindSpore's own files and with hostile ones."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import (
    CkptError,
    DamagedFileError,
    InconsistentError,
    Layout,
    read_strategies,
    read_strategy,
)
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Write, blob, joined, number, strategy

REAL = Path(__file__).parents[4] / "fixtures" / "strategies"
MP8 = REAL / "mp8" / "ckpt_strategy_rank_0.ckpt"
STAGE_0, STAGE_1 = (REAL / "pp2_mp2" / f"ckpt_strategy_rank_{rank}.ckpt" for rank in (0, 2))


def test_a_real_file_is_read() -> None:
    """MindSpore 2.0's own file for GLM under model parallelism of 8 says what the facts say."""
    read = read_strategies([MP8])
    assert read.ranks == 8
    assert len(read.layouts) == 84
    assert read.layouts["lm_head.weight"] == Layout((8,), (0, -1))
    assert read.layouts["transformer.layers.0.mlp.dense_4h_to_h.weight"] == Layout((8,), (-1, 0))
    assert read.layouts["transformer.final_layernorm.gamma"] == Layout((8,), (-1,))


def test_optimizer_shards_are_read() -> None:
    """The real file with a sharded optimizer says how far the shards are apart."""
    read = read_strategy(REAL / "dp2_mp4_optimizer_shards" / "ckpt_strategy_rank_0.ckpt")
    assert read.layouts["lm_head.weight"] == Layout((2, 4), (0, -1), optimizer_shards=-1, optimizer_step=4)
    assert read.layouts["adam_m.lm_head.weight"] == read.layouts["lm_head.weight"]
    assert read.layouts["transformer.final_layernorm.gamma"] == Layout((2, 4), (-1,))


def test_the_stages_of_a_run_are_put_together() -> None:
    """MindSpore's own files of two stages of two ranks make a run of four; each stage has its own parameters."""
    read = read_strategies([STAGE_0, STAGE_1])
    assert (read.ranks, read.stage_ranks, list(read.stages)) == (4, 2, [0, 1])
    assert "lm_head.weight" in read.stage_of(2).layouts
    assert "lm_head.weight" not in read.stage_of(1).layouts
    assert [read.stage_of(rank).path for rank in range(4)] == [STAGE_0, STAGE_0, STAGE_1, STAGE_1]
    assert read.stages == read_strategies([STAGE_1, STAGE_0]).stages


@pytest.mark.parametrize("stage", (STAGE_0, STAGE_1))
def test_a_file_of_one_stage_is_read_by_itself(stage: Path) -> None:
    """It can be looked at; a later stage's alone does not say how many ranks the run has."""
    read = read_strategy(stage)
    assert read.stage_ranks == 2
    assert len(read.layouts) == len(next(iter(read.stages.values())).layouts)


def test_a_missing_stage_is_refused() -> None:
    """Stage 1's file alone would lose half of the run."""
    with pytest.raises(InconsistentError, match=r"rank_2\.ckpt: it is of pipeline stage 1, and no file of stage 0 is"):
        _ = read_strategy(STAGE_1).ranks


def test_many_missing_stages_are_not_all_listed(written: Write) -> None:
    """A hostile file of stage 60000 gets a short answer."""
    path = written(strategy({"w": Lay((2,), (0,))}, stages=(60_000,)))
    with pytest.raises(InconsistentError, match="no file of stage 0, 1, 2, 3, 4, … is given"):
        _ = read_strategy(path).ranks
    with pytest.raises(DamagedFileError, match="no run has a pipeline stage 4294967295"):
        read_strategy(written(strategy({"w": Lay((2,), (0,))}, stages=(0xFFFF_FFFF,))))


def test_a_joined_file_is_read_like_its_parts(written: Write) -> None:
    """What merge_pipeline_strategys writes says the same as the stages' own files."""
    stages = {
        0: {"table": Lay((2,), (0, -1)), "a.weight": Lay((2,), (0,))},
        1: {"table": Lay((2,), (0, -1)), "b-dashed.weight": Lay((2,), (-1,))},
    }
    whole = read_strategy(written(joined(stages), "joined.ckpt"))
    parts = [written(strategy(lays, stages=(stage,)), f"rank_{2 * stage}.ckpt") for stage, lays in stages.items()]
    for read in (whole, read_strategies(parts), read_strategies([*parts, whole.path])):
        assert read.ranks == 4
        assert [set(stage.layouts) for stage in read.stages.values()] == [
            {"table", "a.weight"},
            {"table", "b-dashed.weight"},
        ]
        assert set(read.layouts) == {"table", "a.weight", "b-dashed.weight"}
    assert list(read_strategies([*parts, whole.path]).files) == parts


def test_a_file_that_is_joined_in_part_is_refused(written: Write) -> None:
    """Names with and without stage, or operators of a stage without parameters, are of no file of MindSpore's."""
    lay = Lay((2,), (0,))
    with pytest.raises(DamagedFileError, match="w: its name has no stage"):
        read_strategy(written(strategy({"0-v": lay, "w": lay})))
    with pytest.raises(DamagedFileError, match=r"operators of pipeline stages \[0, 1\], but no parameter of stage 1"):
        read_strategy(written(strategy({"w": lay}, stages=(0, 1))))


def test_identical_files_are_read_once(written: Write) -> None:
    """Each rank writes a file, and all ranks of a stage the same: one is enough."""
    content = strategy({"w": Lay((2,), (0,))})
    paths = [written(content, f"ckpt_strategy_rank_{rank}.ckpt") for rank in range(2)]
    read = read_strategies(paths)
    assert read.ranks == 2
    assert list(read.files) == paths[:1]


def test_ranks_of_one_stage_must_agree(written: Write) -> None:
    """Two different files of one directory are of two runs."""
    one = written(strategy({"w": Lay((2,), (0,))}), "ckpt_strategy_rank_0.ckpt")
    two = written(strategy({"w": Lay((2,), (-1,))}), "ckpt_strategy_rank_1.ckpt")
    with pytest.raises(InconsistentError, match=r"rank_1\.ckpt is not what .*rank_0\.ckpt is"):
        read_strategies([one, two])


def test_uneven_slices_are_seen(written: Write) -> None:
    """param_split_shape and field mark slices of different sizes, and are named."""
    read = read_strategy(
        written(strategy({"a": Lay((2,), (0,), split_shape=(3, 5)), "b": Lay((2,), (0,), field_size=4)}))
    )
    assert [layout.uneven for layout in read.layouts.values()] == ["param_split_shape", "field"]


@pytest.mark.parametrize(
    "lay", (Lay((2, 3, 4), ([2, 0], -1, 1)), Lay((2, 3, 4), ([1, 2, 0],)), Lay((2, 3, 4), (-1, [0, 2])))
)
def test_a_dimension_over_several_axes_is_read(written: Write, lay: Lay) -> None:
    """MindSpore then writes a TensorMap a dimension, and an empty one more for a tensor of one dimension."""
    expected = tuple(entry if isinstance(entry, int) else tuple(entry) for entry in lay.tensor_map)
    assert read_strategy(written(strategy({"w": lay}))).layouts["w"] == Layout((2, 3, 4), expected)


def test_parameters_on_different_numbers_of_ranks_are_refused(written: Write) -> None:
    """One run has one number of ranks, and so have its stages."""
    with pytest.raises(InconsistentError, match="a is on 2 ranks, b is on 4 ranks"):
        _ = read_strategy(written(strategy({"a": Lay((2,), (0,)), "b": Lay((4,), (0,))}))).ranks
    with pytest.raises(InconsistentError, match="a is on 2 ranks, b is on 4 ranks"):
        _ = read_strategy(written(joined({0: {"a": Lay((2,), (0,))}, 1: {"b": Lay((4,), (0,))}}))).ranks


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b"", "names no parameter"),
        (number(1, 1), "names no parameter"),
        (b"garbage", "is it a strategy file"),
        (strategy({"w": Lay((2,), (1,))}), r"w: tensor_map \[1\] does not fit dev_matrix \[2\]"),
        (strategy({"w": Lay((2,), (-2,))}), "w: tensor_map"),
        (strategy({"w": Lay((2, 2), (0, 0))}), "w: tensor_map"),
        (strategy({"w": Lay((0,), (0,))}), "w: dev_matrix .* is no grid"),
        (strategy({"w": Lay((), ())}), "w: dev_matrix .* is no grid"),
        (strategy({"w": Lay((1 << 31, 1 << 31), (0,))}), "w: dev_matrix .* is no grid"),
        (strategy({"w": Lay((1,) * 100, (-1,))}), "w: it has over"),
        (strategy({"w": Lay((2,), (0,))}) + blob(3, Lay((2,), (0,)).encode("w")), "w: it is in the file twice"),
        (strategy({}) + blob(3, blob(1, b"w")), "required field 2 is missing"),
        (strategy({}) + blob(3, blob(1, b"w") + blob(2, b"")), "w: dev_matrix is there 0 times"),
        (strategy({}) + blob(3, blob(1, b"w") + blob(2, blob(1, b""))), "w: required field 5 is missing"),
        (
            strategy({}) + blob(3, blob(1, b"w") + blob(2, blob(1, b"") + number(5, 0))),
            "w: tensor_map is there 0 times",
        ),
        (strategy({}) + blob(3, blob(1, b"\xff") + blob(2, b"")), "not UTF-8"),
        (strategy({}) + b"\x1a\xff\xff\xff\xff\x0f", "claims"),
        (strategy({"w": Lay((2,) * 40, (-1,))}), "w: it has over 32 dimensions"),
        (strategy({"w": Lay((2,), (0,), 1, 3)}), "w: opt_weight_shard_size 3 does not divide the 1 replicas"),
    ),
)
def test_damaged_files_are_refused_with_file_and_reason(written: Write, content: bytes, reason: str) -> None:
    """What is no strategy file is refused by our own error."""
    with pytest.raises(DamagedFileError, match=f"(?s)shard.ckpt.*({reason})"):
        read_strategy(written(content))


def test_a_huge_file_is_not_read_whole(written: Write) -> None:
    """A file over the bound is refused after reading no more than that."""
    path = written(b"")
    with path.open("r+b") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(DamagedFileError, match="no strategy file is"):
        read_strategy(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 8392), flips=st.lists(st.tuples(st.integers(0, 8391), st.integers(0, 255)), max_size=3))
def test_damage_never_escapes_as_another_error(written: Write, cut: int, flips: list[tuple[int, int]]) -> None:
    """A real file, cut and with bytes changed, is read or refused by our own error."""
    content = bytearray(MP8.read_bytes())
    for at, value in flips:
        content[at] = value
    path = written(bytes(content[:cut]))
    try:
        read_strategy(path)
    except CkptError as error:
        assert path.name in str(error)  # noqa: PT017 - either outcome is right


def test_a_fifo_is_no_strategy_file(tmp_path: Path) -> None:
    """One that nobody writes to would keep a reader, and the daemon, waiting forever."""
    os.mkfifo(tmp_path / "ckpt_strategy_rank_0.ckpt")
    with pytest.raises(DamagedFileError, match="is no regular file"):
        read_strategy(tmp_path / "ckpt_strategy_rank_0.ckpt")


def test_stages_and_ranks_together_are_bounded(written: Write) -> None:
    """A few hundred bytes must not make anybody count to 10^11."""
    path = written(joined({stage: {f"p{stage}": Lay((1 << 20,), (0,))} for stage in range(2)}))
    with pytest.raises(InconsistentError, match="2 pipeline stages of 1048576 ranks: no run has"):
        read_strategy(path).stage_ranks  # noqa: B018 - it raises
