"""Promises of `glmd restore`: what is wrong with a backup is found, and what is restored is a root."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.client.backup.checking import check, read_record, steps
from daemon.client.backup.making import back_up
from daemon.client.backup.restoring import restore
from daemon.client.backup.tree import TreeCopy
from daemon.core.backup_record import NAME
from daemon.core.database import DamagedStoreError, NewerStoreError, StoreError
from daemon.core.migrations import VERSION
from daemon.core.root import Root
from daemon.core.states import State
from daemon.face.audit import Kind, check_state
from handlers.codes import Code
from handlers.errors import BadInputError, RefusedError
from handlers.records.job_dir import Step
from tests.unit.daemon.client.backup.conftest import DONE, MakeBackup, Place, furnish, promote

MERGED = "jobs/0001-run/merged"


def sql(backup: Path, statement: str) -> None:
    """Change the store of a backup."""
    with closing(sqlite3.connect(backup / "glmd.db")) as store, store:
        store.execute("PRAGMA journal_mode=DELETE")
        store.execute(statement)


def contents(directory: Path) -> dict[str, bytes]:
    """Return every file."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_backup_of_a_root_where_all_is_well_is_whole(place: Place, make: MakeBackup) -> None:
    """Also with outputs that have their manifests alone; what would be there is told, and nothing is written."""
    promote(place, place.job(*DONE))
    furnish(place)
    path, record = make()
    before = contents(path)
    found = check(path, deep=True)
    assert (found.problems, found.mended) == ((), ())
    assert found.states == {State.DONE: 2, State.FAILED: 1, State.REJECTED: 1, State.QUEUED: 2}
    assert found.latest == {"glm-6b": "jobs/0006-run/merged"}
    assert found.at_work == 0
    assert contents(path) == before
    assert record.without_files == {"0001-run"}, "nothing says that it was promoted"


def _lose_the_output(backup: Path) -> None:
    (backup / MERGED / "filtered_transformed.ckpt").unlink()


def _cut_the_output(backup: Path) -> None:
    path = backup / MERGED / "filtered_transformed.ckpt"
    content = path.read_bytes()
    path.unlink()  # it is a hard link
    path.write_bytes(content[:-1])


def _lose_the_manifest(backup: Path) -> None:
    (backup / MERGED / "manifest.json").unlink()


def _lose_a_record(backup: Path) -> None:
    (backup / "jobs/0001-run/plan.json").unlink()


def _lose_a_job(backup: Path) -> None:
    shutil.rmtree(backup / "jobs/0005-run")


def _lead_elsewhere(backup: Path) -> None:
    (backup / "latest/glm-6b").unlink()
    (backup / "latest/glm-6b").symlink_to("../jobs/0002-run/merged")


def _lead_out(backup: Path) -> None:
    (backup / "latest/glm-6b").unlink()
    (backup / "latest/glm-6b").symlink_to(backup.parent.parent / "root" / MERGED)


def _spoil_a_row(backup: Path) -> None:
    sql(backup, "UPDATE jobs SET state = 'asleep' WHERE id = 2")


def _spoil_a_history(backup: Path) -> None:
    sql(backup, "DELETE FROM transitions WHERE job = 1")


@pytest.mark.parametrize(
    ("harm", "told"),
    (
        (_lose_the_output, "filtered_transformed.ckpt is not there"),
        (_cut_the_output, "were written"),
        (_lose_the_manifest, "manifest.json"),
        (_lose_a_record, "plan.json"),
        (_lose_a_job, "has no directory"),
        (_lead_elsewhere, "latest/glm-6b"),
        (_lead_out, "out of the backup"),
        (_spoil_a_row, "asleep"),
        (_spoil_a_history, "no transition"),
    ),
)
def test_what_is_wrong_is_found(place: Place, make: MakeBackup, harm: Callable[[Path], None], told: str) -> None:
    """Of each kind one."""
    path, _ = make()
    harm(path)
    found = check(path, deep=False)
    assert any(told in problem for problem in found.problems), found.problems
    assert check_state(place.root) == ()


