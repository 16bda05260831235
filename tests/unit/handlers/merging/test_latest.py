"""Promises of handlers.merging.latest: the link is looked at and moved in one piece."""

import fcntl
import json
import multiprocessing
import shutil
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from handlers.ckpt.planning.origin import Origin
from handlers.ckpt.publishing.manifest import Manifest, read_manifest
from handlers.merging.latest import promote
from handlers.merging.merge import run as merge_run
from handlers.merging.promotion import Merged
from handlers.records.merge_plan import MergePlan
from tests.unit.handlers.ckpt.ckpt_writer import small_run

ROUNDS = 50


def began(minute: int) -> str:
    """Return a time."""
    return f"2026-11-28T10:{minute:02}:00+00:00"


def merged_of(root: Path, number: int, minute: int | None = None, *, tree: str | None = None) -> Path:
    """Merge a run as job `number` whose training began at `minute`, without a look at `latest`."""
    run = small_run(root / f"{number}" / "output").write()
    destination = root / f"{number}" / "merged"
    origin = Origin(job=number, tree=tree, began=None if minute is None else began(minute))
    merge_run(MergePlan(source=run.source, destination=destination, origin=origin))
    return destination


def facts(directory: Path) -> Merged:
    """Return what a published directory says of itself."""
    return Merged.of(directory, read_manifest(directory / "manifest.json"))


def test_the_newer_stays_in_whatever_order(tmp_path: Path) -> None:
    """An older job that is merged later does not take the link back, nor does it when it is done again."""
    link = tmp_path / "latest" / "glm-6b"
    old, new = merged_of(tmp_path, 1, 1), merged_of(tmp_path, 2, 2)
    assert promote(link, facts(old)).promoted
    assert promote(link, facts(new)).promoted
    for _ in range(2):
        verdict = promote(link, facts(old))
        assert (verdict.promoted, verdict.reason) == (False, "stays at job 2, whose training began later")
        assert link.resolve() == new
    assert promote(link, facts(new)).promoted
    assert not link.readlink().is_absolute()
    assert [path.name for path in link.parent.iterdir()] == ["glm-6b"]


@pytest.mark.parametrize("case", ("dangling", "removed", "no manifest", "damaged", "other prefix", "file gone", "loop"))
def test_what_is_no_whole_output_is_replaced(tmp_path: Path, case: str) -> None:
    """Whoever set the link, nobody could go on from there."""
    link, newer = tmp_path / "latest" / "glm-6b", merged_of(tmp_path, 2, 2)
    assert promote(link, facts(newer)).promoted
    manifest = newer / "manifest.json"
    match case:
        case "dangling":
            link.unlink()
            link.symlink_to("../nowhere")
        case "removed":
            shutil.rmtree(newer)
        case "no manifest":
            manifest.unlink()
        case "damaged":
            manifest.write_text("{")
        case "other prefix":
            manifest.write_text(manifest.read_text().replace('"prefix": "glm-6b"', '"prefix": "llama"'))
        case "file gone":
            (newer / "filtered_transformed.ckpt").unlink()
        case "loop":
            link.unlink()
            link.symlink_to("glm-6b")
    older = merged_of(tmp_path, 1, 1)
    assert promote(link, facts(older)).promoted
    assert link.resolve() == older


@pytest.mark.parametrize("kind", ("file", "directory"))
def test_what_is_no_link_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Somebody has put it there, and what is in it is his."""
    link, merged = tmp_path / "latest" / "glm-6b", merged_of(tmp_path, 1, 1)
    link.parent.mkdir()
    link.mkdir() if kind == "directory" else link.write_text("mine")
    verdict = promote(link, facts(merged))
    assert not verdict.promoted
    assert "no symbolic link" in verdict.reason
    assert not link.is_symlink()


def without_origin(directory: Path) -> Path:
    """Rewrite a manifest as an older version wrote it."""
    path = directory / "manifest.json"
    told = json.loads(path.read_text())
    del told["origin"]
    path.write_text(json.dumps(told))
    return directory


def test_a_manifest_of_before_is_read(tmp_path: Path) -> None:
    """It counts by when its shards were written."""
    link = tmp_path / "latest" / "glm-6b"
    before = without_origin(merged_of(tmp_path, 1, 1))
    assert read_manifest(before / "manifest.json").origin is None
    assert promote(link, facts(before)).promoted
    newer = facts(merged_of(tmp_path, 2, 2))
    assert not promote(link, replace(newer, written=facts(before).written - 1)).promoted
    assert promote(link, newer).promoted
    assert link.resolve() == newer.directory


def test_the_manifest_keeps_what_made_the_shards(tmp_path: Path) -> None:
    """The published directory alone says how new it is."""
    manifest = read_manifest(merged_of(tmp_path, 7, 3) / "manifest.json")
    assert manifest.origin == Origin(job=7, began=began(3))
    assert Manifest.encode(manifest) == (tmp_path / "7" / "merged" / "manifest.json").read_bytes()


def _is_waited_for(path: Path) -> bool:
    """Tell whether a process waits for a lock on `path`: the kernel marks it with an arrow."""
    inode = str(path.stat().st_ino)
    return any("->" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_who_promotes_waits_for_who_does_so_now(tmp_path: Path) -> None:
    """What the other one has published meanwhile is what he judges by: the older output is not set after the newer."""
    link = tmp_path / "latest" / "glm-6b"
    old, new = merged_of(tmp_path, 1, 1), merged_of(tmp_path, 2, 2)
    assert promote(link, facts(new)).promoted
    link.unlink()
    lock = tmp_path / ".latest.lock"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = multiprocessing.get_context("fork").Process(target=promote, args=(link, facts(old)))
        process.start()
        deadline = time.monotonic() + 60
        while not _is_waited_for(lock):
            assert time.monotonic() < deadline, "it does not wait"
            assert process.is_alive(), "it did not wait"
        link.symlink_to(new)
        fcntl.flock(held, fcntl.LOCK_UN)  # to close it would not do: the process has the file open, too
    process.join(60)
    assert process.exitcode == 0
    assert link.resolve() == new


def _promote_often(link: Path, directory: Path, told: Connection) -> None:
    merged = facts(directory)
    for _ in range(ROUNDS):
        told.recv()
        promote(link, merged)
        told.send("done")


def test_merges_that_end_at_the_same_moment_do_not_race(tmp_path: Path) -> None:
    """After each round of three processes that promote at once, the newest is the latest."""
    link = tmp_path / "latest" / "glm-6b"
    outputs = [merged_of(tmp_path, number, number) for number in (1, 2, 3)]
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in outputs]
    processes = [
        context.Process(target=_promote_often, args=(link, output, theirs))
        for output, (_, theirs) in zip(outputs, pipes, strict=True)
    ]
    for process in processes:
        process.start()
    for _ in range(ROUNDS):
        link.unlink(missing_ok=True)
        for ours, _ in pipes:
            ours.send("go")
        assert [ours.recv() for ours, _ in pipes if ours.poll(30)] == ["done"] * 3
        assert link.resolve() == outputs[2]
    for end in (end for pipe in pipes for end in pipe):
        end.close()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert [path.name for path in link.parent.iterdir()] == ["glm-6b"]
