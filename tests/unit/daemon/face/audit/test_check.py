"""Promises of daemon.face.audit: each kind of disagreement is found, and nothing where all is well."""

import contextlib
import json
import os
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.core.database import NewerStoreError
from daemon.core.presence import Presence
from daemon.core.promotions import Kind as PromotionKind
from daemon.core.promotions import Promotion
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import NewJob, StoreError
from daemon.face.audit import Kind, check, check_state, jobs
from daemon.face.audit.check import PATIENCE
from daemon.face.audit.ledger import read_ledger
from daemon.face.audit.place_rules import place_disagreements
from handlers.ckpt.files.durable import publish_symlink
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir
from handlers.records.step_exit import Outcome, Survivor
from tests.unit.daemon.commands.conftest import Site
from tests.unit.daemon.face.audit.conftest import DONE, NOW, Place

TRAINING = (State.PREPARING, State.TRAINING)
MERGING = (*TRAINING, State.MERGING)


def done(place: Place) -> Job:
    """Return the job that is done."""
    return place.store.job(1)


def test_all_is_well(place: Place) -> None:
    """Jobs done, failed, queued and rejected, of drops and trees, with what each leaves."""
    assert check_state(place.root) == ()


def test_it_only_reads(place: Place) -> None:
    """Not a byte of the root is changed, and no file appears beside those that SQLite needs for reading."""
    place.close()
    before = contents(place.root.path)
    check_state(place.root)
    assert contents(place.root.path) == before


def contents(root: Path) -> dict[str, bytes]:
    """Return every file."""
    names = {path: path for path in root.rglob("*") if path.is_file() and not path.name.startswith("glmd.db-")}
    return {str(path): path.read_bytes() for path in names}


def test_the_record_of_a_training_is_well(place: Place) -> None:
    """Whole or cut off: no state is told by it."""
    step = place.directory(done(place)).step(1, Step.TRAIN).path
    (step / "steps.jsonl").write_text('{"format":1')
    (step / "events.out.tfevents.1795875499.npu01.glmd").write_bytes(b"x")
    assert check_state(place.root) == ()


@pytest.mark.parametrize("state", (State.PREPARING, State.TRAINING, State.MERGING))
def test_a_step_that_a_shim_runs_is_well(place: Place, state: State) -> None:
    """A job at work has its locks, its plan and a living shim."""
    job = place.job(*MERGING[: MERGING.index(state) + 1])
    if state is not State.PREPARING:
        place.run_shim(job, Step.TRAIN if state is State.TRAINING else Step.MERGE)
    assert place.kinds() == set()


def test_a_job_that_is_over_may_be_removed(place: Place) -> None:
    """As docs/operations.md says, but for the one that `latest` leads to."""
    shutil.rmtree(place.directory(place.store.job(2)).path)
    assert place.kinds() == set()


# The store's rows


def test_a_row_that_makes_no_sense(place: Place) -> None:
    """An unknown state is named, and its job's directory is not taken for nobody's."""
    place.sql("UPDATE jobs SET state = 'asleep' WHERE id = 2")
    (found,) = check_state(place.root)
    assert (found.kind, found.job) == (Kind.UNREADABLE, 2)
    assert "asleep" in found.what


def test_a_damaged_store(place: Place) -> None:
    """SQLite's own words, and what to do."""
    place.close()
    with place.root.store.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 8192)
    (found,) = check_state(place.root)
    assert (found.kind, found.where) == (Kind.UNREADABLE, place.root.store)


def test_a_store_that_cannot_be_opened_now_is_not_called_damaged(place: Place) -> None:
    """What may pass must not lead an operator to move the store away."""
    place.close()
    for name in ("glmd.db-wal", "glmd.db-shm"):
        (place.root.path / name).unlink(missing_ok=True)
    place.root.store.unlink()
    place.root.store.mkdir()  # SQLITE_CANTOPEN, as without permission or descriptors
    with pytest.raises(StoreError, match="cannot be read now"):
        check_state(place.root)


