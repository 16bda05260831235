"""Promises of handlers.ckpt.strategy, kept with MindSpore's own files and with hostile ones."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import (
    CkptError,
    DamagedFileError,
    InconsistentError,
    Layout,
    UnsupportedLayoutError,
    read_strategies,
    read_strategy,
)
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Write, blob, number, strategy

REAL = Path(__file__).parents[3] / "fixtures" / "strategies"
MP8 = REAL / "mp8" / "ckpt_strategy_rank_0.ckpt"


def test_a_real_file_is_read() -> None:
    """MindSpore 2.0's own file for GLM under model parallelism of 8 says what the facts say."""
    read = read_strategies([MP8])
    assert read.ranks == 8
    assert len(read.layouts) == 84
    assert read.layouts["lm_head.weight"] == Layout((8,), (0, -1))
    assert read.layouts["transformer.layers.0.mlp.dense_4h_to_h.weight"] == Layout((8,), (-1, 0))
    assert read.layouts["transformer.final_layernorm.gamma"] == Layout((8,), (-1,))


def test_optimizer_shards_are_seen() -> None:
    """The real file with a sharded optimizer says so; whoever merges refuses it."""
    read = read_strategy(REAL / "dp2_mp4_optimizer_shards" / "ckpt_strategy_rank_0.ckpt")
    assert read.layouts["lm_head.weight"] == Layout((2, 4), (0, -1), optimizer_shards=-1)


@pytest.mark.parametrize("files", ((2,), (0, 2), (2, 0)))
def test_pipeline_stages_are_refused_by_name(files: tuple[int, ...]) -> None:
    """A later stage's file, alone or beside stage 0's, is refused as pipeline parallelism."""
    paths = [REAL / "pp2_mp2" / f"ckpt_strategy_rank_{rank}.ckpt" for rank in files]
    with pytest.raises(UnsupportedLayoutError, match=r"rank_2\.ckpt: the run has pipeline stages"):
        read_strategies(paths)


def test_joined_stages_are_refused_by_name(written: Write) -> None:
    """A file that joins stages is refused too."""
    with pytest.raises(UnsupportedLayoutError, match=re.escape("[0, 1]")):
        read_strategies([written(strategy({"w": Lay((2,), (0,))}, stages=(0, 1)))])


def test_ranks_of_one_run_must_agree(written: Write) -> None:
    """Two different files of one directory are of two runs."""
    one = written(strategy({"w": Lay((2,), (0,))}), "ckpt_strategy_rank_0.ckpt")
    two = written(strategy({"w": Lay((2,), (-1,))}), "ckpt_strategy_rank_1.ckpt")
    assert read_strategies([one, one]).ranks == 2
    with pytest.raises(InconsistentError, match=r"rank_1\.ckpt is not what .*rank_0\.ckpt is"):
        read_strategies([one, two])


def test_uneven_slices_are_seen(written: Write) -> None:
    """param_split_shape and field mark slices of different sizes."""
    read = read_strategy(
        written(strategy({"a": Lay((2,), (0,), split_shape=(3, 5)), "b": Lay((2,), (0,), field_size=4)}))
    )
    assert [layout.uneven for layout in read.layouts.values()] == [True, True]


def test_parameters_on_different_numbers_of_ranks_are_refused(written: Write) -> None:
    """One run has one number of ranks."""
    with pytest.raises(InconsistentError, match="a is on 2 ranks, b is on 4 ranks"):
        _ = read_strategy(written(strategy({"a": Lay((2,), (0,)), "b": Lay((4,), (0,))}))).ranks


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
        (strategy({}) + blob(3, blob(1, b"w") + blob(2, b"")), "w: required field 5 is missing"),
        (strategy({}) + blob(3, blob(1, b"\xff") + blob(2, b"")), "not UTF-8"),
        (strategy({}) + b"\x1a\xff\xff\xff\xff\x0f", "claims"),
    ),
)
def test_damaged_files_are_refused_with_file_and_reason(written: Write, content: bytes, reason: str) -> None:
    """What is no strategy file is refused by our own error."""
    with pytest.raises(DamagedFileError, match=f"(?s)shard.ckpt.*({reason})"):
        read_strategy(written(content))


def test_json_is_refused_by_name(written: Write) -> None:
    """The JSON form is not read yet, and says so."""
    with pytest.raises(UnsupportedLayoutError, match="JSON"):
        read_strategy(written(b'{"current_stage": 1}'))


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
