"""Which step each process of this host works for, as the kernel tells it, whatever becomes of files.

A shim is known by the lock that it holds and by its command line, its ranks by a mark in their environment. What they
start in turn inherits that, however it is started; only who clears its environment gets away.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.errors import BadInputError
from handlers.records.job_dir import JobDir, Step, is_number
from handlers.records.process import ProcessIdentity
from handlers.shim.instance import find_step_run
from handlers.units.devices import LIMIT

NAME = "GLMD_STEP"
"""Of the mark, `0,1:/var/glm/jobs/0042-run/attempts/1/train`: the job's devices, and where the step has its records."""

_MARK = re.compile(r"(?P<devices>[\d,]*):(?P<step>/.*)", re.DOTALL)
_LOCK = re.compile(r"(?P<step>/.*/attempts/\d+/(?:train|merge|evaluate))/lock(?P<is_gone> \(deleted\))?", re.DOTALL)
_PROC = Path("/proc")
_GONE = (ProcessLookupError, FileNotFoundError, PermissionError)
"""It has ended just now, or is another user's."""


@dataclass(frozen=True)
class Marked:
    """A process that works for a step."""

    identity: ProcessIdentity
    step: Path
    """Where its records were when it was started."""
    place: Path
    """Where they are now, if somebody has moved them and that can be told."""
    devices: tuple[int, ...]
    """Of the whole job; empty where the mark does not say so."""
    is_shim: bool


def mark(step: Path, devices: Sequence[int]) -> str:
    """Return what the environment of a process of `step` has as NAME."""
    return f"{','.join(map(str, devices))}:{os.path.realpath(step)}"


def marked_processes() -> Iterator[Marked]:
    """Yield the processes of this host that work for a step, of whatever root, but this one.

    Raises OSError where that cannot be told at present.
    """
    holders = _holders_of_locks()
    for pid in sorted(int(one.name) for one in _PROC.iterdir() if is_number(one.name)):
        if pid == os.getpid():
            continue
        with contextlib.suppress(*_GONE):
            if found := _of(pid, is_holder=pid in holders):
                yield found


def _of(pid: int, *, is_holder: bool) -> Marked | None:
    """Return what `pid` works for; None where that is no step. Raises one of _GONE."""
    environment, words = _bytes(pid, "environ"), _bytes(pid, "cmdline")
    if not is_holder and NAME.encode() not in environment and b"handlers.shim" not in words:
        return None
    identity = ProcessIdentity.of(pid)
    if _bytes(pid, "environ") != environment or not identity.alive():  # the number may be another's since
        return None
    lock = _lock_of(pid) if is_holder else None
    locked = None if lock is None else Path(lock["step"])
    asked_for = _asked_for(_strings(words))
    step, devices = _read_mark(_strings(environment))
    step = step or asked_for or locked
    if step is None:
        return None
    return Marked(identity, step, locked or step, devices, is_shim=locked is not None or asked_for is not None)


def _bytes(pid: int, name: str) -> bytes:
    return (_PROC / str(pid) / name).read_bytes()


def _strings(content: bytes) -> list[str]:
    return [os.fsdecode(word) for word in content.split(b"\0")]


def _read_mark(environment: Sequence[str]) -> tuple[Path | None, tuple[int, ...]]:
    value = next((word.removeprefix(f"{NAME}=") for word in environment if word.startswith(f"{NAME}=")), "")
    found = _MARK.fullmatch(value)
    if found is None:
        return None, ()
    numbers = [int(number) for number in found["devices"].split(",") if is_number(number)]
    return Path(found["step"]), tuple(number for number in numbers if number < LIMIT)


def _asked_for(words: Sequence[str]) -> Path | None:
    """Return the step that the command line of a shim names; see handlers.shim.run."""
    given = list(words[words.index("handlers.shim") + 1 :]) if "handlers.shim" in words else []
    match [word for word in given if word]:
        case ["--root", root, "--instance", instance]:
            with contextlib.suppress(BadInputError, FileNotFoundError):  # its directory is gone: its ranks' mark tells
                return find_step_run(Path(root), instance).directory.path
        case [directory, attempt, ("train" | "merge" | "evaluate") as step] if is_number(attempt):
            return JobDir(Path(os.path.realpath(directory))).step(int(attempt), Step(step)).path
    return None


def _holders_of_locks() -> set[int]:
    """Return who holds a lock by flock, see proc_locks(5): to try for one would keep a shim from coming up."""
    try:
        lines = (_PROC / "locks").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, PermissionError):  # ProcSubset=pid; command lines and marks are left
        return set()
    fields = (line.split() for line in lines)
    return {int(line[4]) for line in fields if line[1:2] == ["FLOCK"] and line[4].isdecimal()}


def has_lost_its_lock(pid: int) -> bool:
    """Say whether the lock of the shim `pid` was removed: what is only moved, with all directories, is not."""
    with contextlib.suppress(*_GONE):
        lock = _lock_of(pid)
        return lock is not None and lock["is_gone"] is not None
    return False


def _lock_of(pid: int) -> re.Match[str] | None:
    """Return the lock of a step that `pid` has open; the kernel names it as it is named now."""
    for descriptor in (_PROC / str(pid) / "fd").iterdir():
        with contextlib.suppress(*_GONE):
            if found := _LOCK.fullmatch(str(descriptor.readlink())):
                return found
    return None
