"""Promises of handlers.resume.point: only a save that is complete is resumed from, and nothing lies beside it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.rank_log.progress import Progress
from handlers.resume.point import Expected, complete, is_last, lay_out, newest_complete
from handlers.shards.contents import Contents
from handlers.shards.names import Tag
from tests.unit.handlers.ckpt.ckpt_writer import Run, ckpt, small_run

EXPECTED = Expected("glm-6b", 4, needs_strategy=True)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks that have saved 9_4, 16_4 and 17_4."""
    run = small_run(tmp_path / "output")
    for tag in ("16_4", "9_4", "17_4"):  # by number 17_4 is the newest, by name 9_4
        run.write(tag)
    return run


def newest(run: Run, expected: Expected = EXPECTED) -> str:
    """Return the tag that would be resumed from; empty for none."""
    point = newest_complete(run.source, expected)
    return str(point.tag) if point else ""


def test_the_newest_complete_save(run: Run) -> None:
    """Its shards are those of all ranks, in order."""
    point = newest_complete(run.source, EXPECTED)
    assert point is not None
    assert (str(point.tag), point.tree) == ("17_4", run.source)
    assert [shard.path for shard in point.shards] == [run.shard(rank, "17_4") for rank in range(4)]


def test_a_save_that_a_rank_lacks_is_passed_over(run: Run) -> None:
    """The ranks' newest saves differ when a rank died between two of them."""
    run.shard(2, "17_4").unlink()
    assert newest(run) == "16_4"


@pytest.mark.parametrize("cut", (1, 100))
def test_a_shard_that_is_cut_off_is_passed_over(run: Run, cut: int) -> None:
    """It has its final name and its mode all the same, as after a power cut."""
    run.write_shard(1, run.shard(1, "17_4").read_bytes()[:-cut], "17_4")
    assert newest(run) == "16_4"


def test_a_shard_that_was_being_written_is_passed_over(run: Run) -> None:
    """MindSpore sets mode 0400 as its last act; a rank that was killed before has not."""
    run.shard(3, "17_4").chmod(0o600)
    assert newest(run) == "16_4"


def test_ranks_that_disagree_on_the_entries_are_passed_over(run: Run) -> None:
    """A whole file of another run or of another network is no part of this save."""
    tensors = run.slices(1)
    del tensors["adam_m.layers.0.query_key_value.weight"]
    run.write_shard(1, ckpt(tensors), "17_4")
    assert newest(run) == "16_4"


def test_a_save_that_does_not_fit_the_strategy_is_passed_over(run: Run) -> None:
    """All ranks lack the same."""
    for rank in range(4):
        tensors = run.slices(rank)
        del tensors["layers.0.layernorm.gamma"]
        run.write_shard(rank, ckpt(tensors), "17_4")
    assert newest(run) == "16_4"


def test_a_save_that_does_not_say_where_to_go_on_is_none(run: Run) -> None:
    """MindFormers would take the trained weights and train all epochs on them again."""
    for rank in range(4):
        tensors = {name: tensor for name, tensor in run.slices(rank).items() if name != "epoch_num"}
        run.write_shard(rank, ckpt(tensors), "17_4")
    assert newest(run) == "16_4"


def test_other_prefixes_other_ranks_and_no_shards(run: Run, tmp_path: Path) -> None:
    """None of them is a save of this run; none is an error."""
    assert newest(run, replace(EXPECTED, prefix="glm")) == ""
    assert newest(run, replace(EXPECTED, ranks=8)) == ""
    run.strategy.unlink()
    assert newest(run) == ""
    assert newest_complete(tmp_path / "nothing", EXPECTED) is None
    assert complete(tmp_path / "nothing", "17_4", EXPECTED) is None


def test_a_shard_in_another_ranks_directory_spoils_the_tree(run: Run) -> None:
    """Nobody knows then whose is whose."""
    run.shard(0, "17_4").rename(run.source / "checkpoint" / "rank_1" / "glm-6b_rank_0-17_4.ckpt")
    assert newest(run) == ""


