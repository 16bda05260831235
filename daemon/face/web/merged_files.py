"""What a job has merged, as its manifest says, and whether the files are still those: by size and time alone."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.face.below import opened_below, read_below
from handlers.ckpt.entry import Fingerprint
from handlers.ckpt.publishing.manifest import NAME, Manifest, decode_manifest
from handlers.records.job_dir import JobDir

MOST_BYTES = 8 << 20
"""Of a manifest that is shown: some ten thousand parameters; of a larger one `glmd inspect` tells."""


class State(StrEnum):
    """How a file stands to its manifest."""

    AS_WRITTEN = "as_written"
    """Size, time and inode are as they were: nobody has written it since."""
    TOUCHED = "touched"
    """It was written or replaced since, as by a restore: `glmd verify` says whether its bytes are those."""
    RESIZED = "resized"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class FoundFile:
    """A file that the manifest names."""

    name: str
    path: Path
    size: int | None
    """As it was written; None of the index, of which the manifest keeps none."""
    state: State


@dataclass(frozen=True)
class Merged:
    """A manifest, and where it lies."""

    manifest: Manifest
    directory: Path
    is_gone: bool
    """Whether the files were removed, and the manifest alone was kept."""

    def files(self, job: JobDir) -> Iterator[FoundFile]:
        """Yield the files with how they stand."""
        for file in self.manifest.files:
            path = self.directory / file.name
            yield FoundFile(file.name, path, file.size, _state(job, path, file.fingerprint))
        if self.manifest.index is not None:
            path = self.directory / self.manifest.index
            yield FoundFile(self.manifest.index, path, None, _state(job, path, None))

    def opened(self, job: JobDir, name: str) -> io.FileIO:
        """Open one of them. Raises FileNotFoundError, also for what the manifest does not name, and OSError."""
        if name not in self.manifest.names:
            raise FileNotFoundError(name)
        return opened_below(job.path, self.directory / name)


def merged_of(job: JobDir) -> Merged | None:
    """Return what a job has merged; None where it has nothing. Raises DamagedFileError and OSError."""
    for path in (job.merged / NAME, job.manifest):
        try:
            content = read_below(job.path, path, MOST_BYTES + 1)
        except FileNotFoundError:
            continue
        if len(content) > MOST_BYTES:
            raise OSError(f"{path}: larger than the {MOST_BYTES} bytes that the page reads; glmd inspect {job.merged}")
        return Merged(decode_manifest(content, path), job.merged, is_gone=path == job.manifest)
    return None


def _state(job: JobDir, path: Path, written: Fingerprint | None) -> State:
    try:
        with opened_below(job.path, path) as stream:
            found = Fingerprint.of(os.fstat(stream.fileno()))
    except FileNotFoundError:
        return State.MISSING
    except OSError:
        return State.UNREADABLE
    if written is None or found == written:
        return State.AS_WRITTEN
    return State.TOUCHED if found.size == written.size else State.RESIZED
