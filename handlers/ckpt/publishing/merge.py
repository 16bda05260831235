"""Carrying out a plan: the output's files appear whole, with their manifest, or not at all."""

import contextlib
import errno
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.copying.copy import Copy, CopyOptions, Progress
from handlers.ckpt.copying.sources import Sources
from handlers.ckpt.entry import Fingerprint
from handlers.ckpt.errors import DamagedFileError, NoSpaceError, OutputExistsError
from handlers.ckpt.files.durable import fsync_directory
from handlers.ckpt.files.opening import reopened
from handlers.ckpt.files.staging import Staging, staging
from handlers.ckpt.files.transfer import write_all
from handlers.ckpt.formats.crc import check_crc
from handlers.ckpt.planning.output import INDEX, Output, OutputFile, OutputOptions, lay_out
from handlers.ckpt.planning.plan import Plan
from handlers.ckpt.publishing.manifest import (
    NAME,
    Manifest,
    MergedFile,
    MergedParameter,
    manifest_of,
    read_manifest,
    utf8,
)
from handlers.ckpt.publishing.not_finite import refuse_not_finite

DEFAULT_OPTIONS = OutputOptions()
DEFAULT_COPY_OPTIONS = CopyOptions()
SPARE_FILES = 64
"""That a process has open besides the shards."""


def merge(
    plan: Plan,
    destination: Path,
    options: OutputOptions = DEFAULT_OPTIONS,
    *,
    prefix: str = "",
    tag: str = "",
    force: bool = False,
    progress: Progress | None = None,
    copy_options: CopyOptions = DEFAULT_COPY_OPTIONS,
) -> Manifest:
    """Write the plan's checkpoint into the directory `destination`, manifest.json with it; return the manifest.

    All files appear whole or not at all, the manifest last. Done again over unchanged sources it does nothing and
    returns the manifest that is there. `prefix` and `tag` are for the manifest; `progress` gets the bytes written so
    far and in all. Raises NotFiniteError for NaN and infinity that `options` do not allow, OutputExistsError for any
    other existing output unless `force`, InconsistentError where replicas differ or a source changes meanwhile,
    NoSpaceError, and OSError.
    """
    wanted = _Wanted(plan, lay_out(plan, options), utf8(prefix), tag, copy_options, options.allow_not_finite)
    try:
        with staging(destination) as stage:
            manifest = _done_before(wanted, stage, force=force)
            if manifest is None:
                _refuse_existing(wanted.output, destination, force=force)
                stage.clear()
                _check_space(destination, wanted.output.size)
                manifest = _stage(wanted, stage, progress)
                stage.publish(NAME, replace=force, obsolete=_obsolete(stage, manifest))
            stage.replaced.unlink(missing_ok=True)
            return manifest
    except FileExistsError as error:  # it appeared meanwhile, or before a killed run was continued
        raise OutputExistsError(_there_already(Path(error.filename2 or destination))) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise NoSpaceError(_no_space(destination, wanted.output.size, error.strerror or "")) from error
        raise


@dataclass(frozen=True)
class _Wanted:
    """What is to be there in the end."""

    plan: Plan
    output: Output
    prefix: str
    tag: str
    copy_options: CopyOptions
    allow_not_finite: Sequence[str]

    def is_what(self, manifest: Manifest) -> bool:
        """Tell whether `manifest` is of this very output."""
        return (manifest.prefix, manifest.tag) == (self.prefix, self.tag) and manifest.is_of(
            self.plan, self.output, self.copy_options
        )


def _done_before(wanted: _Wanted, stage: Staging, *, force: bool) -> Manifest | None:
    """Return the manifest of an output that is there already; finish one that lacks only names."""
    for directory in (stage.destination, stage.path):
        try:
            manifest = read_manifest(directory / NAME)
        except (FileNotFoundError, IsADirectoryError, DamagedFileError):
            continue
        if not (wanted.is_what(manifest) and _are_there(manifest, stage.destination, directory)):
            continue
        refuse_not_finite(manifest, wanted.allow_not_finite, stage.destination, wanted.output, wanted.plan)
        if directory == stage.path:
            replace = force or stage.replaced.exists()  # a killed run was told to, and had begun
            stage.publish(NAME, replace=replace, obsolete=_obsolete(stage, manifest))
        fsync_directory(stage.destination)  # the run before may have failed, or ended, at just this
        return manifest
    return None


