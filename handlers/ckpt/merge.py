"""Carrying out a plan: the output appears whole, with its manifest, or not at all."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from handlers.ckpt.copy import Copy, Progress
from handlers.ckpt.durable import move, publishing
from handlers.ckpt.entry import CkptFile, Fingerprint
from handlers.ckpt.errors import DamagedFileError, InconsistentError, NoSpaceError, OutputExistsError
from handlers.ckpt.manifest import NAME, File, Manifest, manifest_of, read_manifest
from handlers.ckpt.plan import Plan
from handlers.ckpt.transfer import Flusher

PENDING = f".{NAME}.pending"
"""A manifest whose output is about to get its name. Left by a kill in between, it lets the next run go on."""


def merge(
    plan: Plan,
    output: Path,
    *,
    prefix: str = "",
    tag: str = "",
    force: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write the plan's checkpoint to `output`, and manifest.json beside it; return the manifest.

    Both appear whole or not at all. Done again over unchanged sources it does nothing and returns the manifest that is
    there. `prefix` and `tag` are for the manifest; `progress` gets the bytes written so far and in all.
    Raises OutputExistsError for any other existing output unless `force`, InconsistentError where replicas differ or a
    source changes meanwhile, NoSpaceError, and OSError.
    """
    _sweep(output)
    done = _done_before(plan, output, prefix=prefix, tag=tag)
    if done is not None:
        return done
    if output.exists() and not force:
        raise OutputExistsError(
            f"{output} is there already, and not of these shards: move it away, or replace it (force)"
        )
    _check_space(output, plan.size)
    pending, final = output.with_name(PENDING), output.with_name(NAME)
    try:
        with publishing(output, mode=0o640, replace=force) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)  # so that a sweep sees that somebody lives
            hashes = _write(plan, stream.fileno(), progress)
            written = File.of(output, Fingerprint.of(os.fstat(stream.fileno())))
            manifest = manifest_of(plan, written, hashes, prefix=prefix, tag=tag)
            manifest.publish(pending)
            final.unlink(missing_ok=True)  # of the output that is being replaced
        move(pending, final)
    except FileExistsError as error:
        raise OutputExistsError(f"{output} appeared meanwhile: is another merge going on there?") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise NoSpaceError(_no_space(output, plan.size, error.strerror or "")) from error
        raise
    return manifest


def _done_before(plan: Plan, output: Path, *, prefix: str, tag: str) -> Manifest | None:
    """Return the manifest of an output that is this plan carried out; finish it where only a name was missing."""
    try:
        there = Fingerprint.of(output.stat())
    except FileNotFoundError:
        return None
    for name in (NAME, PENDING):
        path = output.with_name(name)
        try:
            manifest = read_manifest(path)
        except (FileNotFoundError, DamagedFileError):
            continue
        if manifest.output.fingerprint == there and manifest.is_of(plan, prefix=prefix, tag=tag):
            if name == PENDING:
                move(path, output.with_name(NAME))
            return manifest
    return None


def _sweep(output: Path) -> None:
    """Remove what killed merges left half-written; a living one holds a lock on its file."""
    alone = True
    for path in output.parent.glob(f".{output.name}.*.tmp"):
        with path.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone = False
            else:
                path.unlink()
    if alone:
        for path in output.parent.glob(f".{PENDING}.*.tmp"):
            path.unlink()


def _check_space(output: Path, size: int) -> None:
    """Refuse at once what cannot fit; another writer may still take the room meanwhile."""
    status = os.statvfs(output.parent)
    if status.f_bavail * status.f_frsize < size:
        raise NoSpaceError(_no_space(output, size, "the disk is too full"))


def _no_space(output: Path, size: int, reason: str) -> str:
    status = os.statvfs(output.parent)
    free = status.f_bavail * status.f_frsize
    return (
        f"{output}: {reason}: it needs {size} bytes ({size / 2**30:.1f} GiB), and {free} ({free / 2**30:.1f} GiB) are "
        "free; nothing was written. Free some, or choose a destination on another disk"
    )


def _write(plan: Plan, descriptor: int, progress: Progress | None) -> list[str]:
    """Write all parameters, front to back; return their hashes."""
    with _opened(plan) as sources, Flusher(descriptor) as flusher:
        copy = Copy(plan, sources, descriptor, flusher, progress)
        return [copy.parameter(parameter) for parameter in plan.parameters]


@contextlib.contextmanager
def _opened(plan: Plan) -> Iterator[dict[int, int]]:
    """Yield a descriptor of each shard; afterwards check that none changed since it was planned with."""
    with contextlib.ExitStack() as stack:
        sources = {}
        for rank, shard in plan.shards.items():
            sources[rank] = os.open(shard.path, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, sources[rank])
        for rank, shard in plan.shards.items():
            _check_unchanged(shard, sources[rank])
        yield sources
        for rank, shard in plan.shards.items():
            _check_unchanged(shard, sources[rank])


def _check_unchanged(shard: CkptFile, descriptor: int) -> None:
    if Fingerprint.of(os.fstat(descriptor)) != shard.fingerprint:
        raise InconsistentError(
            f"{shard.path} changed while it was merged: is a training still writing it? Merge again when it has ended"
        )
