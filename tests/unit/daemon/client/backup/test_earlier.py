"""A root of any version before: backed up, upgraded, gone back to, and restored; nothing of it is lost."""

import shutil
from pathlib import Path

import pytest

from daemon.client.backup.checking import check
from daemon.client.backup.making import back_up
from daemon.client.backup.restoring import restore
from daemon.core.migrations import VERSION
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.store import Store
from handlers.merging import merge
from handlers.merging.latest import lead
from handlers.records.merge_plan import MergePlan
from tests.unit.daemon.core.test_migrations import build, content, schema
from tests.unit.handlers.ckpt.ckpt_writer import small_run


def old_root(path: Path, version: int) -> Root:
    """Make a root over a store of that version, with a directory for each job, and one output that is latest."""
    root = Root(path)
    root.create()
    build(root.store, version)
    with ReadStore.open(root.store) as store:
        jobs = store.jobs()
    for job in jobs:
        if job.state is not State.REJECTED:
            job.directory(path).path.mkdir()
            job.directory(path).submitted.write_text(f"the file of {job.label}")
    done = next(job for job in jobs if job.state is State.DONE).directory(path)
    run = small_run(done.output).write()
    merge.run(MergePlan(source=run.source, destination=done.merged))
    lead(root.latest / run.prefix, done.merged)
    return root


@pytest.mark.parametrize("version", range(1, VERSION))
def test_nothing_of_an_earlier_root_is_lost(tmp_path: Path, version: int) -> None:
    """By the upgrade, by going back with the copy beside the store, and by going back with the backup."""
    root = old_root(tmp_path / "root", version)
    build(tmp_path / "as_it_was.db", version)
    was = content(tmp_path / "as_it_was.db")
    files = {str(path.relative_to(root.path)) for path in root.jobs.rglob("*") if "checkpoint" not in path.parts}
    (tmp_path / "to").mkdir()
    backup, record = back_up(root, None, tmp_path / "to", lambda *_: None)
    assert (record.store_version, record.lacks) == (version, ())
    assert [output.target.rpartition("/")[2] for output in record.outputs] == ["merged"]
    assert not any("cannot be read" in problem or "latest" in problem for problem in check(backup, deep=True).problems)

    Store.open(root.store).close()  # the upgrade
    assert schema(root.store)[0] == VERSION
    assert content(root.store, like=tmp_path / "as_it_was.db") == was

    (root.path / "newer").mkdir()
    root.store.rename(root.path / "newer" / "glmd.db")
    shutil.copy2(root.path / "glmd.db.1", root.store)
    assert (schema(root.store), content(root.store)) == (schema(tmp_path / "as_it_was.db"), was)

    restore(backup, tmp_path / "again")
    again = Root(tmp_path / "again")
    assert (schema(again.store), content(again.store)) == (schema(tmp_path / "as_it_was.db"), was)
    assert {str(path.relative_to(again.path)) for path in again.jobs.rglob("*")} == files
    assert (again.latest / "glm-6b" / "manifest.json").is_file()
    Store.open(again.store).close()
    assert content(again.store, like=tmp_path / "as_it_was.db") == was