def test_a_byte_that_turned_is_found_by_reading_all(make: MakeBackup) -> None:
    """With `deep` only: sizes say nothing of it."""
    path, _ = make()
    output = path / MERGED / "filtered_transformed.ckpt"
    content, status = bytearray(output.read_bytes()), output.stat()
    content[-1] ^= 1
    output.unlink()
    output.write_bytes(content)
    os.utime(output, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert check(path, deep=False).problems == ()
    assert any("not those that were written" in problem for problem in check(path, deep=True).problems)


def test_what_was_lacking_when_it_was_made_is_a_problem(place: Place, make: MakeBackup) -> None:
    """Whoever looks later has not seen the warning."""
    (place.root.path / MERGED / "filtered_transformed.ckpt").unlink()
    path, _ = make()
    assert any("is not there, though" in problem for problem in check(path, deep=False).problems)


@pytest.mark.parametrize("what", ("not there", "damaged", "newer", "empty"))
def test_a_store_that_cannot_be_used_is_said(make: MakeBackup, what: str) -> None:
    """As any command says it."""
    path, _ = make()
    store = path / "glmd.db"
    if what == "not there":
        store.unlink()
    elif what == "damaged":
        with store.open("r+b") as stream:
            stream.seek(4096)
            stream.write(b"\xff" * 8192)
    elif what == "newer":
        sql(path, f"PRAGMA user_version={VERSION + 1}")
    else:
        store.write_bytes(b"")
    kind = {"newer": NewerStoreError, "damaged": DamagedStoreError}.get(what, StoreError)
    if what == "damaged":
        try:
            assert check(path, deep=False).problems
        except DamagedStoreError:
            return
    else:
        with pytest.raises(kind):
            check(path, deep=False)


def test_a_backup_of_a_root_at_work_is_whole(place: Place, make: MakeBackup) -> None:
    """What a start mends is told as that: a training whose host is another, a claim, a job since the store."""
    trains = place.job(State.PREPARING, State.TRAINING)
    place.run_shim(trains, Step.TRAIN, living=False)
    place.claim("run.yaml")
    (place.root.jobs / "0077-new").mkdir()
    (place.root.jobs / "0077-new" / "submitted.yaml").write_text("since the store was copied")
    path, _ = make()
    found = check(path, deep=False)
    assert found.problems == ()
    assert {one.kind for one in found.mended} == {Kind.NO_SHIM, Kind.CLAIM_LEFT, Kind.DIRECTORY_WITHOUT_JOB}
    assert found.at_work == 1


def test_a_directory_that_is_no_job_is_not_mended(place: Place, make: MakeBackup) -> None:
    """Nobody takes it in."""
    (place.root.jobs / "notes").mkdir()
    path, _ = make()
    assert any("directory-without-job" in problem for problem in check(path, deep=False).problems)


@pytest.mark.parametrize(
    ("state", "step"), ((State.TRAINING, Step.TRAIN), (State.MERGING, Step.MERGE), (State.DONE, Step.MERGE))
)
def test_a_step_that_ends_behind_the_store_s_copy_is_mended(
    place: Place, to: Path, monkeypatch: pytest.MonkeyPatch, state: State, step: Step
) -> None:
    """The directory is newer than the store: its records tell the next start what has become of the job."""
    job = place.job(*DONE[: DONE.index(state)]) if state is State.DONE else place.job(*DONE[: DONE.index(state) + 1])
    copied, went_on = TreeCopy.directory, False

    def directory(self: TreeCopy, place_: Path, *wanted: object) -> None:
        nonlocal went_on
        if not went_on:
            went_on = True
            place.end(job, step)
            if step is Step.MERGE:
                place.merge(job)
        copied(self, place_, *wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(TreeCopy, "directory", directory)
    path, _ = back_up(place.root, None, to, lambda *_: None)
    found = check(path, deep=False)
    assert found.problems == ()
    assert {one.kind for one in found.mended} == {Kind.EXIT_CONTRADICTS}


@pytest.mark.parametrize("content", ("", "[]", "{}", '{"format": 1}', None))
def test_what_is_no_backup_is_said(make: MakeBackup, content: str | None) -> None:
    """Any other directory, and a backup.json of somebody else's."""
    path, _ = make()
    (path / NAME).unlink()
    if content is not None:
        (path / NAME).write_text(content)
    with pytest.raises(BadInputError) as error:
        read_record(path)
    assert error.value.code == Code.BACKUP_NONE


def test_a_backup_of_a_newer_format_is_refused(make: MakeBackup) -> None:
    """By its number, whatever else it has."""
    path, _ = make()
    (path / NAME).write_text(json.dumps({"format": 2, "new": True}))
    with pytest.raises(RefusedError, match="newer glmd"):
        read_record(path)


def test_the_steps_put_settings_back_where_they_were(place: Place, to: Path, tmp_path: Path) -> None:
    """From the root they come with it."""
    (tmp_path / "etc.yaml").write_text("")
    path, record = back_up(place.root, tmp_path / "etc.yaml", to, lambda *_: None)
    told = steps(path, record)
    assert f"sudo cp -a {path} {place.root.path}" in told
    assert f"sudo cp -p {path}/settings.yaml {tmp_path}/etc.yaml" in told


@pytest.mark.parametrize("is_there", (False, True))
def test_a_restored_root_is_one(place: Place, make: MakeBackup, tmp_path: Path, *, is_there: bool) -> None:
    """All is where it was, and nothing is shared with the backup."""
    promote(place, place.job(*DONE))
    path, _ = make()
    root = tmp_path / "again"
    if is_there:
        root.mkdir()
    restore(path, root)
    assert check_state(Root(root)) == ()
    assert {str(each.relative_to(root)) for each in root.rglob("*")} == {
        str(each.relative_to(path)) for each in path.rglob("*")
    }
    assert not (root / "jobs/0006-run/merged/filtered_transformed.ckpt").samefile(
        path / "jobs/0006-run/merged/filtered_transformed.ckpt"
    )


def test_a_root_that_was_made_of_a_backup_tells_what_else_is_lost(
    place: Place, make: MakeBackup, tmp_path: Path
) -> None:
    """Only of the outputs that the backup left out nothing is said."""
    for _ in range(2):
        promote(place, place.job(*DONE))
    place.sql("UPDATE promotions SET undone = 9 WHERE id = 1")
    path, record = make()
    assert record.without_files == {"0001-run", "0006-run"}
    restore(path, tmp_path / "again")
    root = Root(tmp_path / "again")
    assert check_state(root) == ()
    (root.jobs / "0006-run/merged/manifest.json").unlink()
    (root.jobs / "0007-run/merged/filtered_transformed.ckpt").unlink()
    assert {(one.kind, one.job) for one in check_state(root)} == {(Kind.OUTPUT_PARTIAL, 6), (Kind.OUTPUT_PARTIAL, 7)}


@pytest.mark.parametrize("what", ("a file in it", "a file", "a link"))
def test_nothing_is_restored_over_something(make: MakeBackup, tmp_path: Path, what: str) -> None:
    """It stays as it is."""
    path, _ = make()
    root = tmp_path / "again"
    if what == "a file":
        root.touch()
    else:
        (tmp_path / "there").mkdir()
        root.symlink_to(tmp_path / "there") if what == "a link" else root.mkdir()
    if what == "a file in it":
        (root / "mine").touch()
    with pytest.raises(RefusedError, match="it is not empty"):
        restore(path, root)
    assert not list(tmp_path.glob(".again*"))


def test_a_backup_that_cannot_be_read_whole_is_not_restored(
    make: MakeBackup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root with a hole in it would look like one."""
    path, _ = make()

    def failing(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(RefusedError, match="nothing was restored"):
        restore(path, tmp_path / "again")
    assert not (tmp_path / "again").exists()
