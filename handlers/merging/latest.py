"""The link `latest/PREFIX`, from which others go on: looked at and moved in one piece, whoever else does so now."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from handlers.ckpt import CkptError
from handlers.ckpt.files.durable import make_directory, publish_symlink
from handlers.ckpt.publishing.manifest import NAME, read_manifest
from handlers.merging.promotion import Merged, Verdict, judge


def promote(link: Path, candidate: Merged) -> Verdict:
    """Let `link` lead to `candidate`, unless what it leads to is newer; say which, and why.

    Done again it comes to the same. Raises OSError.
    """
    make_directory(link.parent)
    with _locked(link.parent):
        if os.path.lexists(link) and not link.is_symlink():
            return Verdict(promoted=False, reason="stays as it is: it is no symbolic link; remove it")
        verdict = judge(_published(link), candidate)
        if verdict.promoted:
            target = os.path.relpath(candidate.directory, link.parent.resolve())
            publish_symlink(link, Path(target))
    return verdict


def _published(link: Path) -> Merged | None:
    """Return what `link` leads to; None where that is no whole output of the prefix that it is named for."""
    if not (link / NAME).is_file():
        return None
    try:
        manifest = read_manifest(link / NAME)
    except (FileNotFoundError, CkptError):  # removed meanwhile, or damaged
        return None
    is_whole = manifest.prefix == link.name and all((link / name).is_file() for name in manifest.names)
    return Merged.of(link, manifest) if is_whole else None


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes from deciding meanwhile. The kernel frees the lock when we die."""
    path = directory.with_name(f".{directory.name}.lock")  # beside it: in the directory there are links alone
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
