"""Promises of handlers.inputs.noting and hashing: an output names what it was trained on, or says what has changed."""

import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest

from handlers.inputs import noting
from handlers.inputs.hashing import PIECE, noted, sha256_of
from handlers.inputs.noting import note, trained_on
from handlers.records.inputs import Inputs
from handlers.records.job_dir import JobDir


@pytest.fixture
def job(tmp_path: Path) -> JobDir:
    """Return an empty directory of a job."""
    (tmp_path / "job").mkdir()
    return JobDir(tmp_path / "job")


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Return two files of data."""
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode() * 1000)
    return [str(tmp_path / name) for name in "ab"]


def test_what_has_not_changed_is_hashed(job: JobDir, data: list[str]) -> None:
    """In the order in which it was named."""
    note(data, job)
    found = trained_on(job)
    assert [each.path for each in found] == data
    assert [each.sha256 for each in found] == [hashlib.sha256(name * 1000).hexdigest() for name in (b"a", b"b")]
    assert [(each.bytes, each.changed) for each in found] == [(1000, ""), (1000, "")]


@pytest.mark.parametrize(
    ("change", "why"),
    (
        (lambda path: path.write_bytes(b"longer" * 1000), "it has 6000 bytes, and had 1000"),
        (lambda path: os.utime(path, ns=(1, 1)), "written or replaced"),
        (lambda path: (path.rename(f"{path}.old"), path.write_bytes(b"a" * 1000)), "written or replaced"),
        (Path.unlink, "not there any more"),
        (lambda path: (path.unlink(), path.mkdir()), "changed since"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "changed since"),
    ),
)
def test_what_has_changed_is_named_as_such(job: JobDir, data: list[str], change: object, why: str) -> None:
    """Without a hash: nobody knows what the training has read. The others have theirs."""
    note(data, job)
    change(Path(data[0]))  # type: ignore[operator]
    first, second = trained_on(job)
    assert first.sha256 is None
    assert why in first.changed
    assert first.bytes == 1000
    assert second.sha256 is not None


def test_what_changes_while_it_is_read_has_changed(data: list[str]) -> None:
    """The hash would be of half of each."""
    file = noted(Path(data[0]))
    with pytest.raises(Exception, match="and had 1000"):
        sha256_of(file, lambda _: os.truncate(data[0], 0))


def test_without_a_note_there_is_nothing(job: JobDir) -> None:
    """A file that names no inputs, or a job that an older glmd has prepared; or a note that somebody has damaged."""
    assert trained_on(job) == ()
    job.inputs.write_text("{}")
    assert trained_on(job) == ()


def test_storage_that_does_not_answer_holds_up_no_output(
    job: JobDir, data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on it has no hash."""
    note(data, job)
    monkeypatch.setattr(noting, "_hash", lambda *_: None)
    assert [each.changed for each in trained_on(job, patience=0.01)] == ["its storage does not answer"] * 2


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    """It is read piece by piece."""
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(40 * PIECE)
    tracemalloc.start()
    seen: list[int] = []
    sha256_of(noted(path), seen.append)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * PIECE
    assert seen == [PIECE] * 40


def test_the_note_holds_as_many_as_may_be_named(job: JobDir, tmp_path: Path) -> None:
    """With the longest paths that there can be."""
    directory = tmp_path
    while len(str(directory)) < 3600:
        directory /= "d" * 200
    directory.mkdir(parents=True)
    (directory / "data").write_bytes(b"1")
    note([str(directory / "data")] * 1000, job)
    assert len(Inputs.read(job.inputs).files) == 1000