def test_no_store_at_all(tmp_path: Path) -> None:
    """Nothing can be said of a root that glmd was never started with."""
    with pytest.raises(StoreError):
        check_state(Root(tmp_path))


@pytest.mark.parametrize(
    ("statement", "says"),
    (
        ("DELETE FROM transitions WHERE job = 2", "history has no transition"),
        ("DELETE FROM transitions WHERE job = 1 AND state = 'preparing'", "from queued to training"),
        ("DELETE FROM transitions WHERE job = 1 AND state = 'queued'", "begins with preparing"),
        ("UPDATE transitions SET attempt = 3 WHERE job = 1 AND state = 'merging'", "from attempt 1 to 3"),
        ("UPDATE jobs SET attempt = 2 WHERE id = 2", "attempt 2"),
        ("UPDATE transitions SET state = 'cancelled' WHERE job = 2 AND state = 'failed'", "ends with cancelled"),
    ),
)  # fmt: skip
def test_a_history_that_cannot_be(place: Place, statement: str, says: str) -> None:
    """It is missing, has a way that the table has not, or ends elsewhere."""
    place.sql(statement)
    found = [one for one in check_state(place.root) if one.kind is Kind.HISTORY]
    assert len(found) == 1
    assert says in found[0].what


def test_a_lock_of_a_job_that_is_over(place: Place) -> None:
    """The device would be lost."""
    place.sql("INSERT INTO device_locks VALUES (5, 2)")
    assert place.kinds() == {Kind.DEVICE_LOCK_LEFT}


def test_devices_that_wait_for_an_operator_stay_locked(place: Place) -> None:
    """What could not be killed is still on them."""
    job = place.job(*TRAINING)
    place.end(job, Step.TRAIN, Outcome.FAILED)
    path = place.directory(job).step(1, Step.TRAIN).exit
    survivor = Survivor(pid=1, start_time=1, boot_id="b", name="python", state="D", rank=0, device=0)
    record = path.read_text().replace('"survivors": []', f'"survivors": [{survivor.model_dump_json()}]')
    path.write_text(record)
    place.store.move(job, State.FAILED)
    place.sql("INSERT INTO device_locks VALUES (0, ?)", job.id)
    assert place.kinds() == set()


def test_a_job_without_its_locks(place: Place) -> None:
    """Another one could get its devices."""
    job = place.job(*TRAINING)
    place.run_shim(job, Step.TRAIN)
    place.sql("DELETE FROM device_locks WHERE device = 1")
    (found,) = check_state(place.root)
    assert (found.kind, found.job) == (Kind.DEVICE_NOT_LOCKED, job.id)


