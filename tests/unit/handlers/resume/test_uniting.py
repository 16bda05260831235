"""Promises of handlers.resume.uniting: of the shards of ranks that hold the whole network one that has everything."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import Format, InconsistentError, walk
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.tags import Schedule
from handlers.mindformers.version import Version
from handlers.resume.config import Beginning
from handlers.resume.point import (
    Expected,
    ResumePoint,
    beginning,
    is_to_be_united,
    lay_out,
    newest_complete,
    newest_useful,
)
from handlers.resume.resumable import Course
from handlers.resume.uniting import unite
from tests.unit.handlers.ckpt import redundancy
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run

RANKS = 3
EXPECTED = Expected("glm-6b", RANKS, needs_strategy=False)
COURSE = Course(Schedule.of(4, (40, 4)), is_cut=False, dialect=dialect_of(Version(1, 9)))


def who(name: str, group: tuple[int, ...]) -> int:
    """Say which of a group writes it."""
    return len(name) % len(group)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Three data parallel ranks, each of which has saved a part, twice."""
    run = small_run(tmp_path / "output", (1,))
    run.layouts, run.ranks = {}, RANKS
    return redundancy.write(redundancy.write(run, who, "17_4"), who)


def point_in(tree: Path) -> ResumePoint:
    """Return the newest complete save."""
    point = newest_complete(tree, EXPECTED)
    assert point is not None
    return point


def useful(run: Run) -> tuple[str, str]:
    """Return the tag that is gone on from, and why it is not the newest one."""
    found = newest_useful(run.source, EXPECTED, COURSE)
    return str(found.point.tag) if found.point else "", found.obstacle.what if found.obstacle else ""


def test_the_file_is_what_a_rank_saves_without_the_option(run: Run, tmp_path: Path) -> None:
    """Weights, optimizer and scalars, byte for byte; it says that nothing is left out, and is closed."""
    told: list[tuple[int, int]] = []
    path = unite(point_in(run.source).shards, tmp_path / "a" / "united", lambda *sizes: told.append(sizes))
    whole = redundancy.encode(run.tensors, lacks=False)
    found, (size, header) = walk(path), _header(whole)
    assert (found.lacks_replicas, set(found.entries)) == (False, set(run.tensors))
    assert path.read_bytes()[-(len(whole) - size) :] == whole[size:]
    assert b'"__metadata__":{"format":"ms","remove_redundancy":"False"}' in path.read_bytes()[:size]
    assert b'"remove_redundancy": "False"' in header
    assert path.stat().st_mode & 0o777 == 0o440
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def _header(content: bytes) -> tuple[int, bytes]:
    size = 8 + int.from_bytes(content[:8], "little")
    return size, content[8:size]


def test_what_no_number_is_is_gone_on_from(run: Run, tmp_path: Path) -> None:
    """A moment that is infinite is the training's affair: without replicas left out nobody would look at it either."""
    run.tensors["adam_v.layers.0.query_key_value.weight"][0, 0] = np.inf
    redundancy.write(run, who)
    assert unite(point_in(run.source).shards, tmp_path / "united").is_file()


def test_what_is_laid_out_is_one_file_by_many_names(run: Run, tmp_path: Path) -> None:
    """A save of all ranks that leaves nothing out, and outlives its tree; done again it comes to the same."""
    point, laid_out = point_in(run.source), tmp_path / "attempts" / "2" / "resume_from"
    assert is_to_be_united(point, is_cut=False)
    assert not is_to_be_united(point, is_cut=True)
    for _ in range(2):
        lay_out(point, laid_out, unites=True)
    shutil.rmtree(run.source)
    names = [f"glm-6b_rank_{rank}-31_4.safetensors" for rank in range(RANKS)]
    found = sorted(path.relative_to(laid_out).as_posix() for path in laid_out.rglob("*") if path.is_file())
    assert found == [f"checkpoint/rank_{rank}/{name}" for rank, name in enumerate(names)]
    assert [path.name for path in laid_out.parent.iterdir()] == ["resume_from"]
    again = point_in(laid_out)
    assert not is_to_be_united(again, is_cut=False)
    assert {shard.path.stat().st_nlink for shard in again.shards} == {RANKS}
    told = Beginning(laid_out / "checkpoint", Format.SAFETENSORS, resume=names[0])
    assert beginning(again, laid_out, is_directory=False) == told


def test_mindformers_is_told_of_a_whole_save(run: Run, tmp_path: Path) -> None:
    """Though the shards that it is made of are none."""
    point = point_in(run.source)
    for united in (False, True):
        told = beginning(point, tmp_path, is_directory=False, is_united=united)
        assert (told.resume, told.is_shared_out) == ("glm-6b_rank_0-31_4.safetensors", not united)


def test_the_newest_is_gone_on_from(run: Run) -> None:
    """And with a shard cut off or gone, the one before: nobody says so, as of any save that is not complete."""
    assert useful(run) == ("31_4", "")
    path = redundancy.shard(run, 1)
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1])
    path.chmod(0o400)
    assert useful(run) == ("17_4", "")
    path.unlink()
    assert useful(run) == ("17_4", "")


def test_a_weight_that_no_rank_has_makes_it_an_older_save(run: Run) -> None:
    """Its optimizer state is there, and says so; the obstacle names the file and the entry."""
    held = redundancy.held(run, lambda _name, group: len(group) - 1)
    for rank, tensors in held.items():
        lacking = {name: each for name, each in tensors.items() if name != "layers.0.query_key_value.weight"}
        redundancy.write_shard(run, rank, lacking)
    tag, why = useful(run)
    assert tag == "17_4"
    assert "the shards of 31_4 cannot be united: " in why
    assert "but no shard has" in why


def test_ranks_that_do_not_agree_are_not_united(run: Run, tmp_path: Path) -> None:
    """Which of them is right nobody knows. Nothing has the name then."""
    tensors = redundancy.held(run, who)[2] | {"epoch_num": np.array(30, "int64")}
    redundancy.write_shard(run, 2, tensors)
    point = point_in(run.source)
    with pytest.raises(InconsistentError, match="epoch_num"):
        lay_out(point, tmp_path / "resume_from", unites=True)
    assert not (tmp_path / "resume_from").exists()


def test_a_full_disk_is_something_that_passes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how much is needed, and the daemon tries again as with all else that it prepares."""
    status = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((*status[:4], 0, *status[5:])))
    with pytest.raises(OSError, match=r"the ranks' shards cannot be united: .* the output needs \d+ bytes") as caught:
        unite(point_in(run.source).shards, tmp_path / "united")
    assert caught.value.errno == errno.ENOSPC
