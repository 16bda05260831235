"""Promises of `glmd backup`: what it takes, how, and what it leaves out."""

import errno
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from daemon.client.backup import drops, making, outputs
from daemon.client.backup.making import back_up, clear_up
from daemon.client.backup.tree import TreeCopy
from daemon.core import reading
from daemon.core.backup_record import NAME, BackupRecord
from daemon.core.database import DamagedStoreError, NewerStoreError
from daemon.core.migrations import VERSION
from daemon.core.read_store import ReadStore
from daemon.core.states import State
from handlers.errors import BadInputError
from tests.unit.daemon.client.backup.conftest import DONE, MakeBackup, Place, furnish, promote, tree
from tests.unit.daemon.core.test_migrations import build, content, schema


def test_records_and_logs_are_taken_and_saves_and_secrets_are_not(place: Place, make: MakeBackup) -> None:
    """The whole list, for one job."""
    furnish(place)
    path, _ = make()
    of_job = {name.removeprefix("jobs/0001-run/") for name in tree(path) if name.startswith("jobs/0001-run/")}
    assert of_job == {
        *("submitted.yaml", "config.yaml", "plan.json", "verdict.json", "events.jsonl"),
        *("attempts/1/train/exit.json", "attempts/1/train/steps.jsonl", "attempts/1/merge/exit.json"),
        *("attempts/1/output/log/rank_0/mindformer.log", "attempts/2/resume.json"),
        *("output/log/rank_0/mindformer.log", "output/strategy/ckpt_strategy_rank_0.ckpt"),
        *("merged/manifest.json", "merged/filtered_transformed.ckpt"),
        *(f"output/strategy/{p.name}" for p in (place.root.jobs / "0001-run/output/strategy").iterdir()),
    }  # fmt: skip


def test_the_store_is_copied_while_it_is_in_use(place: Place, make: MakeBackup) -> None:
    """With what only its log has; the copy is whole by itself, and no file appears beside either."""
    job = place.job(State.PREPARING)
    place.root.daemon.touch()
    before = {path.name for path in place.root.path.iterdir()}
    path, record = make()
    assert {path.name for path in place.root.path.iterdir()} == before
    assert not (path / "daemon.json").exists()  # it is of a process, which a restored root does not have
    with ReadStore.open(path / "glmd.db") as store:
        assert store.job(job.id).state is State.PREPARING
    assert sorted(each.name for each in path.glob("glmd.db*")) == ["glmd.db"]
    assert record.store_version == VERSION


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_store_is_copied_as_it_is(place: Place, make: MakeBackup, version: int) -> None:
    """A backup before an upgrade is for the version that is gone back to."""
    place.close()
    for path in place.root.path.glob("glmd.db*"):
        path.unlink()
    build(place.root.store, version)
    path, record = make()
    assert schema(path / "glmd.db") == schema(place.root.store)
    assert content(path / "glmd.db") == content(place.root.store)
    assert record.store_version == version


def test_a_newer_store_is_refused(place: Place, to: Path, make: MakeBackup) -> None:
    """Nobody here knows what it promotes."""
    place.sql(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(NewerStoreError):
        make()
    assert list(to.iterdir()) == []


def test_a_damaged_store_is_refused(place: Place, to: Path, make: MakeBackup) -> None:
    """A backup of it would hide the damage until it is needed."""
    place.close()
    with place.root.store.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 8192)
    with pytest.raises(DamagedStoreError):
        make()
    assert list(to.iterdir()) == []


