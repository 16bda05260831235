"""Promises of handlers.merging.latest: what counts as a whole output, and where a link leads."""

import json
import os
import shutil
from pathlib import Path

import pytest

from handlers.ckpt.planning.origin import Origin
from handlers.ckpt.publishing.manifest import Manifest, read_manifest
from handlers.merging.latest import is_occupied, lead, leads_to, real, whole
from handlers.merging.merge import run as merge_run
from handlers.records.merge_plan import MergePlan
from tests.unit.handlers.ckpt.ckpt_writer import small_run


def merged_of(root: Path, number: int) -> Path:
    """Merge a run as job `number`."""
    run = small_run(root / f"{number}" / "output").write()
    destination = root / f"{number}" / "merged"
    origin = Origin(job=number, began=f"2026-11-28T10:{number:02}:00+00:00")
    merge_run(MergePlan(source=run.source, destination=destination, origin=origin))
    return destination


def test_a_whole_output_says_what_it_is(tmp_path: Path) -> None:
    """By its manifest alone; also by way of a link."""
    directory = merged_of(tmp_path, 7)
    lead(tmp_path / "link", directory)
    for place in (directory, tmp_path / "link"):
        found = whole(place, "glm-6b")
        assert found is not None
        assert (found.directory, found.name) == (directory, "job 7")
    manifest = read_manifest(directory / "manifest.json")
    assert Manifest.encode(manifest) == (directory / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    "case", ("removed", "no manifest", "damaged", "other prefix", "file gone", "file cut", "loop", "a file")
)
def test_what_is_no_whole_output(tmp_path: Path, case: str) -> None:
    """Nobody could go on from there."""
    directory = merged_of(tmp_path, 1)
    manifest, file = directory / "manifest.json", directory / "filtered_transformed.ckpt"
    match case:
        case "removed":
            shutil.rmtree(directory)
        case "no manifest":
            manifest.unlink()
        case "damaged":
            manifest.write_text("{")
        case "other prefix":
            manifest.write_text(manifest.read_text().replace('"prefix": "glm-6b"', '"prefix": "llama"'))
        case "file gone":
            file.unlink()
        case "file cut":
            file.chmod(0o600)
            os.truncate(file, file.stat().st_size - 1)
        case "loop":
            shutil.rmtree(directory)
            directory.symlink_to(directory.name)
        case "a file":
            shutil.rmtree(directory)
            directory.write_text("mine")
    assert whole(directory, "glm-6b") is None


def test_a_manifest_of_before_is_read(tmp_path: Path) -> None:
    """It has no origin, and counts by when its shards were written."""
    directory = merged_of(tmp_path, 1)
    told = json.loads((directory / "manifest.json").read_text())
    del told["origin"]
    (directory / "manifest.json").write_text(json.dumps(told))
    found = whole(directory, "glm-6b")
    assert found is not None
    assert found.origin is None


def test_a_link_is_set_in_one_step_and_moves_with_its_root(tmp_path: Path) -> None:
    """It is relative, whatever way led to the root; and an older link is replaced."""
    root = tmp_path / "root"
    for name in ("latest", "jobs/0001-a/merged", "jobs/0002-b/merged"):
        (root / name).mkdir(parents=True)
    (tmp_path / "way").symlink_to(root)
    link = root / "latest" / "glm-6b"
    for way in (root, tmp_path / "way"):
        for name in ("0001-a", "0002-b"):
            lead(way / "latest" / "glm-6b", way / "jobs" / name / "merged")
            assert link.readlink() == Path(f"../jobs/{name}/merged")
            assert leads_to(link) == leads_to(way / "latest" / "glm-6b") == real(root / "jobs" / name / "merged")
    assert [path.name for path in link.parent.iterdir()] == ["glm-6b"]


def test_where_a_link_leads_is_known_though_nothing_is_there(tmp_path: Path) -> None:
    """So that one which dangles is told from none."""
    assert leads_to(tmp_path / "none") is None
    (tmp_path / "link").symlink_to("gone/merged")
    assert leads_to(tmp_path / "link") == tmp_path / "gone" / "merged"


@pytest.mark.parametrize("kind", ("file", "directory"))
def test_what_is_no_link_is_somebodys(tmp_path: Path, kind: str) -> None:
    """Somebody has put it there, and what is in it is his."""
    link = tmp_path / "glm-6b"
    assert not is_occupied(link)
    link.mkdir() if kind == "directory" else link.write_text("mine")
    assert is_occupied(link)
    assert leads_to(link) is None
