"""A published output compared with its manifest: every file, every header, every parameter's bytes."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import xxhash

from handlers.ckpt.copying.copy import Copied, Progress
from handlers.ckpt.copying.finite import Tally
from handlers.ckpt.entry import Entry, NotFinite, shape
from handlers.ckpt.errors import CkptError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.transfer import blocks
from handlers.ckpt.formats.walk import walk
from handlers.ckpt.planning.hf_base import MOST_BYTES
from handlers.ckpt.planning.output import INDEX
from handlers.ckpt.publishing.manifest import NAME, Manifest, MergedFile, MergedParameter, read_manifest

BLOCK = 1 << 20
"""Bytes read at once."""

_WEIGHTS = ".safetensors"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the manifest says."""

    file: str
    """Its name in the directory."""
    parameter: str | None
    what: str

    def __str__(self) -> str:
        """Return it as a line."""
        return ": ".join(part for part in (self.file, self.parameter, self.what) if part)


@dataclass(frozen=True)
class Verification:
    """What was found in a directory."""

    manifest: Manifest
    problems: tuple[Problem, ...]
    not_finite: Mapping[str, NotFinite]
    """The parameters that hold NaN or infinity: counted again, or as the manifest says where contents were not read."""

    @property
    def ok(self) -> bool:
        """Tell whether all is as the manifest says."""
        return not self.problems

    @property
    def hashed(self) -> bool:
        """Tell whether contents could be compared; the merge may have been told not to hash."""
        return self.manifest.hash is not None


def verify(destination: Path, progress: Progress | None = None) -> Verification:
    """Read the output in `destination` again; `progress` gets the bytes of content read so far and in all.

    What is wrong with the output is in the result. Raises FileNotFoundError where there is no manifest, and
    DamagedFileError where it is none: without it nothing can be said.
    """
    manifest = read_manifest(destination / NAME)
    size = sum(parameter.bytes for file in manifest.files for parameter in file.parameters)
    reading = _Reading(size, progress)
    problems = [problem for file in manifest.files for problem in _of_file(destination, file, reading)]
    problems += _of_index(destination, manifest)
    problems += _of_side_files(destination, manifest)
    return Verification(manifest, tuple(problems), reading.not_finite if manifest.hash else manifest.not_finite)


