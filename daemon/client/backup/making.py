"""Making a backup of a root, with the daemon at work or without one.

The store comes first and everything else after it: glmd writes files before it says so in the store, so the directories
are as new as the store or newer. A root with an older store is what glmd fixes by itself when it starts, from the
records of its jobs; a store that names files which are not there would not be fixed.
"""

import importlib.metadata
import os
import stat
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePath

from daemon.client.backup.drops import remove_those_that_went_on
from daemon.client.backup.outputs import back_up_output, links, wanted_outputs
from daemon.client.backup.records import is_record
from daemon.client.backup.tree import TreeCopy
from daemon.core.backup_record import NAME, BackedUpOutput, BackupRecord
from daemon.core.read_store import ReadStore
from daemon.core.reading import copy_as_it_is
from daemon.core.root import GROUP_READS, Root
from handlers.ckpt.files.durable import publish_symlink
from handlers.ckpt.files.whole_directory import publishing_directory, sweep
from handlers.ckpt.publishing.manifest import NAME as MANIFEST
from handlers.codes import Code
from handlers.errors import BadInputError

PREFIX = "glmd-backup-"
SETTINGS = "settings.yaml"
"""The settings file in a backup, where it did not lie in the root."""
Progress = Callable[[int, int], None]
"""Gets how many directories of jobs are copied, and of how many."""


def clear_up(to: Path) -> Iterator[Path]:
    """Remove what killed backups have left in `to`, and yield each. Raises OSError, BadInputError for no directory."""
    if not to.is_dir():
        raise BadInputError(
            f"{to}: no directory is there; make it, or check that its disk is mounted", Code.BACKUP_PLACE
        )
    yield from sweep(to, f"{PREFIX}*")


def back_up(root: Root, settings: Path | None, to: Path, progress: Progress) -> tuple[Path, BackupRecord]:
    """Make a backup in a new directory in `to`, whole or not at all; return it and what is in it.

    Raises StoreError for a store that cannot be copied, BadInputError for a place where none can lie, and OSError.
    """
    _refuse_inside(root, to)
    began = datetime.now(UTC)
    path = to / f"{PREFIX}{began:%Y%m%dT%H%M%SZ}"
    if os.path.lexists(path):
        raise BadInputError(f"{path}: another backup was made in this second; try again", Code.BACKUP_PLACE)
    with publishing_directory(path) as copy:
        record = _Making(root, copy, began).run(settings, progress)
        _make_like_the_root(copy, root.path)
    return path, record


def _refuse_inside(root: Root, to: Path) -> None:
    there = to.resolve()
    for directory in (root.inbox, root.claims, root.rejected, root.jobs, root.latest):
        if there.is_relative_to(directory.resolve()):
            raise BadInputError(
                f"{to}: it is in {directory}, which is part of the backup; name a directory elsewhere, best on another "
                "disk",
                Code.BACKUP_PLACE,
            )


def _make_like_the_root(copy: Path, root: Path) -> None:
    status = root.stat()
    if os.geteuid() == 0:
        os.chown(copy, status.st_uid, status.st_gid)
    copy.chmod(stat.S_IMODE(status.st_mode) & GROUP_READS)


class _Making:
    """One backup, which is written in `copy`."""

    def __init__(self, root: Root, copy: Path, began: datetime) -> None:
        self._root = root
        self._copy = copy
        self._began = began
        self._tree = TreeCopy(root.path, copy)

    def run(self, settings: Path | None, progress: Progress) -> BackupRecord:
        """Do all, in the order that the module's docstring and that of `drops` give the reasons for."""
        version = copy_as_it_is(self._root.store, self._store)
        for place in (self._root.inbox, self._root.claims):
            self._tree.directory(PurePath(place.name))
        with ReadStore.open(self._store) as store:
            wanted, highest = wanted_outputs(store, self._root), store.highest()
        jobs = self._jobs(progress)
        self._tree.directory(PurePath(self._root.rejected.name))
        new = (self._copy / "jobs" / name for name in jobs if _number(name) > highest)
        remove_those_that_went_on(self._root.path, self._copy, new)
        outputs = tuple(self._outputs(wanted))
        self._links()
        where = self._settings(settings)
        record = BackupRecord(
            glmd=importlib.metadata.version("glmd"),
            store_version=version,
            host=os.uname().nodename,
            root=str(self._root.path),
            store=None if self._root.kept == self._root.path else str(self._root.kept),
            began=self._began,
            ended=datetime.now(UTC),
            settings=where,
            jobs=len(jobs),
            files=self._tree.files,
            bytes=self._tree.bytes,
            outputs=outputs,
            without_files=frozenset(self._without_files(jobs, outputs)),
            left_out=tuple(self._tree.left_out),
        )
        record.publish(self._copy / NAME)
        return record

    @property
    def _store(self) -> Path:
        return self._copy / self._root.store.name

    def _jobs(self, progress: Progress) -> list[str]:
        """Copy the records of all jobs; return the names of their directories."""
        jobs = PurePath(self._root.jobs.name)
        (self._copy / jobs).mkdir(mode=0o750)
        names = sorted(name for name in os.listdir(self._root.jobs) if not name.startswith("."))  # noqa: PTH208 - of many
        for done, name in enumerate(names):
            progress(done, len(names))
            self._tree.directory(jobs / name, is_record)
        return [name for name in names if (self._copy / jobs / name).is_dir()]

    def _outputs(self, wanted: Collection[PurePath]) -> Iterator[BackedUpOutput]:
        for target in sorted(wanted):
            if (output := back_up_output(target, self._tree, self._copy)) is not None:
                yield output

    def _without_files(self, jobs: Collection[str], outputs: Collection[BackedUpOutput]) -> Iterator[str]:
        there = {output.target for output in outputs}
        for name in jobs:
            merged = PurePath(self._root.jobs.name, name, "merged")
            if str(merged) not in there and (self._copy / merged / MANIFEST).exists():
                yield name

    def _links(self) -> None:
        """Make the links in `latest/` again, so that they lead to what is in the backup."""
        latest = self._copy / self._root.latest.name
        latest.mkdir(mode=0o750)
        for link in links(self._root):
            if link.target is None:
                place = PurePath(latest.name, link.prefix)
                self._tree.leave_out(place, f"it leads out of the root, to {link.path}, which is not in the backup")
            inside = link.path if link.target is None else Path("..") / link.target
            publish_symlink(latest / link.prefix, inside)

    def _settings(self, settings: Path | None) -> str | None:
        if settings is None:
            return None
        in_root = settings.parent.resolve() == self._root.path.resolve()
        self._tree.file(PurePath(settings.name if in_root else SETTINGS), settings)
        return str(settings.absolute())


def _number(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isascii() and number.isdecimal() else 0
