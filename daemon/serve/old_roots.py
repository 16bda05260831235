"""What an older glmd made: the whole group could write to it and lock it, and plans held environments.

A job's directory is closed to everybody but glmd while it is brought over, and opened for reading when that is done: so
a start that was cut short is seen, and the next one goes on.
"""

import os
import stat
from pathlib import Path

import structlog

from daemon.core.root import GROUP_READS, Root, set_mode
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.records.job_dir import JobDir
from handlers.records.job_plan import JobPlan

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_CLOSED = stat.S_IRWXU | stat.S_ISVTX
"""Of a directory that is being brought over: the sticky bit tells it from one that somebody has closed."""


def bring_over(root: Root) -> None:
    """Let the group only read what is below the root, where it may do more. Raises OSError."""
    for directory in (root.path, root.latest, root.rejected):
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    _let_others_read(Path(entry.path))
    with os.scandir(root.jobs) as entries:
        # One look at each, of which there may be ten thousands.
        old = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False) and _is_old(entry.stat())]
    for directory in old:
        directory.chmod(_CLOSED)
        _hide_environments(JobDir(directory).plan)
        for parent, _, files in os.walk(directory):  # downwards: what is in a directory is swapped by nobody by then
            if parent != str(directory):
                set_mode(Path(parent), GROUP_READS)
            for path in (Path(parent, name) for name in files):
                _let_others_read(path)
        set_mode(directory, GROUP_READS)
    if old:
        log.info("old_job_directories_closed", path=root.jobs, count=len(old))


def _is_old(status: os.stat_result) -> bool:
    mode = stat.S_IMODE(status.st_mode)
    return status.st_uid == os.geteuid() and (bool(mode & _OTHERS_WRITE) or mode == _CLOSED)


def _hide_environments(plan: Path) -> None:
    """Keep from the group what an older glmd wrote into its plan: it may be secret."""
    if not plan.is_symlink() and plan.is_file() and _holds_environments(plan):
        plan.chmod(0o600)


def _holds_environments(plan: Path) -> bool:
    try:
        return b'"environment"' in read_bounded(plan, JobPlan.MOST_BYTES)
    except DamagedFileError:  # nobody knows
        return True


def _let_others_read(path: Path) -> None:
    """Take from a file of glmd's what others may do beyond reading it, which for a lock is to lock it."""
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        if path.suffix == ".json":
            log.warning("foreign_record", path=path, uid=status.st_uid, reason="its owner may change it; remove it")
    elif path.name.endswith("lock") and mode & _OTHERS:
        path.chmod(mode & ~_OTHERS)
    elif mode & _OTHERS_WRITE and not stat.S_ISLNK(status.st_mode):
        path.chmod(mode & ~_OTHERS_WRITE)
