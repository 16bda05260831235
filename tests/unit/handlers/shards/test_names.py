"""Promises of handlers.shards.names: what a name says, and where names are looked for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ckpt import Format, InconsistentError
from handlers.errors import BadInputError
from handlers.shards.names import (
    NETWORK,
    Part,
    Shard,
    Tag,
    find_shards,
    find_strategies,
    holds_shards,
    parse_tag,
    shards_of,
    size_of_shards,
)
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def network_shard(run: Run, rank: int, bump: str = "") -> Path:
    """Write a shard as MindFormers' save_network_params does."""
    path = run.source / "checkpoint_network" / f"rank_{rank}" / f"glm-6b_rank_{rank}{bump}-network.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_names_are_taken_apart(run: Run) -> None:
    """Prefix, rank, bump and tag come from the name; whatever else lies there is ignored."""
    rank_0 = run.shard(0).parent
    bumped = rank_0 / "glm-6b_rank_0_1-9_4.ckpt"
    bumped.write_bytes(b"")
    for name in ("meta.json", "glm-6b_rank_0-graph.meta", "glm-6b_rank_0-31_4.ckpt.tmp", "other.ckpt"):
        (rank_0 / name).write_bytes(b"")
    (rank_0 / "glm-6b_rank_0-7_7.ckpt").mkdir()
    (run.source / "checkpoint" / "rank_x").mkdir()
    found = find_shards(run.source)
    assert found[:2] == (
        Shard(run.shard(0), "glm-6b", 0, 0, Tag(31, 4)),
        Shard(bumped, "glm-6b", 0, 1, Tag(9, 4)),
    )
    assert [shard.rank for shard in found] == [0, 0, 1, 2, 3]


def test_safetensors_are_shards(run: Run) -> None:
    """As newer MindFormers write them."""
    path = run.shard(0).with_name("glm-6b_rank_0-9_4.safetensors")
    path.write_bytes(b"")
    assert Shard(path, "glm-6b", 0, 0, Tag(9, 4), Format.SAFETENSORS) in find_shards(run.source)


def test_the_checkpoint_directory_itself_is_a_source(run: Run) -> None:
    """The output root or its `checkpoint/`, both are taken, with the strategy beside it."""
    inner = run.source / "checkpoint"
    assert find_shards(inner) == find_shards(run.source)
    assert find_strategies(inner) == find_strategies(run.source) == (run.strategy,)


def test_the_networks_shards_have_their_own_directory(run: Run) -> None:
    """`network` means checkpoint_network/, and no other tag does; its rank's names may be bumped."""
    paths = [network_shard(run, rank, "_1" if rank == 1 else "") for rank in range(4)]
    found = find_shards(run.source, NETWORK)
    assert [(shard.path, shard.bump, shard.tag) for shard in found] == [
        (path, int(rank == 1), NETWORK) for rank, path in enumerate(paths)
    ]
    assert found == find_shards(run.source / "checkpoint_network")
    assert {shard.tag for shard in find_shards(run.source)} == {Tag(31, 4)}
    assert find_strategies(run.source / "checkpoint_network") == (run.strategy,)


def test_a_shard_in_another_ranks_directory_is_refused(run: Run) -> None:
    """A misplaced file is not merged as the rank whose directory it is in."""
    misplaced = run.shard(1).rename(run.shard(0).parent / run.shard(1).name)
    with pytest.raises(InconsistentError, match="is named for rank 1 but lies in rank 0's directory"):
        find_shards(run.source)
    with pytest.raises(InconsistentError, match="is named for rank 1 but lies in rank 0's directory"):
        shards_of([misplaced])


