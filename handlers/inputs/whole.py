"""Whether a file is whole: nobody writes it any more.

It has rested for QUIET seconds, as a shard of which nobody knows more: since its last change of any kind (ctime), a
time that unlike the modification time nobody can set. And no process of this host has it open for writing, where the
kernel can tell.
"""

import os
import stat
import time
from pathlib import Path

from handlers.host.file_systems import network_file_system
from handlers.inputs.data_set import INDEX, DataSet
from handlers.shards.closing import QUIET
from handlers.shards.writers import Writers, writers_of

_JOURNAL = "-journal"
"""What SQLite keeps beside a file while it changes it."""


def why_not_whole(data_set: DataSet, now: float | None = None) -> str:
    """Return why `data_set` does not count yet, for people; empty where it does. Raises nothing for what is away.

    `now` is by the clock that stamps files.
    """
    if data_set.gap:
        return data_set.gap
    at = time.time() if now is None else now
    return next((why for file in data_set.files if (why := _why_not(file, at))), "")


def _why_not(file: Path, now: float) -> str:
    if not str(file).isprintable():
        return "its name is no text that prints"
    try:
        status = file.stat()
        return _why_unusable(file, status) or _why_restless(file, now - status.st_ctime) or _why_open(file)
    except FileNotFoundError:
        return f"{file} is not there"
    except OSError as error:
        return f"{file} cannot be looked at: {error.strerror}"


def _why_unusable(file: Path, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return f"{file} is no regular file"
    if not status.st_size:
        return f"{file} is empty"
    return "" if os.access(file, os.R_OK, effective_ids=True) else f"{file} cannot be read by this user"


def _why_restless(file: Path, age: float) -> str:
    if age >= QUIET:
        return ""
    if age < 0:
        return f"{file} was changed in the future, by this host's clock"
    return f"{file} was changed {age:.0f} s ago, and glmd takes it when it has not changed for {QUIET:.0f} s"


def _why_open(file: Path) -> str:
    if file.name.endswith(INDEX) and file.with_name(f"{file.name}{_JOURNAL}").exists():
        return f"{file} is being written: its journal is there"
    if network_file_system(file.parent) is None and writers_of(file) is Writers.SOMEBODY:
        return f"{file} is open for writing; `lsof {file}` says who has it open"
    return ""