def test_two_jobs_of_one_claim(place: Place) -> None:
    """Which only a table without its constraint can hold."""
    place.close()
    with contextlib.closing(sqlite3.connect(place.root.store)) as connection, connection:
        (schema,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'jobs'").fetchone()
        connection.execute("ALTER TABLE jobs RENAME TO old")
        connection.execute(schema.replace(" UNIQUE", ""))
        connection.execute("INSERT INTO jobs SELECT * FROM old")
        connection.execute("DROP TABLE old")
        connection.execute("UPDATE jobs SET claim = 'claim0' WHERE id = 2")
    assert place.kinds() == {Kind.CLAIM_OF_TWO_JOBS}


def test_the_same_bytes_taken_twice(place: Place) -> None:
    """The second job was added while the first one was queued; afterwards both may be over."""
    first, second = place.job(digest="same", devices=(2,)), place.job(digest="same", devices=(3,))
    place.store.move(first, State.CANCELLED)
    (found,) = check_state(place.root)
    assert (found.kind, found.job) == (Kind.CLAIMED_TWICE, second.id)


def test_many_jobs_are_looked_at_by_several_processes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """They find what one would, and the progress gets on."""
    place.sql("DELETE FROM transitions WHERE job = 2")
    (place.directory(done(place)).path / "config.yaml").unlink()
    alone = check_state(place.root)
    monkeypatch.setattr(jobs, "ALONE", 0)
    monkeypatch.setattr(jobs, "CHUNK", 2)
    told: list[tuple[int, int]] = []
    assert check_state(place.root, progress=lambda *so_far: told.append(so_far)) == alone
    assert {one.kind for one in alone} == {Kind.HISTORY, Kind.FILE_MISSING}
    assert told == [(0, 5), (2, 5), (4, 5)]


def test_the_work_for_a_job_is_that_of_its_own_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its directories is listed once, each record read once, and none of the output's parameters."""
    listed: Counter[str] = Counter()
    opened: Counter[str] = Counter()
    listdir, opens = os.listdir, os.open
    monkeypatch.setattr(os, "listdir", lambda path: listed.update([str(path)]) or listdir(path))
    monkeypatch.setattr(os, "open", lambda path, *how: opened.update([str(path)]) or opens(path, *how))
    assert check_state(place.root) == ()
    own = f"{place.directory(done(place)).path}/"
    assert {path: count for path, count in listed.items() if path.startswith(own) and count > 1} == {}
    assert {path: count for path, count in opened.items() if path.startswith(own) and count > 1} == {}
    assert not any("output" in path for path in (*listed, *opened))


def test_what_was_found_is_looked_at_again_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a daemon runs, a second look costs the work of what was wrong, not that of all jobs."""
    shutil.rmtree(place.directory(queued := place.job()).path)
    monkeypatch.setattr(check, "presence", lambda _: Presence.ANSWERS)
    looked: list[int] = []
    rows_of = jobs.job_disagreements
    monkeypatch.setattr(
        jobs, "job_disagreements", lambda row, *others: looked.append(row.job.id) or rows_of(row, *others)
    )
    assert [one.job for one in check_state(place.root, patience=0.4)] == [queued.id]
    assert looked[:6] == [1, 2, 3, 4, 5, 6]
    assert set(looked[6:]) == {queued.id}


# Directories


def test_a_job_without_directory(place: Place) -> None:
    """A queued job's is needed."""
    job = place.job()
    shutil.rmtree(place.directory(job).path)
    assert place.kinds() == {Kind.JOB_WITHOUT_DIRECTORY}


def test_a_directory_without_job(place: Place) -> None:
    """Of an unknown number, or of a known one with another name."""
    (place.root.jobs / "0099-run").mkdir()
    (place.root.jobs / "0001-walk").mkdir()
    found = check_state(place.root)
    assert {(one.kind, one.job) for one in found} == {(Kind.DIRECTORY_WITHOUT_JOB, number) for number in (1, 99)}


@pytest.mark.parametrize(
    ("ways", "name"),
    (
        ((), "submitted.yaml"),
        ((), "config.yaml"),
        ((State.PREPARING,), "config.yaml"),
        (TRAINING, "plan.json"),
        (DONE, "plan.json"),
    ),
)
def test_a_file_that_the_state_speaks_of(place: Place, ways: tuple[State, ...], name: str) -> None:
    """submitted.yaml and config.yaml since it is queued, plan.json since it trains."""
    job = place.job(*ways)
    place.run_shim(job, Step.TRAIN, living=job.state is State.TRAINING)
    (place.directory(job).path / name).unlink()
    (found,) = check_state(place.root)
    assert (found.kind, found.job, found.where.name) == (Kind.FILE_MISSING, job.id, name)


def test_a_trees_job_without_its_plan(place: Place) -> None:
    """It has no dropped file, so the plan is all it is."""
    tree = place.store.newest_named("fullft")
    assert tree is not None
    place.directory(tree).plan.unlink()
    assert place.kinds() == {Kind.FILE_MISSING}


def test_the_store_of_an_older_daemon(place: Place) -> None:
    """Of another schema, as between an upgrade and the restart: what it was made of is read from each claim."""
    for later in ("results", "nightly_runs", "promotions", "prunings", "retention", "notices"):
        place.sql(f"DROP TABLE {later}")
    place.sql("DROP INDEX jobs_by_cycle")
    of_jobs = (("jobs", column) for column in ("source", "code", "cycle", "continues", "nodes", "ranks"))
    for table, column in (*of_jobs, ("transitions", "code"), ("nightly", "timezone"), ("nightly", "since")):
        place.sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    place.sql("PRAGMA user_version=3")
    assert place.kinds() == set()


def test_the_copy_of_a_store_of_before(place: Place) -> None:
    """It is glmd's own, and nothing is wrong with it."""
    shutil.copy(place.root.store, place.root.path / "glmd.db.1")
    assert place.kinds() == set()


def test_the_store_of_a_newer_glmd(place: Place) -> None:
    """It is neither damaged nor read by guessing."""
    place.sql("PRAGMA user_version=99")
    with pytest.raises(NewerStoreError, match="version 99"):
        check_state(place.root)


# Claims and rejected files


def test_a_claim_that_is_left(place: Place) -> None:
    """No job and not rejected, or a job the directory of which is still being filled."""
    claim = place.claim("run.yaml")
    assert place.kinds() == {Kind.CLAIM_LEFT}
    job = place.store.add(NewJob(claim.token, "run"))
    (found,) = check_state(place.root)
    assert (found.kind, found.job) == (Kind.CLAIM_LEFT, job.id)


def test_a_claim_that_goes_while_it_is_looked_at(place: Place) -> None:
    """The daemon finishes it in that very moment."""
    claim = place.claim("run.yaml")
    with read_ledger(place.root.store) as ledger:
        looking = place_disagreements(ledger, place.root)
        assert next(looking).kind is Kind.CLAIM_LEFT
        shutil.rmtree(claim.path.parent)
        assert list(looking) == []


def test_a_file_in_two_claims(place: Place) -> None:
    """The same inode under two tokens."""
    claim = place.claim("run.yaml")
    other = place.root.claims / "fedcba9876543210"
    other.mkdir()
    os.link(claim.path, other / "run.yaml")
    assert place.kinds() == {Kind.CLAIM_LEFT, Kind.CLAIMED_TWICE}


def test_a_rejected_file_without_reason_and_the_reverse(place: Place) -> None:
    """Each alone; a rejected file that is named like a reason has its own."""
    place.reject("odd.reason.txt")
    assert place.kinds() == set()
    (place.root.rejected / "bad.yaml.reason.txt").unlink()
    assert place.kinds() == {Kind.REJECTED_WITHOUT_REASON}
    (place.root.rejected / "bad.yaml").rename(place.root.rejected / "gone.yaml.reason.txt")
    assert place.kinds() == {Kind.REASON_WITHOUT_FILE}


# Steps


@pytest.mark.parametrize("shim", ("none", "dead"))
@pytest.mark.parametrize("ways", (TRAINING, MERGING))
def test_a_step_that_nobody_runs(place: Place, ways: tuple[State, ...], shim: str) -> None:
    """No shim was ever there, or it is gone without exit.json."""
    job = place.job(*ways)
    if shim == "dead":
        place.run_shim(job, Step.TRAIN if ways is TRAINING else Step.MERGE, living=False)
    (found,) = check_state(place.root)
    assert (found.kind, found.job) == (Kind.NO_SHIM, job.id)


def test_a_merge_that_slurm_has(place: Place) -> None:
    """No process of it is here, and what it has written so far has no manifest yet."""
    job = place.job(*MERGING)
    NodesDir(place.directory(job).step(1, Step.MERGE)).lay_out(0)
    (place.directory(job).merged / ".merging").mkdir(parents=True)
    assert check_state(place.root) == ()


@pytest.mark.parametrize("ways", ((), (State.PREPARING, State.FAILED), MERGING))
def test_a_shim_that_runs_what_is_over(place: Place, ways: tuple[State, ...]) -> None:
    """It trains for a job that does not train."""
    job = place.job(*ways)
    if ways is MERGING:
        place.run_shim(job, Step.MERGE)
    place.run_shim(job, Step.TRAIN)
    (found,) = check_state(place.root)
    assert (found.kind, found.job) == (Kind.STRAY_SHIM, job.id)
    assert str(os.getpid()) in found.what


def test_an_end_that_the_state_has_not_followed(place: Place) -> None:
    """exit.json is there, and the job trains on."""
    place.end(place.job(*TRAINING), Step.TRAIN)
    assert place.kinds() == {Kind.EXIT_CONTRADICTS}


def test_an_end_that_the_state_denies(place: Place) -> None:
    """The merge completed and the job failed; it did not and the job is done; it merges, and nothing was trained."""
    failed = place.job(*MERGING)
    place.end(failed, Step.MERGE)
    place.store.move(failed, State.FAILED)
    place.end(done(place), Step.MERGE, Outcome.FAILED)
    merging = place.job(*MERGING)
    place.directory(merging).step(1, Step.TRAIN).exit.unlink()
    place.run_shim(merging, Step.MERGE)
    found = check_state(place.root)
    assert {(one.kind, one.job) for one in found} == {
        (Kind.EXIT_CONTRADICTS, job) for job in (failed.id, 1, merging.id)
    }


def test_an_end_of_a_job_whose_directory_was_removed(place: Place) -> None:
    """Its shim has made what it needs of it anew: the job failed for that, and nothing is there to be retried."""
    job = place.job(*TRAINING)
    place.end(job, Step.TRAIN)
    place.store.move(job, State.FAILED)
    assert place.kinds() == {Kind.EXIT_CONTRADICTS}
    for path in (place.directory(job).submitted, place.directory(job).plan):
        path.unlink()
    assert place.kinds() == set()


def test_a_training_that_failed_after_its_last_save_may_be_merged(place: Place) -> None:
    """All is trained that was to be."""
    job = place.job(*MERGING)
    place.end(job, Step.TRAIN, Outcome.FAILED)
    place.run_shim(job, Step.MERGE)
    assert place.kinds() == set()


def test_a_retry_under_an_older_store_passes_over_what_that_had_forgotten(place: Place) -> None:
    """Its attempt is none that the directory knows."""
    job = place.store.move(place.job(State.PREPARING, State.TRAINING, State.FAILED), State.QUEUED, attempt=3)
    assert job.attempt == 3
    assert place.kinds() == set()


def test_records_of_an_attempt_that_the_store_has_not_made(place: Place) -> None:
    """The store came from an older backup."""
    (place.directory(done(place)).path / "attempts" / "2" / "train").mkdir(parents=True)
    assert place.kinds() == {Kind.EXIT_CONTRADICTS}


@pytest.mark.parametrize(
    "name", ("plan.json", "inputs.json", "attempts/1/train/exit.json", "attempts/1/train/shim.json")
)
def test_a_record_that_cannot_be_read(place: Place, name: str) -> None:
    """It is named with what is wrong in it."""
    job = place.job(*TRAINING)
    place.run_shim(job, Step.TRAIN)
    place.end(job, Step.TRAIN)
    place.store.move(job, State.FAILED)  # so that nothing else is said of its end than that it cannot be read
    (place.directory(job).path / name).write_text("{}")
    found = [one for one in check_state(place.root) if one.kind is Kind.UNREADABLE]
    assert [one.where for one in found] == [place.directory(job).path / name]


@pytest.mark.parametrize("content", (b"", b"{}", b'{"job": 1, "name": "run", "merge": ', b"\xff" * 100))
def test_the_plan_of_a_job_that_is_done(place: Place, content: bytes) -> None:
    """It is named where it says nothing, though nothing is to be retried; an older or newer one's keys are its own."""
    plan = place.directory(job := done(place)).plan
    told = json.loads(plan.read_bytes())
    plan.write_text(json.dumps({**told, "of another version": 1}))
    assert place.kinds() == set()
    plan.write_bytes(content)
    (found,) = check_state(place.root)
    assert (found.kind, found.job, found.where) == (Kind.UNREADABLE, job.id, plan)
    assert "retry" not in found.repair


# Outputs


def test_an_output_without_manifest(place: Place) -> None:
    """Files under final names that nothing vouches for, of a job that is done or is not."""
    manifest = place.directory(done(place)).merged / "manifest.json"
    content = manifest.read_bytes()
    manifest.unlink()
    assert place.kinds() == {Kind.OUTPUT_PARTIAL, Kind.LATEST}
    manifest.write_bytes(content)
    failed = place.job(State.PREPARING, State.FAILED)
    place.directory(failed).merged.mkdir()
    assert place.kinds() == set()
    (place.directory(failed).merged / "filtered_transformed.ckpt").touch()
    assert place.kinds() == {Kind.OUTPUT_PARTIAL}


def test_a_published_file_that_changed_or_went(place: Place) -> None:
    """By size, by time, or gone; not by inode, for a root may come from a backup."""
    path = place.directory(done(place)).merged / "filtered_transformed.ckpt"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").rename(path)
    assert place.kinds() == set()
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    assert place.kinds() == {Kind.OUTPUT_CHANGED}
    os.truncate(path, 10)
    os.utime(path, ns=times)
    assert place.kinds() == {Kind.OUTPUT_CHANGED}
    path.unlink()
    assert place.kinds() == {Kind.OUTPUT_PARTIAL}


def test_a_manifest_that_cannot_be_read(place: Place) -> None:
    """Nothing is known of the output then."""
    path = place.directory(done(place)).merged / "manifest.json"
    path.unlink()
    path.write_text("{}")
    assert Kind.UNREADABLE in place.kinds()


def test_a_merge_that_was_killed(place: Place) -> None:
    """Its hidden directory stays, unless a shim is at it."""
    job = place.job(*MERGING)
    staging = place.directory(job).merged / ".merging"
    staging.mkdir(parents=True)
    place.run_shim(job, Step.MERGE)
    assert place.kinds() == set()
    place.run_shim(job, Step.MERGE, living=False)
    assert place.kinds() == {Kind.NO_SHIM, Kind.TEMPORARY_LEFT}


@pytest.mark.parametrize(
    "name", ("jobs/0001-run/.plan.json.1a2b3c4d.tmp", "jobs/0001-run/attempts/1/train/.exit.json.1a2b3c4d.tmp",
             "jobs/0001-run/attempts/1/train/.steps.jsonl.1a2b3c4d.tmp",
             "latest/.glm-6b.1a2b3c4d.tmp", "rejected/.bad.yaml.reason.txt.1a2b3c4d.tmp",
             ".glmd.db.1.1a2b3c4d.tmp", ".glmd.db.1a2b3c4d.tmp", ".daemon.json.1a2b3c4d.tmp")
)  # fmt: skip
def test_what_was_being_written(place: Place, name: str) -> None:
    """A temporary name whose writer is dead."""
    (place.root.path / name).touch()
    (found,) = check_state(place.root)
    assert (found.kind, found.where) == (Kind.TEMPORARY_LEFT, place.root.path / name)


@pytest.mark.parametrize("target", ("../jobs/0009-gone/merged", "../jobs/0001-run/output"))
def test_a_link_to_no_output(place: Place, target: str) -> None:
    """It dangles, or leads where no merge was finished."""
    publish_symlink(place.root.latest / "glm-6b", Path(target))
    assert place.kinds() == {Kind.LATEST}


def test_a_link_of_another_prefix(place: Place) -> None:
    """A nightly cycle would go on from the wrong model; so would it from what is no link at all."""
    (place.root.latest / "glm-6b").rename(place.root.latest / "llama")
    assert place.kinds() == {Kind.LATEST}
    (place.root.latest / "llama").unlink()
    (place.root.latest / "llama").mkdir()
    assert place.kinds() == {Kind.LATEST}


def promoted(place: Place, *, cycle: str = "", followed: bool = True) -> Promotion:
    """Let the store say that job 1 was promoted, to which the link leads."""
    job = place.store.job(1)
    row = replace(Promotion.of(job), prefix="glm-6b", cycle=cycle, followed=followed)
    place.store.promote(row)
    return row


def test_a_link_that_is_not_where_the_store_says(place: Place) -> None:
    """Set by hand or left by a crash while nothing runs, which the next start tells apart; or not there."""
    row = promoted(place)
    assert place.kinds() == set()
    place.store.promote(replace(row, target="jobs/0002-run/merged", job=2, followed=False))
    assert place.kinds() == {Kind.LATEST}
    (place.root.latest / "glm-6b").unlink()
    assert place.kinds() == {Kind.LATEST}
    place.store.promote(Promotion("glm-6b", PromotionKind.REMOVED, "", row.at, followed=True))
    assert place.kinds() == set()


def test_what_a_night_is_to_go_on_from_is_gone(place: Place) -> None:
    """Of a cycle that there is; of one that was taken out nobody needs it."""
    row = promoted(place, cycle="glm")
    place.store.promote(replace(row, prefix="llama", target="jobs/0009-gone/merged"))
    (place.root.latest / "llama").symlink_to("../jobs/0009-gone/merged")
    assert place.kinds() == {Kind.LATEST}
    place.store.set_last_due("glm", row.at)
    assert place.kinds() == {Kind.LATEST, Kind.PROMOTION}


def test_a_promotion_of_a_job_that_the_store_does_not_know(place: Place) -> None:
    """It is of another copy of the store."""
    row = promoted(place)
    place.store.promote(replace(row, job=77))
    assert place.kinds() == {Kind.PROMOTION}


# In motion


def test_what_a_running_daemon_puts_right_is_not_said(tmp_path: Path) -> None:
    """A claim that it is about to take up; one that it cannot take up is said all the same."""
    site = Site(tmp_path / "root")
    (site.root.rejected / ".bad.yaml.reason.txt.1a2b3c4d.tmp").touch()  # a start removes it
    with site.daemon(GLMD_INBOX__SETTLE="0.1s", GLMD_INBOX__RESCAN="1s"):
        for number in range(20):
            (site.root.inbox / f"{number}.yaml").write_text("no: training\n")
        assert check_state(site.root, patience=60) == ()
        odd = site.root.claims / "not a directory"
        odd.touch()
        assert [one.where for one in check_state(site.root, patience=0.5)] == [odd]


def test_its_patience_outlasts_the_daemons_own() -> None:
    """A shim's death is acted on a moment later, when the cause may be known."""
    from daemon.serve.jobs.after_step import DEATH_ALLOWANCE  # noqa: PLC0415 - beside what it is compared with

    assert PATIENCE > DEATH_ALLOWANCE


def evaluating(place: Place, *ways: State) -> Job:
    """Return a job that was merged, and is or was evaluated."""
    job = place.job(*MERGING)
    place.merge(job)
    place.end(job, Step.MERGE)
    for way in (State.EVALUATING, *ways):
        job = place.store.move(job, way)
    return job


@pytest.mark.parametrize("outcome", (Outcome.COMPLETED, Outcome.FAILED, Outcome.TIMED_OUT))
def test_a_job_is_done_whatever_its_evaluation_came_to(place: Place, outcome: Outcome) -> None:
    """Or it was cancelled, at whatever moment; but one is done only when the evaluation has ended."""
    job = evaluating(place)
    place.end(job, Step.EVALUATE, outcome)
    place.store.move(job, State.DONE)
    assert check_state(place.root) == ()


def test_an_evaluation_that_has_not_ended_made_no_job_done(place: Place) -> None:
    """Nobody judged the output."""
    evaluating(place, State.DONE)
    assert [one.kind for one in check_state(place.root)] == [Kind.EXIT_CONTRADICTS]


def test_a_cancelled_evaluation_and_one_that_nobody_does(place: Place) -> None:
    """A cancel may come when it has just ended; with the daemon down, one that waits is named."""
    place.end(evaluating(place, State.CANCELLED), Step.EVALUATE)
    assert check_state(place.root) == ()
    job = evaluating(place)
    place.store.take_devices(replace(job, devices=(4,)))
    assert [one.kind for one in check_state(place.root)] == [Kind.NO_SHIM]
    place.run_shim(job, Step.EVALUATE)
    assert check_state(place.root) == ()