def test_explicit_files_are_shards_by_their_names(run: Run, tmp_path: Path) -> None:
    """They may lie anywhere; a name that does not say whose, or a file that is not there, is bad input."""
    elsewhere = tmp_path / "glm-6b_rank_3-31_4.ckpt"
    elsewhere.write_bytes(b"")
    assert [shard.rank for shard in shards_of([run.shard(0), elsewhere])] == [0, 3]
    with pytest.raises(BadInputError, match="its name is not PREFIX_rank_N-EPOCH_STEP"):
        shards_of([run.shard(0), run.strategy])
    elsewhere.unlink()
    with pytest.raises(BadInputError, match="there is no such file"):
        shards_of([run.shard(0), elsewhere])


@pytest.mark.parametrize(
    "tag", ("31", "31-4", "", "LAST", "31_4_1", "٣_4", "0000000031_4", "network_31_4", "weights-31_4", "network-")
)
def test_a_malformed_tag_is_bad_input(tag: str) -> None:
    """The message shows how a tag looks."""
    with pytest.raises(BadInputError, match="EPOCH_STEP"):
        parse_tag(tag)


@pytest.mark.parametrize(
    "tag",
    (
        "network",
        "31_4",
        "0_0",
        "network-31_4",
        "trainable_params",
        "trainable_params-2_4",
        "iteration_00000124",
        "iteration_123456789",
    ),
)
def test_a_tag_is_written_as_it_is_read(tag: str) -> None:
    """What a plan holds is text."""
    assert str(parse_tag(tag)) == tag


def test_strategy_files_have_two_forms(run: Run) -> None:
    """Protobuf and JSON; a file, a directory, or what lies in the tree."""
    json = run.strategy.with_name("ckpt_strategy_rank_1.json")
    json.write_bytes(b"{}")
    assert find_strategies(run.source) == find_strategies(Path("x"), run.strategy.parent) == (run.strategy, json)
    assert find_strategies(run.source, json) == (json,)


def test_no_strategy_is_refused(run: Run) -> None:
    """The message says where one was looked for."""
    run.strategy.unlink()
    with pytest.raises(InconsistentError, match="output/strategy has no ckpt_strategy_rank_N"):
        find_strategies(run.source)


@given(
    prefix=st.from_regex(r"[\w.-]{1,9}(_rank_\d|-\d_\d)?", fullmatch=True),
    rank=st.integers(0, 999_999),
    bump=st.integers(0, 999_999),
    tag=st.builds(
        Tag,
        st.integers(0, 999_999_999),
        st.integers(0, 999_999_999),
        st.sampled_from(["", "network", "trainable_params"]).map(Part),
    )
    | st.sampled_from([NETWORK, Tag(-1, -1, Part.TRAINABLE)]),
    format_=st.sampled_from(Format),
)
def test_every_name_that_a_callback_writes_is_read(
    prefix: str, rank: int, bump: int, tag: Tag, format_: Format
) -> None:
    """Whatever the prefix, also one that has a rank or a tag in it."""
    path = Path(f"rank_{rank}/{prefix}_rank_{rank}{f'_{bump}' if bump else ''}-{tag}.{format_}")
    assert Shard.named(path) == Shard(path, prefix, rank, bump, tag, format_)
    assert Tag.parse(str(tag)) == tag


def test_saves_in_the_new_format_are_shards(tmp_path: Path) -> None:
    """A tree that has one has something to merge, and is as large as its files; their descriptions are none."""
    save = tmp_path / "checkpoint" / "iteration_00000008"
    save.mkdir(parents=True)
    (save / "metadata.json").write_bytes(b"x" * 100)
    (save.parent / "latest_checkpointed_iteration.txt").write_text("8")
    assert not holds_shards(tmp_path)
    (save / "glm-model-0000000-0000001.safetensors").write_bytes(b"x" * 10)
    assert holds_shards(tmp_path)
    assert size_of_shards(tmp_path) == 10
    (tmp_path / "checkpoint" / "iteration_8").mkdir()
    (tmp_path / "checkpoint" / "iteration_8" / "a.safetensors").write_bytes(b"x" * 10)
    assert size_of_shards(tmp_path) == 10
