"""Promises of handlers.shards.health: an unhealthy save is not taken for the newest, and the reason names it."""

import json
from pathlib import Path

import pytest

from handlers.ckpt import DamagedFileError, InconsistentError
from handlers.mindformers.dialect import DIALECTS
from handlers.mindformers.tags import Schedule
from handlers.resume.point import Expected, newest_useful
from handlers.resume.resumable import Course
from handlers.shards.choice import choose
from handlers.shards.health import RECORD, read_health
from handlers.shards.names import Tag
from handlers.shards.readiness import NotReady
from handlers.shards.tree_tracker import TreeTracker
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run

NAMES = {tag: f"glm-6b_rank_0-{tag}.ckpt" for tag in ("31_4", "9_4")}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks that have saved 31_4."""
    return small_run(tmp_path / "output").write()


def record(run: Run, *lines: object) -> Path:
    """Write what rank 0 writes."""
    path = run.source / RECORD
    path.write_text(json.dumps(lines))
    return path


def line(name: str, is_health: int) -> dict[str, object]:
    """Return a line of it."""
    return {"is_health": is_health, "ckpt_name": name}


def test_a_healthy_save_is_taken(run: Run) -> None:
    """0 is healthy; a save that the record does not speak of is nothing it warns of, nor is one without a record."""
    assert str(choose(run.source).tag) == "31_4"
    for lines in ([], [line(NAMES["31_4"], 0)], [line(NAMES["9_4"], 1)], [line("other_rank_0-31_4.ckpt", 1)]):
        record(run, *lines)
        assert str(choose(run.source).tag) == "31_4"


def test_an_unhealthy_save_is_not_merged_as_the_newest(run: Run) -> None:
    """The reason names it; by its own tag it is merged, and so is an earlier one."""
    run.write("9_4")
    path = record(run, line(NAMES["9_4"], 0), line(NAMES["31_4"], 1))
    for source in (run.source, run.source / "checkpoint"):
        with pytest.raises(InconsistentError, match=rf"rank_0-31_4\.ckpt: {path} says that this save is unhealthy"):
            choose(source)
    assert choose(run.source, tag="31_4").shards
    assert choose(run.source, tag="9_4").shards


def test_of_a_save_that_was_written_twice_the_last_line_counts(run: Run) -> None:
    """A resumed run saves the same epoch and step again."""
    record(run, line(NAMES["31_4"], 1), line(NAMES["31_4"], 0))
    assert choose(run.source).shards


def test_a_bumped_name_is_another_runs_save(run: Run) -> None:
    """What an earlier run says of its own save does not count against the later one's."""
    for rank in range(4):
        run.shard(rank).rename(run.shard(rank).with_name(f"glm-6b_rank_{rank}_1-31_4.ckpt"))
    record(run, line(NAMES["31_4"], 1))
    assert choose(run.source).shards


def test_the_weights_alone_are_as_healthy_as_their_save(run: Run) -> None:
    """The record has the names of whole saves only."""
    record(run, line(NAMES["31_4"], 1))
    for rank in range(4):
        path = run.source / "checkpoint_network" / f"rank_{rank}" / f"glm-6b_rank_{rank}-network-31_4.ckpt"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    with pytest.raises(InconsistentError, match="this save is unhealthy"):
        choose(run.source, tag="network")
    assert choose(run.source, tag="network-31_4").shards


def test_a_tree_is_not_ready_with_an_unhealthy_save(run: Run) -> None:
    """Nor while nobody knows; it is as soon as a healthy one is there, and by its own tag at once."""
    tracker = TreeTracker(run.source)
    path = record(run, line(NAMES["31_4"], 1))
    found = tracker.look()
    assert isinstance(found, NotReady)
    assert f"{path} says that this save is unhealthy" in found.reason
    path.write_text('[{"is_heal')
    assert tracker.ready() is None
    found = tracker.look()
    assert isinstance(found, NotReady)
    assert "which saves are healthy is not known" in found.reason
    assert not isinstance(TreeTracker(run.source, tag="31_4").look(), NotReady)
    record(run, line(NAMES["31_4"], 1), line("glm-6b_rank_0-32_4.ckpt", 0))
    run.write("32_4")
    assert not isinstance(tracker.look(), NotReady)


def test_an_unhealthy_save_is_not_resumed_from(run: Run) -> None:
    """The one before it is, and the obstacle says why not the newest; with none left, nothing is."""
    run.write("9_4")
    path = record(run, line(NAMES["31_4"], 7))
    course = Course(Schedule(40, 4, sinks=True), is_cut=True, dialect=DIALECTS[0])
    found = newest_useful(run.source, Expected("glm-6b", 4, needs_strategy=True), course)
    assert found.point is not None
    assert found.point.tag == Tag(9, 4)
    assert found.obstacle is not None
    assert f"{path} says that this save is unhealthy" in found.obstacle.what
    path.write_text("[]}")
    found = newest_useful(run.source, Expected("glm-6b", 4, needs_strategy=True), course)
    assert found.point is None
    assert found.obstacle is not None
    assert "which saves are healthy is not known" in found.obstacle.what


@pytest.mark.parametrize("content", ("", "[", "{}", "[1]", '[{"ckpt_name": 5}]', "[" * 100_000, "\x00", "null"))
def test_what_is_no_record_is_refused_by_name(run: Run, content: str) -> None:
    """Half of a record leaves open which saves are healthy."""
    (run.source / RECORD).write_text(content)
    with pytest.raises(DamagedFileError, match=f"{RECORD}: it is no"):
        read_health(run.source)


def test_names_that_are_no_shards_are_left_alone(run: Run) -> None:
    """A line about something else says nothing of these."""
    record(run, line("README", 1), line("rank_0/glm-6b_rank_0-9_4.ckpt", 1))
    assert read_health(run.source).unhealthy == {("glm-6b", 0, Tag(9, 4))}
