"""Claims: a dropped file is taken by a rename, and from then on belongs to the daemon until it is a job or rejected.

    inbox/NAME ──claim──► claims/TOKEN/NAME ──read_claimed──► bytes ──┬─► snapshot: jobs/…/submitted.yaml
                                                                      └─► reject:   rejected/NAME + NAME.reason.txt

A rename takes exactly one file, whole, from under every other process's hands, follows no link and blocks on nothing,
and its name stays as it is: TOKEN is a directory, for NAME may already be as long as a name can be. Every function can
be called again after a crash at any point of it; `leftover_claims` says of which files.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

import structlog

from daemon.core.names import fitting, reason_file
from handlers.ckpt.files import durable
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.passing_errors import may_pass
from handlers.printable import printable

log = structlog.get_logger()

_REASON_MAX = 1 << 20
"""Bytes of a reason that are read again; glmd's own are far shorter."""

_CODE = "code: "
"""How the last line of a reason begins."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotClaimableError(BadInputError):
    """A dropped file cannot be moved out of the inbox, so it stays there."""

    code = Code.DROP_CANNOT_BE_MOVED


class NotAFileError(BadInputError):
    """What was dropped is no regular file."""

    code = Code.DROP_NOT_A_FILE


class TooLargeError(BadInputError):
    """A dropped file is larger than the limit."""

    code = Code.DROP_TOO_LARGE


class UnreadableError(BadInputError):
    """The daemon may not read a dropped file."""

    code = Code.DROP_UNREADABLE


class ChangedError(BadInputError):
    """A dropped file was written to while it was read."""

    code = Code.DROP_CHANGED_MEANWHILE


@dataclass(frozen=True)
class Claim:
    """A dropped file that was taken. `token` names the claim, whatever `name` the file had."""

    token: str
    name: str
    path: Path


def claim(path: Path, claims: Path) -> Claim | None:
    """Take `path` out of the inbox into the directory `claims` (same file system); None when it is gone meanwhile.

    Raises NotClaimableError when the file can never be moved, and OSError when it may succeed later (no space).
    """
    token = secrets.token_hex(8)
    taken = Claim(token, path.name, claims / token / path.name)
    durable.make_directory(taken.path.parent, mode=0o700)
    try:
        durable.move(path, taken.path)
    except OSError as error:
        if not os.path.lexists(taken.path):  # the rename itself failed, nothing was taken
            taken.path.parent.rmdir()
        _explain(path, claims, error)
        return None
    return taken


def _explain(path: Path, claims: Path, error: OSError) -> None:
    """Log that `path` is gone, or raise why it was not taken."""
    if isinstance(error, FileNotFoundError):
        log.info("dropped_file_vanished", path=path)
        return
    name = printable(path.name)
    if error.errno in {errno.EACCES, errno.EPERM}:  # a directory of somebody else's, or the inbox is sticky
        raise NotClaimableError(
            f"{name}: glmd may not move it out of {path.parent}: {error.strerror}; remove it, or drop a regular file"
        ) from error
    if error.errno == errno.EXDEV:
        raise NotClaimableError(
            f"{name}: {path.parent} and {claims} are on different file systems, and a claim has to be a rename; "
            f"mount the whole root directory instead of its inbox"
        ) from error
    if error.errno == errno.EBUSY:
        raise NotClaimableError(f"{name}: it is a mount point; drop a regular file") from error
    raise error


def leftover_claims(claims: Path) -> tuple[Claim, ...]:
    """Return the claims that an earlier daemon took and did not finish, in the order in which they were taken."""
    found = []
    for directory in claims.iterdir():
        try:
            status = directory.lstat()
            inside = list(directory.iterdir()) if stat.S_ISDIR(status.st_mode) else None  # a link's are not ours
            if inside is None:
                log.warning("not_a_claim", path=directory)
                continue
            found += [(status.st_mtime_ns, Claim(directory.name, path.name, path)) for path in inside]
            if not inside:  # it was about to be filled, or had just been emptied
                directory.rmdir()
        except OSError as error:
            if may_pass(error):
                raise
            log.warning("claim_left_alone", path=directory, reason=error.strerror)
    return tuple(left for _, left in sorted(found, key=lambda item: (item[0], item[1].token)))


def read_claimed(claim: Claim, max_bytes: int) -> bytes:
    """Return the content of a claimed file.

    Raises NotAFileError, TooLargeError, UnreadableError or ChangedError when the file is to be rejected, and OSError
    when the fault is not the file's (no descriptors left, an I/O error): the claim then stays for another try.
    """
    name = printable(claim.name)
    try:
        stream = open(claim.path, "rb", opener=_open_only)  # noqa: SIM115 - the with is below
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise UnreadableError(
                f"{name}: glmd may not read it; chmod g+r {name} (and chgrp glm {name}), then drop it again"
            ) from error
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV}:  # link; directory; socket, device
            raise _not_a_file(name, claim.path.lstat().st_mode) from error
        raise
    with stream:
        before = os.fstat(stream.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise _not_a_file(name, before.st_mode)
        if before.st_size > max_bytes:
            raise TooLargeError(
                f"{name}: {before.st_size} bytes; a dropped YAML may have {max_bytes} (setting inbox.max_bytes)"
            )
        content = stream.read(before.st_size + 1)
        os.fsync(stream.fileno())  # a job may be made of it now, and `cp` leaves the writing to the kernel
        after = os.fstat(stream.fileno())
    if len(content) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise ChangedError(
            f"{name}: somebody wrote into it while it was read; write it elsewhere on the same file system, "
            f"then mv it into the inbox (glmd submit does)"
        )
    return content


def _open_only(path: str, flags: int) -> int:
    """Open without following a symbolic link and without waiting for a FIFO's writer."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)


