"""The durable steps of a process: what it does to files and to the store, each with a name, seen as it happens.

`watch` wraps, in the process that calls it, the functions that change a file system and the commits of SQLite. Nothing
of it is in production code. A step is called by who does it, what, and to what:

    daemon.serve.intake.claims.claim: rename inbox/run.yaml → claims/TOKEN/run.yaml
"""

import functools
import os
import re
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

CHECKOUT = Path(__file__).parents[2]
OPERATIONS = (
    *("mkdir", "rmdir", "rename", "replace", "link", "symlink", "unlink", "remove"),
    *("fsync", "fdatasync", "chmod", "fchmod", "truncate", "ftruncate", "pwrite"),
)
"""Functions of `os`; pathlib and shutil come through here too."""

_ROOMS = (str(CHECKOUT / "daemon"), str(CHECKOUT / "handlers"))
_PLUMBING = frozenset(
    {
        "handlers/ckpt/files/durable.py",
        "handlers/ckpt/files/transfer.py",
        "handlers/ckpt/files/target.py",
        "handlers/records/train_plan.py",
        "handlers/shim/patience.py",
        "daemon/core/database.py",
        "daemon/core/store.py",
    }
)
"""What others call for a durable step; a step is theirs who call."""
_CHANCE = (
    (re.compile(r"\.[0-9a-f]{8}\.tmp$"), ".tmp"),
    (re.compile(r"claims/[0-9a-f]{16}"), "claims/TOKEN"),
    (re.compile(r"(jobs/\d+)-[^/]+"), r"\1"),
)
"""What differs from run to run, or from job to job, is left out of the names."""
_JOB_OR_ATTEMPT = re.compile(r"(?<=attempts/)\d+|(?<=jobs/)\d+")
_WHICH_TIME = re.compile(r" #\d+$")
_RECORDS = frozenset({"handlers/records/record.py"})
_OF_FILES = frozenset({"fsync", "fdatasync", "chmod", "fchmod", "truncate", "ftruncate", "pwrite"})
_OF_TWO = frozenset({"rename", "replace", "link", "symlink"})
_CHANGES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """One durable step. `lines` are the places in glmd's sources that led to it, innermost first: `file:line`."""

    name: str
    operation: str
    lines: tuple[str, ...]
    arguments: tuple[object, ...]


Point = tuple[str, str]
"""A kind of process, and the name of a step that it takes."""


@dataclass(frozen=True)
class Taken:
    """A step that a process has taken: by its kind, the step's name, and the lines that led to it."""

    role: str
    name: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as endings tell it."""
        return f"{self.role}: {self.name}"

    @property
    def point(self) -> Point:
        """Where a process can be killed."""
        return self.role, self.name

    @property
    def changes_a_name(self) -> bool:
        """Whether others see it at once: a name, or a commit."""
        return self._operation not in _OF_FILES

    @property
    def call(self) -> Point:
        """Return which call of glmd's sources led to it, and to what is done there."""
        made = (line for line in self.lines if line.partition(":")[0] not in _PLUMBING | _RECORDS)
        return self.role, f"{next(made, self.lines[0])} {self._operation}"

    @property
    def _operation(self) -> str:
        return self.name.partition(": ")[2].partition(" ")[0]

    @property
    def of_any_job(self) -> "Taken":
        """Return what is the same in every job and every attempt."""
        return replace(self, name=_JOB_OR_ATTEMPT.sub("N", self.name))

    @property
    def kind(self) -> Point:
        """Return the point without job and attempt, and without which time it is."""
        return self.role, _WHICH_TIME.sub("", self.of_any_job.name)


Around = Callable[[Step], AbstractContextManager[None]]


def watch(root: Path, around: Around) -> None:
    """Let `around` surround every durable step of this process from now on; `root` is left out of the names."""
    namer = _Namer(str(root))
    for operation in OPERATIONS:
        setattr(os, operation, _wrapped(operation, getattr(os, operation), namer, around))

    class Connection(sqlite3.Connection):
        """Its commits are steps: an explicit one, or a change outside a transaction."""

        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as sqlite3 has it
            if sql != "COMMIT" and (self.in_transaction or not _CHANGES.match(sql)):
                return super().execute(sql, *arguments)
            with around(namer.step("commit", ())):
                return super().execute(sql, *arguments)

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]


def _wrapped(operation: str, function: Callable[..., object], namer: "_Namer", around: Around) -> Callable[..., object]:
    def call(*arguments: object, **options: object) -> object:
        with around(namer.step(operation, arguments)):
            return function(*arguments, **options)

    return call


class _Namer:
    """Names steps; those that a process takes several times are numbered from the second on."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def step(self, operation: str, arguments: tuple[object, ...]) -> Step:
        frames = list(_frames(sys._getframe(1)))
        owner = next((one for one in frames if one[0] not in _PLUMBING), frames[0] if frames else ("", "?", 0))
        objects = " → ".join(filter(None, map(self._object, arguments[: 2 if operation in _OF_TWO else 1])))
        name = f"{owner[0].removesuffix('.py').replace('/', '.')}.{owner[1]}: {operation} {objects}".rstrip()
        with self._lock:
            self._seen[name] += 1
            number = self._seen[name]
        lines = tuple(f"{file}:{line}" for file, _, line in frames)
        return Step(f"{name} #{number}" if number > 1 else name, operation, lines, arguments)

    def _object(self, argument: object) -> str:
        if isinstance(argument, int) and not isinstance(argument, bool):
            try:
                text = str(Path(f"/proc/self/fd/{argument}").readlink())
            except OSError:  # a mode
                return ""
        elif isinstance(argument, str | os.PathLike):
            text = os.fspath(argument)
        else:
            return ""
        text = text.removeprefix(self._root).removeprefix(str(Path(self._root).parent)).removeprefix("/") or "."
        for pattern, plain in _CHANCE:
            text = pattern.sub(plain, text)
        return text


def _frames(frame: FrameType | None) -> Iterator[tuple[str, str, int]]:
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_ROOMS):
            yield file[len(str(CHECKOUT)) + 1 :], frame.f_code.co_qualname, frame.f_lineno
        frame = frame.f_back