def test_each_shard_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tags there are, and though none of them is complete."""
    read: Counter[Path] = Counter()
    of = Contents.of
    monkeypatch.setattr(Contents, "of", lambda self, path: read.update([path]) or of(self, path))
    run.write_shard(3, run.shard(3, "9_4").read_bytes()[:-1], "9_4")
    for tag in ("16_4", "17_4"):
        run.write_shard(0, run.shard(0, tag).read_bytes()[:-1], tag)
    assert newest(run) == ""
    assert set(read.values()) == {1}


def test_a_data_parallel_run_needs_no_strategy(tmp_path: Path) -> None:
    """It writes none."""
    run = small_run(tmp_path / "output", (1,))
    run.layouts, run.ranks = {}, 2
    run.write("17_4")
    assert newest(run, Expected("glm-6b", 2, needs_strategy=False)) == "17_4"


def test_what_is_laid_out_leaves_mindformers_no_choice(run: Run, tmp_path: Path) -> None:
    """One .ckpt a rank, of one tag, no meta.json; and it is itself a tree with that save."""
    (run.shard(0).parent / "meta.json").write_text("{}")
    point = newest_complete(run.source, EXPECTED)
    assert point is not None
    directory = tmp_path / "attempts" / "2" / "resume_from"
    for _ in range(2):  # done again, as after a crash, it comes to the same
        lay_out(point, directory)
        found = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
        assert found == [
            *(f"checkpoint/rank_{rank}/glm-6b_rank_{rank}-17_4.ckpt" for rank in range(4)),
            "strategy/ckpt_strategy_rank_0.ckpt",
        ]
    assert [path.name for path in directory.parent.iterdir()] == ["resume_from"]
    again = newest_complete(directory, EXPECTED)
    assert again is not None
    assert again.tag == point.tag


def test_what_is_laid_out_outlives_the_tree_it_is_of(run: Run, tmp_path: Path) -> None:
    """And takes no room of its own."""
    point = newest_complete(run.source, EXPECTED)
    assert point is not None
    content = point.shards[0].path.read_bytes()
    directory = tmp_path / "resume_from"
    lay_out(point, directory)
    kept = directory / "checkpoint" / "rank_0" / point.shards[0].path.name
    assert kept.stat().st_ino == point.shards[0].path.stat().st_ino
    point.shards[0].path.unlink()
    assert kept.read_bytes() == content


def test_a_lay_out_that_was_cut_off_is_made_anew(run: Run, tmp_path: Path) -> None:
    """What a crash has left half done does not count."""
    point = newest_complete(run.source, EXPECTED)
    assert point is not None
    (tmp_path / ".resume_from.tmp" / "checkpoint" / "rank_0").mkdir(parents=True)
    (tmp_path / ".resume_from.tmp" / "checkpoint" / "rank_0" / "glm-6b_rank_0-16_4.ckpt").touch()
    lay_out(point, tmp_path / "resume_from")
    assert [path.name for path in (tmp_path / "resume_from/checkpoint/rank_0").iterdir()] == ["glm-6b_rank_0-17_4.ckpt"]


@pytest.mark.parametrize(
    ("tag", "epochs", "steps", "sink_size", "last"),
    (
        ("31_4", 31, 4, 4, True),
        ("30_4", 31, 4, 4, False),
        ("31_4", 1, 125, 4, True),  # 125 steps are 31 whole sinks of 4
        ("30_4", 1, 125, 4, False),
        ("2_10", 2, 10, -1, True),
        ("1_10", 2, 10, None, False),
        ("2_10", 2, 10, None, True),
        ("2_10", 2, 10, 0, False),  # not a size: nothing is known
        ("1_100", 1, 10_000, None, False),  # one percent of the only epoch
        ("1_9999", 1, 10_000, None, False),
        ("1_10000", 1, 10_000, None, True),
        ("2_5", 2, 10, None, False),
        ("2_9", 2, 10, -1, False),
        ("31_2", 1, 125, 4, False),  # inside a sink
        ("1_4", 2, 3, 4, True),  # a sink larger than the data: 6 steps are one whole sink
        ("1_4", 3, 3, 4, False),
        ("2_4", 3, 3, 4, True),
        ("1_49", 50, 1, 49, True),
        ("48_1", 49, 1, 1, False),
        ("3_10", 2, 10, None, True),  # past the end
        ("1_20", 1, 10, None, False),  # more steps than an epoch has: of another data set
    ),
)
def test_which_save_is_the_last(tag: str, epochs: int, steps: int, sink_size: int | None, last: bool) -> None:  # noqa: FBT001 - an expectation
    """By MindFormers' own arithmetic, since it refuses to go on from it."""
    progress = Progress(epoch=1, epochs=epochs, step=1, steps=steps, loss=1.0, seconds_per_step=None)
    assert is_last(Tag.parse(tag), progress, sink_size) is last


def test_without_a_log_no_save_is_the_last() -> None:
    """Then MindFormers says it."""
    assert not is_last(Tag(31, 4), None, 4)


def test_the_scalars_of_the_writer_have_an_epoch() -> None:
    """Else the tests above would pass for want of saves."""
    assert small_run(Path("/nowhere")).tensors["epoch_num"] == np.int64(31)