def _of_file(destination: Path, file: MergedFile, reading: "_Reading") -> Iterator[Problem]:
    path = destination / file.name
    try:
        found = walk(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield Problem(file.name, None, "it is missing")
        return
    except OSError as error:
        yield Problem(file.name, None, f"it cannot be read: {error.strerror}")
        return
    except CkptError as error:
        size = path.stat().st_size if path.is_file() else file.size
        resized = f"it has {size} bytes, but {file.size} were written: " if size != file.size else ""
        yield Problem(file.name, None, f"{resized}{error}")
        return
    try:
        if found.fingerprint.size != file.size:
            yield Problem(file.name, None, f"it has {found.fingerprint.size} bytes, but {file.size} were written")
        yield from _of_header(file, found.entries)
        for parameter in file.parameters:
            entry = found.entries.get(parameter.name)
            if entry is not None and parameter.hash is not None:
                yield from _of_content(file.name, parameter, reading.read(descriptor, entry, path))
    finally:
        os.close(descriptor)


def _of_header(file: MergedFile, found: Mapping[str, Entry]) -> Iterator[Problem]:
    """Compare names, order, shapes and types."""
    wanted = {parameter.name: parameter for parameter in file.parameters}
    for name in found:
        if name not in wanted:
            yield Problem(file.name, name, "it is in the file, but not in the manifest")
    for name, parameter in wanted.items():
        entry = found.get(name)
        if entry is None:
            yield Problem(file.name, name, "it is missing")
        elif (shape(entry.dims), entry.type) != (shape(parameter.dims), parameter.type):
            there = f"{parameter.type}{list(parameter.dims)}"
            yield Problem(file.name, name, f"it is {entry.type}{list(entry.dims)}, but {there} was written")
    common = [name for name in found if name in wanted]
    written = [name for name in wanted if name in found]
    moved = next((one for one, other in zip(common, written, strict=True) if one != other), None)
    if moved is not None:
        yield Problem(file.name, moved, "it is not where it was written: the order has changed")


def _of_content(file: str, parameter: MergedParameter, found: "Copied | CkptError | OSError") -> Iterator[Problem]:
    if isinstance(found, OSError):
        yield Problem(file, parameter.name, f"it cannot be read: {found.strerror}")
    elif isinstance(found, CkptError):
        yield Problem(file, parameter.name, str(found))
    elif found.hash != parameter.hash:
        yield Problem(
            file, parameter.name, f"its bytes are not those that were written ({found.hash}, not {parameter.hash})"
        )
    elif parameter.not_finite not in {None, found.not_finite}:
        yield Problem(
            file, parameter.name, f"it holds {found.not_finite}, but the manifest says {parameter.not_finite}"
        )


class _Reading:
    """One buffer that everything is read through."""

    def __init__(self, size: int, progress: Progress | None) -> None:
        self._view = memoryview(bytearray(BLOCK))
        self._size = size
        self._progress = progress
        self._done = 0
        self.not_finite: dict[str, NotFinite] = {}
        """What was found so far, by parameter."""

    def read(self, descriptor: int, entry: Entry, path: Path) -> Copied | CkptError | OSError:
        """Return what an entry's content is, or what kept it from being read: the disk, or a file that shrank."""
        digest = xxhash.xxh3_128()
        tally = Tally(entry.type)
        try:
            for view in blocks(descriptor, entry.extents, path, self._view):
                digest.update(view)
                tally.look(view)
                self._done += len(view)
                if self._progress is not None:
                    self._progress(self._done, self._size)
        except (CkptError, OSError) as error:
            return error
        if tally.found:
            self.not_finite[entry.name] = tally.found
        return Copied(digest.hexdigest(), tally.found)


def _of_index(destination: Path, manifest: Manifest) -> Iterator[Problem]:
    """Check what loaders of safetensors go by: the index, and that no file of another output lies about."""
    files = [file for file in manifest.files if file.name.endswith(_WEIGHTS)]
    places = {parameter.name: file.name for file in files for parameter in file.parameters}
    if not places:
        return
    for path in sorted(destination.glob(f"*{_WEIGHTS}")):
        if path.name not in places.values():
            yield Problem(path.name, None, "it is of another output: a loader of the directory would read it too")
    if manifest.index is not None:
        yield from _wrong_places(destination / manifest.index, places)
    elif (destination / INDEX).exists():
        yield Problem(INDEX, None, "it is of another output: this one is a single file and needs none")


def _of_side_files(destination: Path, manifest: Manifest) -> Iterator[Problem]:
    """Compare the files beside the weights with what was written."""
    for file in manifest.side_files:
        try:
            content = read_bounded(destination / file.name, MOST_BYTES)
        except FileNotFoundError:
            yield Problem(file.name, None, "it is missing")
        except OSError as error:
            yield Problem(file.name, None, f"it cannot be read: {error.strerror}")
        except CkptError as error:
            yield Problem(file.name, None, str(error))
        else:
            if xxhash.xxh3_128_hexdigest(content) != file.hash:
                yield Problem(file.name, None, "its content is not what was written")


def _wrong_places(path: Path, wanted: Mapping[str, str]) -> Iterator[Problem]:
    """Compare an index with the names of parameters and their files."""
    try:
        index = json.loads(path.read_bytes())
    except FileNotFoundError:
        yield Problem(path.name, None, "it is missing")
        return
    except (OSError, ValueError, RecursionError) as error:
        yield Problem(path.name, None, f"it cannot be read: {error}")
        return
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict):
        yield Problem(path.name, None, "it has no weight_map")
        return
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            there = f"it is in {wanted[name]}" if name in wanted else "no file has it"
            yield Problem(path.name, name, f"{there}, but the index says {found.get(name)}")
