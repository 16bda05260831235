"""What there is of a job is told by places and names; what is strange is a reason to keep it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from handlers.records.job_dir import JobDir
from handlers.retention.part import Part
from handlers.retention.pieces import pieces
from handlers.retention.trash import discard, empty

ME = os.geteuid()


def on_nodes(directory: JobDir) -> JobDir:
    """Let what was trained lie where a training on nodes leaves it: in its attempt's tree, to which `output` leads."""
    directory.output_link.rename(tree := directory.earlier_output(2))
    directory.output_link.symlink_to(tree.relative_to(directory.path))
    return directory


@pytest.fixture(params=(False, True), ids=("on one host", "on nodes"))
def directory(tmp_path: Path, request: pytest.FixtureRequest) -> JobDir:
    """Return the directory of a job of two ranks that saved twice, was resumed, and is merged."""
    directory = JobDir(tmp_path / "0001-run")
    for rank in (0, 1):
        for tree in (directory.output, directory.earlier_output(1), directory.resume_from(2)):
            ranks = tree / "checkpoint" / f"rank_{rank}"
            ranks.mkdir(parents=True)
            for tag in ("1_4", "2_4"):
                (ranks / f"glm_rank_{rank}-{tag}.ckpt").write_bytes(b"x" * 100)
            (ranks / "glm_rank_0-graph.meta").write_bytes(b"graph")
    network = directory.output / "checkpoint_network" / "rank_0"
    network.mkdir(parents=True)
    (network / "glm_rank_0-network.ckpt").write_bytes(b"x" * 10)
    (directory.output / "log").mkdir()
    (directory.output / "log" / "mindformer.log").write_text("loss")
    directory.merged.mkdir()
    (directory.merged / "glm.ckpt").write_bytes(b"w" * 50)
    (directory.merged / "manifest.json").write_text(MANIFEST)
    directory.submitted.write_text("a: 1")
    (directory.path / "hccl_2p_01_192.168.1.196.json").touch()
    return on_nodes(directory) if request.param else directory


MANIFEST = """{"format": 2, "prefix": "glm", "index": null,
 "files": [{"name": "glm.ckpt", "size": 50, "mtime_ns": 1}]}"""


def names(directory: JobDir) -> set[str]:
    """Return all files there are, from the directory on."""
    return {str(path.relative_to(directory.path)) for path in directory.path.rglob("*") if path.is_file()}


def throw(directory: JobDir, part: Part) -> None:
    """Remove a part for good."""
    trash = directory.path.parent / ".trash"
    discard(directory, part, pieces(directory, ME)[part], trash / "1")
    empty(trash)
    assert not trash.exists()


def test_shards_of_all_attempts_are_found_and_nothing_else(directory: JobDir) -> None:
    """Logs, graphs and records stay when the shards go."""
    assert pieces(directory, ME)[Part.SHARDS].bytes == 3 * 2 * 2 * 100 + 10
    before = names(directory)
    throw(directory, Part.SHARDS)
    assert before - names(directory) == {name for name in before if name.endswith(".ckpt") and "rank" in name}
    assert Part.SHARDS not in pieces(directory, ME)


def test_of_older_shards_the_newest_save_stays(directory: JobDir) -> None:
    """A save that not all ranks have is not the newest one."""
    (directory.output / "checkpoint" / "rank_0" / "glm_rank_0-3_4.ckpt").write_bytes(b"half a save")
    throw(directory, Part.OLDER_SHARDS)
    left = {name for name in names(directory) if "glm_rank" in name and name.endswith("ckpt")}
    assert {name.rpartition("-")[2] for name in left} == {"2_4.ckpt", "3_4.ckpt"}
    assert Part.OLDER_SHARDS not in pieces(directory, ME)


def test_of_a_merged_output_the_manifest_stays(directory: JobDir) -> None:
    """What it was made from is known for as long as there are records."""
    throw(directory, Part.MERGED)
    assert not directory.merged.exists()
    assert directory.manifest.read_text() == MANIFEST


def test_records_are_all_that_is_left(directory: JobDir) -> None:
    """They are looked at when nothing else is there, and go as one."""
    assert Part.RECORDS not in pieces(directory, ME)
    throw(directory, Part.SHARDS)
    throw(directory, Part.MERGED)
    throw(directory, Part.RECORDS)
    assert not directory.path.exists()
    assert pieces(directory, ME) == {}


def linked(path: Path) -> None:
    """Put a directory elsewhere, and a link in its place."""
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def of_another_user(path: Path) -> None:
    """Give it to somebody else."""
    os.chown(path, 12345, 12345, follow_symlinks=False)


