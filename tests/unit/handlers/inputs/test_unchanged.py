"""Promises of handlers.inputs.unchanged: the same bytes are the same inputs, and what nobody knows is not the same."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from handlers.ckpt import read_manifest
from handlers.inputs import unchanged
from handlers.inputs.hashing import ChangedError
from handlers.inputs.noting import note, trained_on
from handlers.inputs.unchanged import Earlier, are_those_of
from handlers.merging.merge import run as merge_run
from handlers.records.job_dir import JobDir
from handlers.records.merge_plan import MergePlan
from tests.unit.handlers.ckpt.ckpt_writer import small_run


@dataclass
class Nights:
    """Data, and a job that was trained on it."""

    path: Path
    job: JobDir

    def put(self, name: str, content: str) -> Path:
        """Write a file of data."""
        (self.path / name).write_text(content)
        return self.path / name

    def trained(self, *files: Path) -> Earlier:
        """Return a job that has come to its end, and was trained on these."""
        note([str(file) for file in files], self.job)
        output = small_run(self.path / "output").write()
        merge_run(
            MergePlan(source=output.source, destination=self.job.merged), trained_on=lambda: trained_on(self.job)
        )  # fmt: skip
        return Earlier(7, self.job)


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """Return some."""
    (tmp_path / "job").mkdir()
    return Nights(tmp_path, JobDir(tmp_path / "job"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was read, in order."""
    paths: list[str] = []
    real = unchanged.sha256_of
    monkeypatch.setattr(unchanged, "sha256_of", lambda file, told: (paths.append(file.path), real(file, told))[1])
    return paths


def test_files_that_nobody_touched_are_not_read(nights: Nights, hashed: list[str]) -> None:
    """Size, time and inode say enough, for 200 GB in no time."""
    a, b = nights.put("a", "one"), nights.put("b", "two!")
    assert are_those_of(nights.trained(a, b), [b, a])
    assert hashed == []


def test_the_same_bytes_are_the_same(nights: Nights, hashed: list[str]) -> None:
    """In a file that was written again, or has another name; only those are read."""
    a, b = nights.put("a", "one"), nights.put("b", "two!")
    earlier = nights.trained(a, b)
    os.utime(a, ns=(1, 1))
    copied = nights.put("c", "two!")
    assert are_those_of(earlier, [a, copied])
    assert hashed == [str(a), str(copied)]


def test_other_bytes_are_others(nights: Nights, hashed: list[str]) -> None:
    """Of the same size they are read; of another size, or another number of files, they need not be."""
    a, b = nights.put("a", "one"), nights.put("b", "two")
    earlier = nights.trained(a, b)
    for files in ([a], [a, b, b], [a, nights.put("c", "three")]):
        assert not are_those_of(earlier, files)
    assert hashed == []
    assert not are_those_of(earlier, [a, nights.put("d", "six")])
    assert not are_those_of(earlier, [a, nights.put("e", "one")]), "twice the one is not the one and the two"


def test_an_index_counts(nights: Nights) -> None:
    """A MindRecord with another index is another one."""
    a, index = nights.put("a.mindrecord", "one"), nights.put("a.mindrecord.db", "of a")
    earlier = nights.trained(a, index)
    nights.put("a.mindrecord.db", "of b")
    assert not are_those_of(earlier, [a, index])


def _damage_the_note(job: JobDir) -> None:
    job.inputs.write_text("[]")


def _damage_the_manifest(job: JobDir) -> None:
    (job.merged / "manifest.json").write_text("[]")


def _remove_all(job: JobDir) -> None:
    job.inputs.unlink()
    (job.merged / "manifest.json").unlink()


@pytest.mark.parametrize("harm", (_damage_the_note, _damage_the_manifest, _remove_all))
def test_what_nobody_knows_is_not_the_same(nights: Nights, harm: Callable[[JobDir], None]) -> None:
    """A directory that was removed, a record that is damaged: the night comes."""
    a = nights.put("a", "one")
    earlier = nights.trained(a)
    harm(nights.job)
    assert not are_those_of(earlier, [a])


def test_what_changed_while_it_was_trained_on_is_not_the_same(nights: Nights) -> None:
    """Nobody knows which of both was read."""
    a = nights.put("a", "one")
    note([str(a)], nights.job)
    nights.put("a", "two")
    output = small_run(nights.path / "output").write()
    merge_run(
        MergePlan(source=output.source, destination=nights.job.merged), trained_on=lambda: trained_on(nights.job)
    )  # fmt: skip
    assert not are_those_of(Earlier(7, nights.job), [a])


def test_what_changes_while_it_is_read_is_told(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not whole yet."""
    a = nights.put("a", "one")
    earlier = nights.trained(a)
    os.utime(a, ns=(1, 1))
    monkeypatch.setattr(unchanged, "is_at_work", lambda: os.utime(a, ns=(2, 2)))
    with pytest.raises(ChangedError):
        are_those_of(earlier, [a])


def test_the_manifest_names_what_was_trained_on(nights: Nights) -> None:
    """Each file with its hash; one without inputs has none, and an older glmd's manifest is read as before."""
    a = nights.put("a", "one")
    nights.trained(a)
    manifest = read_manifest(nights.job.merged / "manifest.json")
    ((path, size, digest, changed),) = [(i.path, i.bytes, i.sha256, i.changed) for i in manifest.inputs]
    assert (path, size, changed) == (str(a), 3, "")
    assert digest == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
