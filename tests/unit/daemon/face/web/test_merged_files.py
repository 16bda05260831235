"""Promises of daemon.face.web.merged_files."""

import os
from pathlib import Path

import pytest

from daemon.face.web import merged_files
from daemon.face.web.merged_files import State, merged_of
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.publishing.manifest import NAME
from handlers.records.job_dir import JobDir
from tests.unit.daemon.face.web.views.test_output import WEIGHTS, manifest_of


@pytest.fixture
def job(tmp_path: Path) -> JobDir:
    """Return a job that has merged a file."""
    job = JobDir(tmp_path / "0042-glm")
    job.merged.mkdir(parents=True)
    (job.merged / WEIGHTS).write_bytes(b"weights")
    (job.merged / NAME).write_bytes(manifest_of(job.merged, "a").encode())
    return job


def state_of(job: JobDir) -> State:
    """Return how the file stands to its manifest."""
    found = merged_of(job)
    assert found is not None
    (file,) = found.files(job)
    return file.state


def test_a_file_is_told_by_size_and_time(job: JobDir) -> None:
    """Nothing of it is read."""
    path = job.merged / WEIGHTS
    assert state_of(job) is State.AS_WRITTEN
    os.utime(path, (1, 1))
    assert state_of(job) is State.TOUCHED
    path.write_bytes(b"more weights")
    assert state_of(job) is State.RESIZED
    path.unlink()
    path.symlink_to(NAME)
    assert state_of(job) is State.MISSING


def test_what_cannot_be_opened_is_told(job: JobDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever serves the page, who is not glmd."""
    found = merged_of(job)
    assert found is not None

    def refuse(_top: Path, path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(merged_files, "opened_below", refuse)
    assert [file.state for file in found.files(job)] == [State.UNREADABLE]


def test_the_kept_manifest_counts_once_the_files_are_gone(job: JobDir) -> None:
    """That beside the files counts as long as it is there."""
    job.manifest.write_bytes((job.merged / NAME).read_bytes())
    found = merged_of(job)
    assert found is not None
    assert not found.is_gone
    (job.merged / NAME).unlink()
    found = merged_of(job)
    assert found is not None
    assert found.is_gone
    job.manifest.unlink()
    assert merged_of(job) is None


def test_a_manifest_has_bounds(job: JobDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says something."""
    monkeypatch.setattr(merged_files, "MOST_BYTES", 10)
    with pytest.raises(OSError, match="glmd inspect"):
        merged_of(job)
    (job.merged / NAME).write_bytes(b"{}")
    with pytest.raises(DamagedFileError):
        merged_of(job)