STRANGE: dict[str, tuple[Part, str, Callable[[Path], None]]] = {
    "output is a link": (Part.SHARDS, "output", linked),
    "checkpoint is a link": (Part.SHARDS, "output/checkpoint", linked),
    "a rank's directory is a link": (Part.SHARDS, "output/checkpoint/rank_1", linked),
    "attempts is a link": (Part.SHARDS, "attempts", linked),
    "a shard is a link": (Part.SHARDS, "output/checkpoint/rank_1/glm_rank_1-1_4.ckpt", linked),
    "a shard is another user's": (Part.SHARDS, "output/checkpoint/rank_1/glm_rank_1-1_4.ckpt", of_another_user),
    "a shard lies in another rank's directory": (
        Part.SHARDS, "output/checkpoint/rank_1/glm_rank_0-1_4.ckpt", lambda path: path.touch()),
    "merged is a link": (Part.MERGED, "merged", linked),
    "a file of merged is a link": (Part.MERGED, "merged/glm.ckpt", linked),
    "a file beside the merged ones": (Part.MERGED, "merged/mine.txt", lambda path: path.touch()),
    "no manifest": (Part.MERGED, "merged/manifest.json", lambda path: path.unlink()),
    "a damaged manifest": (Part.MERGED, "merged/manifest.json", lambda path: path.write_text("{") and None),
    "the directory is another user's": (Part.MERGED, ".", of_another_user),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
def test_what_glmd_has_not_made_so_is_kept(case: str, directory: JobDir) -> None:
    """A link, a stranger's file, something in the way: the part stays, and why is said."""
    part, where, spoil = STRANGE[case]
    spoil(directory.path / where)
    found = pieces(directory, ME)[part]
    assert found.doubt
    assert not found.paths


def test_a_file_of_ones_own_keeps_the_records(directory: JobDir) -> None:
    """Somebody's notes in a job's directory are nothing that glmd removes."""
    throw(directory, Part.SHARDS)
    throw(directory, Part.MERGED)
    (directory.path / "notes.txt").touch()
    assert "notes.txt" in pieces(directory, ME)[Part.RECORDS].doubt


def test_an_output_that_was_never_begun_keeps_nothing(tmp_path: Path) -> None:
    """A merge that finds the disk too full leaves an empty directory: that is no output, and goes with the records."""
    directory = JobDir(tmp_path / "0001-run")
    directory.merged.mkdir(parents=True)
    directory.submitted.write_text("a: 1")
    assert pieces(directory, ME).keys() == {Part.RECORDS}
    throw(directory, Part.RECORDS)
    assert not directory.path.exists()


def test_discarding_goes_on_after_a_kill(directory: JobDir) -> None:
    """What is half removed is removed whole by the next one; the trash of before goes too."""
    trash = directory.path.parent / ".trash"
    piece = pieces(directory, ME)[Part.SHARDS]
    (trash / "1").mkdir(parents=True)
    for path in piece.paths[:3]:
        path.rename(trash / "1" / path.name)
    (trash / "0").mkdir()
    (trash / "0" / "link").symlink_to(directory.path)
    throw(directory, Part.SHARDS)
    assert directory.submitted.exists()


def test_the_oldest_save_goes_first(directory: JobDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left by a kill is the newest save, as far as it goes."""
    moved: list[str] = []
    rename = Path.rename

    def noted(self: Path, target: Path) -> Path:
        moved.append(self.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", noted)
    throw(directory, Part.SHARDS)
    tags = [name.rpartition("-")[2] for name in moved if "network" not in name]
    assert tags == sorted(tags)


@pytest.fixture(params=(False, True), ids=("on one host", "on nodes"))
def iterations(tmp_path: Path, request: pytest.FixtureRequest) -> JobDir:
    """Return the directory of a job whose ranks saved iterations 4 and 8, were resumed, and began with 12."""
    directory = JobDir(tmp_path / "0001-run")
    for tree, tracked, there in (
        (directory.earlier_output(1), 4, (4,)),
        (directory.resume_from(2), 4, (4,)),
        (directory.output, 8, (8, 12)),
    ):
        for iteration in there:
            save = tree / "checkpoint" / f"iteration_{iteration:08}"
            save.mkdir(parents=True)
            for name in ("glm-model-0000000-0000001.safetensors", "metadata.json", "common.json"):
                (save / name).write_bytes(b"x" * 100)
        (tree / "checkpoint" / "latest_checkpointed_iteration.txt").write_text(str(tracked))
    return on_nodes(directory) if request.param else directory


def saves_of(directory: JobDir) -> list[str]:
    """Return the names of the saves that are there."""
    return sorted(path.name for path in directory.path.rglob("iteration_*"))


def test_saves_in_the_new_format_go_whole(iterations: JobDir) -> None:
    """Each is a directory, and its tracker goes with it: what it would name is no longer there."""
    assert pieces(iterations, ME)[Part.SHARDS].bytes == 4 * 300 + 3
    throw(iterations, Part.SHARDS)
    assert saves_of(iterations) == []
    assert names(iterations) == set()
    assert Part.SHARDS not in pieces(iterations, ME)


def test_of_older_saves_in_the_new_format_the_newest_complete_one_stays(iterations: JobDir) -> None:
    """Whatever is newer stays, too; where the tracker is cut off, nobody knows which is complete, and all stay."""
    tracker = iterations.output / "checkpoint" / "latest_checkpointed_iteration.txt"
    tracker.write_text("")
    assert Part.OLDER_SHARDS not in pieces(iterations, ME)
    tracker.write_text("8")
    throw(iterations, Part.OLDER_SHARDS)
    assert saves_of(iterations) == ["iteration_00000008", "iteration_00000012"]
    assert tracker.read_text() == "8"
    assert Part.OLDER_SHARDS not in pieces(iterations, ME)


@pytest.mark.parametrize("where", ("iteration_00000008/mine.txt", "iteration_00000008/inner/"))
def test_what_no_rank_makes_keeps_a_save(iterations: JobDir, where: str) -> None:
    """A note, a directory: why is said."""
    path = iterations.output / "checkpoint" / where
    path.mkdir() if where.endswith("/") else path.touch()
    assert str(path) in pieces(iterations, ME)[Part.SHARDS].doubt


def test_a_save_that_is_a_link_is_kept(iterations: JobDir) -> None:
    """It leads to what is not the job's."""
    linked(iterations.output / "checkpoint" / "iteration_00000008")
    assert "is no directory" in pieces(iterations, ME)[Part.SHARDS].doubt