def test_a_daemon_that_starts_under_the_copy_has_it_made_again(
    place: Place, make: MakeBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that nobody had open is read without locks, and so may be torn."""
    place.close()
    copy_to, calls = reading.copy_to, 0

    def copied(path: Path, connection: sqlite3.Connection) -> None:
        nonlocal calls
        calls += 1
        copy_to(path, connection)
        if calls == 1:
            with closing(sqlite3.connect(place.root.store)) as writer, writer:
                writer.execute("UPDATE jobs SET reason = 'late'")

    monkeypatch.setattr(reading, "copy_to", copied)
    path, _ = make()
    with ReadStore.open(path / "glmd.db") as store:
        assert {job.reason for job in store.jobs()} == {"late"}
    assert calls == 2


def test_what_latest_leads_to_has_its_files_as_hard_links(place: Place, make: MakeBackup) -> None:
    """They share their bytes; the link leads to where they are in the backup."""
    path, record = make()
    (output,) = record.outputs
    assert (output.target, output.prefix, output.linked) == ("jobs/0001-run/merged", "glm-6b", True)
    name = "jobs/0001-run/merged/filtered_transformed.ckpt"
    assert (path / name).samefile(place.root.path / name)
    assert output.bytes == (path / name).stat().st_size
    assert str((path / "latest" / "glm-6b").readlink()) == "../jobs/0001-run/merged"
    assert record.left_out == ()


@pytest.mark.parametrize("number", (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP))
def test_where_no_links_can_be_made_the_files_are_copied(
    place: Place, make: MakeBackup, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Another disk, another's files: with the time that the manifest has, and held against its hashes."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)
    path, record = make()
    (output,) = record.outputs
    name = "jobs/0001-run/merged/filtered_transformed.ckpt"
    there, copy = place.root.path / name, path / name
    assert not output.linked
    assert not copy.samefile(there)
    assert copy.read_bytes() == there.read_bytes()
    assert copy.stat().st_mtime_ns == there.stat().st_mtime_ns
    assert record.left_out == ()


def test_a_copy_that_is_not_what_was_written_is_told(
    place: Place, make: MakeBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte that a disk turned."""
    monkeypatch.setattr(TreeCopy, "link", lambda *_: False)
    name = place.root.path / "jobs/0001-run/merged/filtered_transformed.ckpt"
    content = bytearray(name.read_bytes())
    content[-1] ^= 1
    name.write_bytes(content)
    _, record = make()
    (lack,) = record.lacks
    assert "not what was written" in lack.why
    assert "filtered_transformed.ckpt" in lack.why


def test_an_output_that_is_not_whole_is_told(place: Place, make: MakeBackup) -> None:
    """The backup is made all the same: it is the best that there is."""
    (place.root.path / "jobs/0001-run/merged/filtered_transformed.ckpt").unlink()
    path, record = make()
    assert {lack.place for lack in record.lacks} == {"jobs/0001-run/merged"}
    assert (path / "jobs/0001-run/merged/manifest.json").exists()


def test_of_outputs_those_are_taken_that_something_could_go_on_from(place: Place, make: MakeBackup) -> None:
    """Latest, three to roll back to, each cycle's newest, the base of a job that waits; of others the manifest."""
    jobs = [place.job(*DONE) for _ in range(7)]
    promote(place, jobs[0], cycle="glm")
    for job in jobs[1:6]:
        promote(place, job)
    place.store.set_last_due("glm", jobs[0].submitted)
    base = place.job(*DONE)
    waits = place.job()
    place.sql("UPDATE jobs SET continues = ? WHERE id = ?", base.id, waits.id)
    place.root.latest.joinpath("glm-6b").unlink()
    place.root.latest.joinpath("glm-6b").symlink_to(place.directory(jobs[5]).merged)  # by hand, and not relative
    path, record = make()
    wanted = {jobs[0], *jobs[3:6], base}
    assert {output.target for output in record.outputs} == {f"jobs/{job.label}/merged" for job in wanted}
    assert record.without_files == {"0001-run", *(job.label for job in (jobs[1], jobs[2], jobs[6]))}
    for job in (jobs[1], jobs[6]):
        assert [each.name for each in job.directory(path).merged.iterdir()] == ["manifest.json"]
    assert str((path / "latest" / "glm-6b").readlink()) == f"../jobs/{jobs[5].label}/merged"


def test_what_was_taken_back_is_not_gone_back_to(place: Place, make: MakeBackup) -> None:
    """Of it the manifest is enough."""
    one, two = place.job(*DONE), place.job(*DONE)
    promote(place, one)
    promote(place, two)
    place.sql("UPDATE promotions SET undone = 99 WHERE job = ?", one.id)
    _, record = make()
    assert {output.target for output in record.outputs} == {f"jobs/{two.label}/merged"}


def test_an_output_that_is_about_to_be_judged_is_taken(place: Place, make: MakeBackup) -> None:
    """It could not be merged again: its shards are not in a backup."""
    job = place.job(State.PREPARING, State.TRAINING, State.MERGING)
    place.root.latest.joinpath("glm-6b").unlink()
    place.merge(job)
    place.root.latest.joinpath("glm-6b").unlink()
    _, record = make()
    assert {output.target for output in record.outputs} == {f"jobs/{job.label}/merged"}


def test_a_link_that_leads_out_of_the_root_is_told(place: Place, make: MakeBackup, tmp_path: Path) -> None:
    """It leads there still."""
    shutil.copytree(place.root.jobs / "0001-run" / "merged", tmp_path / "elsewhere")
    place.root.latest.joinpath("mine").symlink_to(tmp_path / "elsewhere")
    path, record = make()
    assert [(one.place, one.is_lack) for one in record.left_out] == [("latest/mine", False)]
    assert str((path / "latest" / "mine").readlink()) == str(tmp_path / "elsewhere")


def test_what_is_no_file_is_left_out_and_no_link_is_followed(place: Place, make: MakeBackup, tmp_path: Path) -> None:
    """A FIFO keeps nobody waiting; a link to a secret stays a link."""
    (tmp_path / "secret").write_text("secret")
    directory = place.root.jobs / "0002-run"
    os.mkfifo(directory / "fifo")
    (directory / "link").symlink_to(tmp_path / "secret")
    (place.root.jobs / "0099-elsewhere").symlink_to(tmp_path)
    path, record = make()
    assert [(one.place, one.is_lack) for one in record.left_out] == [
        ("jobs/0002-run/fifo", False),
        ("jobs/0099-elsewhere", True),
    ]
    assert (path / "jobs" / "0002-run" / "link").is_symlink()
    assert not any(
        each.read_bytes() == b"secret" for each in path.rglob("*") if each.is_file() and not each.is_symlink()
    )


def test_what_cannot_be_read_is_a_lack(place: Place, make: MakeBackup, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector under one file: the rest is taken."""
    (place.root.jobs / "0002-run" / "bad").write_text("x")
    pread = os.pread

    def failing(descriptor: int, count: int, offset: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "bad":
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", failing)
    path, record = make()
    assert [lack.place for lack in record.lacks] == ["jobs/0002-run/bad"]
    assert not (path / "jobs/0002-run/bad").exists()
    assert (path / "jobs/0002-run/submitted.yaml").exists()


def test_a_shortage_of_the_host_ends_it(to: Path, make: MakeBackup, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptors left is nothing about a file: a backup without all that came then would be none."""

    def failing(*_: object) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(OSError, match="Too many"):
        make()
    assert list(to.iterdir()) == []


def test_a_directory_that_vanishes_while_it_is_copied_is_told(
    place: Place, make: MakeBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody removes a job that is over; the others are there."""
    names, gone = os.listdir, place.root.jobs / "0002-run"

    def listed(path: Path) -> list[str]:
        found = names(path)
        if path == place.root.jobs:
            shutil.rmtree(gone)
        return found

    monkeypatch.setattr(making.os, "listdir", listed)
    path, record = make()
    assert [(one.place, one.is_lack) for one in record.left_out] == [("jobs/0002-run", False)]
    assert record.jobs == len(list((path / "jobs").iterdir()))


def test_trash_and_what_else_begins_with_a_dot_is_no_job(place: Place, make: MakeBackup) -> None:
    """jobs/.trash holds what is being removed."""
    (place.root.jobs / ".trash" / "0001-run").mkdir(parents=True)
    path, _ = make()
    assert not (path / "jobs" / ".trash").exists()


def test_what_waits_is_taken(place: Place, make: MakeBackup) -> None:
    """Drops, claims and rejected files with their reasons."""
    (place.root.inbox / "night.yaml").write_text("waits")
    claim = place.claim("run.yaml")
    path, _ = make()
    assert (path / "inbox" / "night.yaml").read_text() == "waits"
    assert (path / "claims" / claim.token / "run.yaml").read_text() == "dropped"
    assert {each.name for each in (path / "rejected").iterdir()} == {"bad.yaml", "bad.yaml.reason.txt"}


@pytest.mark.parametrize("end", ("a job", "a claim", "rejected", "nowhere"))
def test_a_drop_that_goes_on_meanwhile_is_taken_once(
    place: Place, make: MakeBackup, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Seen in the inbox and behind it, it would be run twice; seen in neither, it would be lost."""
    dropped = place.root.inbox / "night.yaml"
    dropped.write_text("a night of its own")
    copied = TreeCopy.directory

    def goes_on(self: TreeCopy, place_: Path, *wanted: object) -> None:
        copied(self, place_, *wanted)  # type: ignore[arg-type]
        if str(place_) != {"a job": "claims", "rejected": "claims"}.get(end, "inbox") or not dropped.exists():
            return
        if end == "a job":
            job = place.job()
            dropped.rename(place.directory(job).submitted)
        elif end == "a claim":
            (place.root.claims / "0123456789abcdef").mkdir()
            dropped.rename(place.root.claims / "0123456789abcdef" / "night.yaml")
        elif end == "rejected":
            dropped.rename(place.root.rejected / "night.yaml")
        else:
            dropped.unlink()

    monkeypatch.setattr(TreeCopy, "directory", goes_on)
    path, _ = make()
    monkeypatch.undo()
    found = [each for each in path.rglob("*") if each.is_file() and each.read_bytes() == b"a night of its own"]
    assert len(found) == 1


def test_modes_and_times_are_those_of_the_root(place: Place, make: MakeBackup) -> None:
    """So that `cp -a` of a backup is a root that glmd takes."""
    path, _ = make()
    for name in ("inbox", "jobs/0001-run/submitted.yaml", "rejected", "claims", "."):
        there, copy = (place.root.path / name).stat(), (path / name).stat()
        assert stat.S_IMODE(copy.st_mode) == stat.S_IMODE(there.st_mode), name
        assert (copy.st_uid, copy.st_gid) == (there.st_uid, there.st_gid)
    assert (path / "jobs/0001-run/plan.json").stat().st_mtime_ns == (
        place.root.jobs / "0001-run/plan.json"
    ).stat().st_mtime_ns


@pytest.mark.parametrize("where", ("in the root", "elsewhere", "nowhere"))
def test_the_settings_are_taken_as_they_were_read(place: Place, to: Path, tmp_path: Path, where: str) -> None:
    """Under their name from the root; else under one that no glmd reads by itself."""
    file = {"in the root": place.root.path / "glmd.yaml", "elsewhere": tmp_path / "glmd.yaml"}.get(where)
    if file is not None:
        file.write_text("devices: [0,8)  # a comment\n")
    path, record = back_up(place.root, file, to, lambda *_: None)
    assert record.settings == (str(file) if file else None)
    if file is not None:
        copy = path / ("glmd.yaml" if where == "in the root" else "settings.yaml")
        assert copy.read_text() == file.read_text()


def test_backup_json_says_what_is_there(place: Place, make: MakeBackup) -> None:
    """Counts are of what lies there."""
    path, record = make()
    assert BackupRecord.read(path / NAME) == record
    files = [each for each in path.rglob("*") if each.is_file() and not each.is_symlink()]
    assert record.files == len(files) - 2, "all but backup.json and the store"
    assert record.jobs == 4
    assert record.root == str(place.root.path)


@pytest.mark.parametrize("inside", ("jobs", "jobs/0001-run", "inbox", "claims", "latest", "rejected"))
def test_a_place_that_is_backed_up_itself_is_refused(place: Place, inside: str) -> None:
    """It would hold itself."""
    with pytest.raises(BadInputError, match="which is part of the backup"):
        back_up(place.root, None, place.root.path / inside, lambda *_: None)


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Its disk may not be mounted."""
    with pytest.raises(BadInputError, match="no directory is there"):
        list(clear_up(tmp_path / "nowhere"))


def test_what_a_killed_backup_left_is_removed_by_the_next(place: Place, to: Path, make: MakeBackup) -> None:
    """The hard links in it, and not what they are links of."""
    path, _ = make()
    left = to / f".{path.name}.01234567.tmp"
    path.rename(left)
    (left / ".lock").touch()
    assert list(clear_up(to)) == [left]
    assert list(to.iterdir()) == []
    assert (place.root.path / "jobs/0001-run/merged/filtered_transformed.ckpt").exists()


def test_the_bounds_are_what_the_docs_say() -> None:
    """Three to go back to; a dropped file is at most a MiB."""
    assert outputs.ROLLBACKS == 3
    assert drops._MOST == 1 << 20