def _not_a_file(name: str, mode: int) -> NotAFileError:
    return NotAFileError(f"{name}: {_KINDS.get(stat.S_IFMT(mode), 'no file')}, not a regular file; drop a copy (cp -L)")


def snapshot(claim: Claim, content: bytes, destination: Path) -> None:
    """Publish `content`, as `read_claimed` returned it, as `destination`; then the claim is finished.

    A copy and not a rename: anyone who dropped the file may still have it open, or have another link to it.
    """
    durable.publish_bytes(destination, content)
    discard(claim)


def discard(claim: Claim) -> None:
    """Remove the claimed file: all that it said is kept elsewhere, or it has to be forgotten."""
    claim.path.unlink(missing_ok=True)
    _finish(claim)


def reject(claim: Claim, rejected: Path, reason: str, code: str = "") -> Path:
    """Move the claimed file as it is into `rejected`, beside a file that says why; return where it is now.

    That is NAME, or NAME.2, NAME.3, … when there are such; the reason is in that + `.reason.txt`, whose last line is
    `code: …`, for programs.
    """
    target = next_place(rejected, claim.name)
    # The reason first: the file must never lie there without one. When a crash happens in between, the reason without
    # its file marks the place as free, and the next try takes it again.
    content = f"{_readable(reason)}\n" + (f"{_CODE}{code}\n" if code else "")
    durable.publish_bytes(reason_file(target), content.encode())
    durable.move(claim.path, target)
    _finish(claim)
    return target


def next_place(rejected: Path, name: str) -> Path:
    """Return where a file of this name goes when it is rejected now."""
    return next(place for place in _places(rejected, name) if not _is_taken(place))


def newest_rejected(rejected: Path, name: str) -> Path | None:
    """Return the file of this name that was rejected last, if it is there with its reason."""
    newest = None
    for place in takewhile(_is_taken, _places(rejected, name)):
        newest = place
    return newest if newest and os.path.lexists(newest) and os.path.lexists(reason_file(newest)) else None


def add_to_reason(rejected: Path, words: str) -> None:
    """Add `words`, once, to what is said of the rejected file `rejected`, unless somebody removed or replaced that.

    The code stays the last line.
    """
    try:
        with open(reason_file(rejected), "rb", opener=_open_only) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return
            content = stream.read(_REASON_MAX)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.EACCES, errno.ENXIO}:
            return
        raise
    more = f"{_readable(words)}\n".encode()
    if len(content) < _REASON_MAX and more not in content:
        before, mark, code = content.rpartition(b"\n" + _CODE.encode())
        new_content = before + b"\n" + more + mark[1:] + code if mark and code.count(b"\n") == 1 else content + more
        durable.publish_bytes(reason_file(rejected), new_content)


def _places(rejected: Path, name: str) -> Iterator[Path]:
    yield rejected / name
    for number in count(2):
        yield rejected / fitting(name, f".{number}")


def _is_taken(place: Path) -> bool:
    # The latter: what looks like the reason is itself a rejected file, which somebody named so.
    return os.path.lexists(place) or os.path.lexists(reason_file(reason_file(place)))


def _readable(reason: str) -> str:
    """Return `reason` as `cat` may show it: it quotes what strangers wrote."""
    return "\n".join(printable(line.expandtabs()) for line in reason.rstrip("\n").split("\n"))


def _finish(claim: Claim) -> None:
    with contextlib.suppress(FileNotFoundError):  # a crash came after this, and it is called again
        claim.path.parent.rmdir()
