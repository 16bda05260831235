"""Making a root of a backup: a copy, which shares nothing with it."""

import os
from pathlib import Path, PurePath

from daemon.client.backup.checking import read_record
from daemon.client.backup.tree import TreeCopy
from daemon.core.backup_record import BackupRecord
from daemon.core.presence import Presence, presence
from handlers.ckpt.files.whole_directory import LOCK, publishing_directory
from handlers.codes import Code
from handlers.errors import RefusedError


def restore(backup: Path, root: Path) -> BackupRecord:
    """Copy `backup` to the empty or absent directory `root`, whole or not at all.

    Raises RefusedError where something is there, a daemon runs on it, or part of the backup cannot be read; what
    `read_record` raises, and OSError.
    """
    record = read_record(backup)
    if root.exists() and presence(root) is not Presence.ABSENT:
        raise RefusedError(f"{root}: a glmd runs on it; stop it first, and move its root away", Code.BACKUP_ROOT_IN_USE)
    if os.path.lexists(root) and (root.is_symlink() or not root.is_dir() or any(root.iterdir())):
        raise RefusedError(
            f"{root}: it is not empty, and a backup is restored only to a new or empty directory; move it away",
            Code.BACKUP_PLACE,
        )
    with publishing_directory(root.absolute()) as copy:
        tree = TreeCopy(backup, copy)
        tree.directory(PurePath(), lambda place: str(place) != LOCK)
        if tree.left_out:
            first = tree.left_out[0]
            raise RefusedError(f"{backup}: {first.place}: {first.why}; nothing was restored", Code.BACKUP_NOT_WHOLE)
    return record