def _are_there(manifest: Manifest, *directories: Path) -> bool:
    """Tell whether all files that the manifest describes are in the directories."""
    beside = manifest.names[len(manifest.files) :]
    return all(_is_there(file, *directories) for file in manifest.files) and all(
        any((directory / name).is_file() for directory in directories) for name in beside
    )


def _is_there(file: MergedFile, *directories: Path) -> bool:
    """Tell whether this very file is in one of the directories."""
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            if Fingerprint.of((directory / file.name).stat()) == file.fingerprint:
                return True
    return False


def _refuse_existing(output: Output, destination: Path, *, force: bool) -> None:
    for name in (*output.names, NAME):
        if (destination / name).is_dir() and not (destination / name).is_symlink():
            raise OutputExistsError(f"{destination / name} is a directory, which no file replaces: move it away")
        if not force and os.path.lexists(destination / name):
            raise OutputExistsError(_there_already(destination / name))


def _there_already(path: Path) -> str:
    return f"{path} exists already, and is not of these shards: move it away, or replace it (force)"


def _obsolete(stage: Staging, manifest: Manifest) -> list[str]:
    """Return the names of the output that is replaced which the new one does not have."""
    names: set[str] = set()
    for path in (stage.destination / NAME, stage.replaced):
        with contextlib.suppress(FileNotFoundError, DamagedFileError):
            names.update(read_manifest(path).names)
    return sorted(names - set(manifest.names))


def _check_space(destination: Path, size: int) -> None:
    """Refuse at once what cannot fit; another writer may still take the room meanwhile."""
    status = os.statvfs(destination)
    if status.f_bavail * status.f_frsize < size:
        raise NoSpaceError(_no_space(destination, size, "the disk is too full"))


def _no_space(destination: Path, size: int, reason: str) -> str:
    status = os.statvfs(destination)
    free = status.f_bavail * status.f_frsize
    return (
        f"{destination}: {reason}: the output needs {size} bytes ({size / 2**30:.1f} GiB), and {free} "
        f"({free / 2**30:.1f} GiB) are free on the disk; nothing was written. Free some, or choose a destination on "
        "another disk"
    )


def _stage(wanted: _Wanted, stage: Staging, progress: Progress | None) -> Manifest:
    """Write all files, then the manifest, into the staging directory."""
    for shard in wanted.plan.shards.values():
        check_crc(shard)
    plan = wanted.plan
    size = sum(file.size for file in wanted.output.files)
    with _opened(plan) as descriptors:
        copy = Copy(plan, descriptors, size, progress, wanted.copy_options)
        files = [_write(file, stage, copy) for file in wanted.output.files]
        manifest = manifest_of(plan, files, wanted.output, wanted.copy_options, prefix=wanted.prefix, tag=wanted.tag)
        sources = Sources(plan.shards, descriptors)
        refuse_not_finite(manifest, wanted.allow_not_finite, stage.destination, wanted.output, plan, sources)
    for side_file in wanted.output.side_files:
        _write_bytes(side_file.name, side_file.read(), stage)
    if wanted.output.index is not None:
        _write_bytes(INDEX, wanted.output.index, stage)
    _write_bytes(NAME, manifest.encode(), stage)
    return manifest


def _write_bytes(name: str, content: bytes, stage: Staging) -> None:
    with stage.create(name) as descriptor:
        write_all(descriptor, memoryview(content), 0)


def _write(file: OutputFile, stage: Staging, copy: Copy) -> MergedFile:
    """Write one file, front to back."""
    with stage.create(file.name) as descriptor:
        found = copy.file(file, descriptor)
        fingerprint = Fingerprint.of(os.fstat(descriptor))
    parameters = [
        MergedParameter.of(placement.parameter, copied) for placement, copied in zip(file.placed, found, strict=True)
    ]
    return MergedFile.of(file.name, fingerprint, parameters)


@contextlib.contextmanager
def _opened(plan: Plan) -> Iterator[dict[int, int]]:
    """Yield a descriptor of each shard; afterwards check that none changed since it was planned with."""
    _allow_files(len(plan.shards))
    with contextlib.ExitStack() as stack:
        yield {rank: stack.enter_context(reopened(shard, "while it was merged")) for rank, shard in plan.shards.items()}


def _allow_files(ranks: int) -> None:
    """Let the process have a file open for every rank; raises OSError where the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else sys.maxsize
    if ranks >= most:
        raise OSError(
            errno.EMFILE,
            f"the shards of {ranks} ranks are read at once, but only {most} files may be open (ulimit -Hn)",
        )
    wanted = min(ranks + SPARE_FILES, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
