"""Promises of handlers.shards.newest_save: what is there is found, complete or not, and nothing is mixed."""

from pathlib import Path

import pytest

from handlers.ckpt import InconsistentError
from handlers.errors import BadInputError
from handlers.shards.newest_save import newest_save
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks, model parallel, written."""
    return small_run(tmp_path / "output").write()


def test_the_newest_that_any_rank_has(run: Run) -> None:
    """Ordered by number, and although the others have not saved it yet; with the strategy files."""
    run.write("9_4")
    assert newest_save(run.source) == ({rank: run.shard(rank) for rank in range(4)}, (run.strategy,))
    newer = run.write_shard(2, run.shard(2).read_bytes(), "32_4")
    assert newest_save(run.source)[0] == {2: newer}
    assert len(newest_save(run.source, tag="9_4")[0]) == 4


def test_of_a_rank_s_shards_of_one_tag_the_later_run_s(run: Run) -> None:
    """As it is merged."""
    bumped = run.shard(1).with_name(run.shard(1).name.replace("rank_1-", "rank_1_1-"))
    bumped.write_bytes(run.shard(1).read_bytes())
    assert newest_save(run.source)[0][1] == bumped


def test_without_strategy_files_there_are_none(run: Run, tmp_path: Path) -> None:
    """Unless some were named."""
    run.strategy.unlink()
    assert newest_save(run.source)[1] == ()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InconsistentError):
        newest_save(run.source, strategy=tmp_path / "empty")


def test_what_leaves_doubt_is_asked_for(run: Run, tmp_path: Path) -> None:
    """Nothing there, no such tag, several prefixes."""
    with pytest.raises(BadInputError, match="holds neither"):
        newest_save(tmp_path)
    with pytest.raises(BadInputError, match="of tag 7_7"):
        newest_save(run.source, tag="7_7")
    other = run.shard(0).with_name("other_rank_0-31_4.ckpt")
    other.write_bytes(run.shard(0).read_bytes())
    with pytest.raises(BadInputError, match=r"several prefixes \(glm-6b, other\)"):
        newest_save(run.source)
    assert newest_save(run.source, prefix="other")[0] == {0: other}
