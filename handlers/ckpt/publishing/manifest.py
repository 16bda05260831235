"""manifest.json, beside a merged checkpoint: what is in it, what it was made of, and with which tools."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import xxhash

from handlers.ckpt.codes import Code
from handlers.ckpt.entry import Fingerprint, NotFinite
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.planning.origin import Origin
from handlers.ckpt.planning.output import INDEX, TRANSFORMED, Renaming
from handlers.ckpt.planning.trained_on import TrainedOn

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    # Anyone who reads a manifest needs neither what copies nor its libraries.
    from handlers.ckpt.copying.copy import Copied, CopyOptions
    from handlers.ckpt.planning.assembled import Written
    from handlers.ckpt.planning.output import Output, OutputFile
    from handlers.ckpt.planning.plan import Plan

NAME = "manifest.json"
HASH = "xxh3_128"
"""Not cryptographic; chosen since it keeps up with memory, so that hashing does not limit the copy."""
MOST_BYTES = 256 << 20
"""Of a manifest: half a million parameters, several times what the largest model has with all its moments."""
FORMAT: Literal[2] = 2


def utf8(name: str) -> str:
    r"""Return a file's name for the manifest: bytes that are no UTF-8, which JSON cannot have, as `\xff`."""
    return os.fsencode(name).decode(errors="backslashreplace")


@dataclass(frozen=True)
class File:
    """A file as it was when it was read or written."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path, fingerprint: Fingerprint) -> Self:
        """Describe `path`."""
        return cls(utf8(str(path.absolute())), **asdict(fingerprint))

    @property
    def fingerprint(self) -> Fingerprint:
        """What to compare with the file of today."""
        return Fingerprint(self.size, self.mtime_ns, self.inode)


@dataclass(frozen=True)
class MergedParameter:
    """One parameter of the output. `dims` are as written: [0] is a scalar of shape ()."""

    name: str
    dims: tuple[int, ...]
    type: str
    bytes: int
    hash: str | None
    """Of the content, in hexadecimal digits; None where hashing was left out."""
    nan: int | None = None
    """Elements that are NaN; None where they were not counted, by a glmd of before."""
    infinite: int | None = None
    """Likewise."""

    @classmethod
    def of(cls, parameter: "Written", copied: "Copied") -> Self:
        """Describe `parameter`."""
        found = copied.not_finite
        dims, nbytes = parameter.dims, parameter.nbytes
        return cls(parameter.name, dims, parameter.type, nbytes, copied.hash, found.nan, found.infinite)

    @property
    def not_finite(self) -> NotFinite | None:
        """What was counted, if it was."""
        return NotFinite(self.nan, self.infinite) if self.nan is not None and self.infinite is not None else None

    def is_of(self, parameter: "Written") -> bool:
        """Tell whether `parameter` would be the same again, over the same sources."""
        return (self.name, self.dims, self.type, self.bytes) == (
            parameter.name,
            parameter.dims,
            parameter.type,
            parameter.nbytes,
        )


@dataclass(frozen=True)
class MergedFile:
    """One file of the output, beside the manifest. `parameters` are in file order."""

    name: str
    size: int
    mtime_ns: int
    inode: int
    parameters: tuple[MergedParameter, ...]

    @classmethod
    def of(cls, name: str, fingerprint: Fingerprint, parameters: Sequence[MergedParameter]) -> Self:
        """Describe the file `name`."""
        return cls(name, **asdict(fingerprint), parameters=tuple(parameters))

    @property
    def fingerprint(self) -> Fingerprint:
        """What to compare with the file of today."""
        return Fingerprint(self.size, self.mtime_ns, self.inode)

    @property
    def not_finite(self) -> Mapping[str, NotFinite] | None:
        """The parameters that hold NaN or infinity; None where not all were counted."""
        counts = {parameter.name: parameter.not_finite for parameter in self.parameters}
        if None in counts.values():
            return None
        return {name: count for name, count in counts.items() if count}

    def is_of(self, file: "OutputFile") -> bool:
        """Tell whether `file` would be the same again, over the same sources."""
        return (self.name, self.size, len(self.parameters)) == (file.name, file.size, len(file.placed)) and all(
            had.is_of(placement.parameter) for had, placement in zip(self.parameters, file.placed, strict=True)
        )


@dataclass(frozen=True)
class CopiedFile:
    """A file of the output that holds no parameters, as config.json."""

    name: str
    size: int
    hash: str
    """xxh3_128, whatever was hashed otherwise: such files are small."""


@dataclass(frozen=True)
class Manifest:
    """manifest.json."""

    format: Literal[2]
    created: str
    """ISO 8601, UTC."""
    tools: Mapping[str, str]
    prefix: str
    tag: str
    files: tuple[MergedFile, ...]
    index: str | None
    """The file that says which parameter is in which of the files, where there are several."""
    sources: Mapping[int, File]
    """The shards, by rank; of a save in MindFormers' new format its files, by their number in the order of names."""
    strategies: tuple[File, ...]
    """The strategy files that were needed: one a pipeline stage; or metadata.json of a save in the new format."""
    entries_in: int
    """How many entries the shards have."""
    dropped: Mapping[str, int]
    """How many of them stayed behind, by family."""
    unlaid: tuple[str, ...]
    """Parameters that no strategy names: the first rank's were taken, once all were found to agree (if compared)."""
    updates: Mapping[str, float]
    """Weights that a LoRA adapter was merged into, two entries of the shards each, and its scaling."""
    hash: str | None
    """The hash function; None where hashing was left out."""
    replicas_compared: bool
    """False where it was left out: replicas were trusted to be equal."""
    dropped_by_prefix: Mapping[str, int] = field(default_factory=dict)
    """Of what is no weight and no scalar: by what the names begin with, as `adam_m`. Manifests of before have none."""
    origin: Origin | None = None
    """What made the shards; None in a merge by hand, and in manifests of versions that did not keep it."""
    inputs: tuple[TrainedOn, ...] = ()
    """The files that the shards were trained on, as far as the training named them (`glmd: inputs:`)."""
    renaming: Renaming | None = None
    """Under whose names the parameters are; None for their names in the shards."""
    side_files: tuple[CopiedFile, ...] = ()
    """What lies beside the weights for Hugging Face's libraries."""

    @property
    def names(self) -> tuple[str, ...]:
        """What all files but the manifest are called."""
        index = (self.index,) if self.index is not None else ()
        return (*(file.name for file in self.files), *index, *(side_file.name for side_file in self.side_files))

    @property
    def size(self) -> int:
        """Bytes of all files that hold parameters."""
        return sum(file.size for file in self.files)

    @property
    def parameters(self) -> tuple[MergedParameter, ...]:
        """What was kept: the parameters of all files but of `transformed.ckpt`."""
        return tuple(parameter for file in self.files if file.name != TRANSFORMED for parameter in file.parameters)

    @property
    def counted(self) -> bool:
        """Tell whether NaN and infinity were counted in all files."""
        return all(file.not_finite is not None for file in self.files)

    @property
    def not_finite(self) -> Mapping[str, NotFinite]:
        """The parameters of those that were kept which hold NaN or infinity, as far as they were counted."""
        return {parameter.name: parameter.not_finite for parameter in self.parameters if parameter.not_finite}

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False).encode() + b"\n"

    def is_of(self, plan: "Plan", output: "Output", copy_options: "CopyOptions") -> bool:
        """Tell whether carrying out `plan` would make the same output again, with no more care than was taken."""
        return (
            (self.hash is not None or not copy_options.hashed)
            and (self.replicas_compared or not copy_options.compared)
            and self.counted
            and {rank: source.fingerprint for rank, source in self.sources.items()}
            == {rank: shard.fingerprint for rank, shard in plan.shards.items()}
            and self.updates == plan.updates
            and (self.renaming, self.side_files) == (output.renaming, _copied(output))
            and [file.fingerprint for file in self.strategies] == list(plan.strategy_files.values())
            and len(self.files) == len(output.files)
            and all(file.is_of(wanted) for file, wanted in zip(self.files, output.files, strict=True))
        )


@cache
def _adapter() -> "TypeAdapter[Manifest]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - slower than all the rest of this package, and `glmd status` waits

    return TypeAdapter(Manifest)


def read_manifest(path: Path) -> Manifest:
    """Read manifest.json; raises DamagedFileError where it is not one, and OSError."""
    return decode_manifest(read_bounded(path, MOST_BYTES), path)


def decode_manifest(content: bytes, path: Path) -> Manifest:
    """Return the manifest that `path` holds; raises DamagedFileError where it is not one."""
    from pydantic import ValidationError  # noqa: PLC0415 - as above, and most merges find no manifest to read

    try:
        manifest = _adapter().validate_json(content)
    except ValidationError as error:
        raise unreadable(path, error) from error
    check_names(path, manifest.names)
    return manifest


def unreadable(path: Path | str, error: "ValidationError") -> DamagedFileError:
    """Return what there is to say of a manifest that pydantic refuses."""
    first = error.errors(include_url=False)[0]
    where = ": ".join([str(path), *filter(None, [".".join(map(str, first["loc"]))])])
    return DamagedFileError(f"{where}: {first['msg']}; it is no manifest of glmd", Code.DAMAGED_MANIFEST)


def check_names(path: Path | str, names: Sequence[str]) -> None:
    """Raise DamagedFileError unless these name files beside `path`: they are read, and removed where replaced."""
    for name in names:
        if name in {"", ".."} or "/" in name or name == "." or "\0" in name:
            raise DamagedFileError(
                f"{path}: {name!r} is not the name of a file beside it; it is no manifest of glmd",
                Code.DAMAGED_MANIFEST,
            )


def manifest_of(
    plan: "Plan", files: Sequence[MergedFile], output: "Output", copy_options: "CopyOptions", *, prefix: str, tag: str
) -> Manifest:
    """Describe `files`, which are `plan` carried out."""
    return Manifest(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tools={"glmd": _own_version(), "python": platform.python_version(), "xxhash": xxhash.VERSION},
        prefix=prefix,
        tag=tag,
        files=tuple(files),
        index=INDEX if output.index is not None else None,
        sources={rank: File.of(shard.path, shard.fingerprint) for rank, shard in sorted(plan.shards.items())},
        strategies=tuple(File.of(path, fingerprint) for path, fingerprint in plan.strategy_files.items()),
        entries_in=plan.entries_in,
        dropped=plan.dropped,
        unlaid=plan.unlaid,
        updates=plan.updates,
        hash=HASH if copy_options.hashed else None,
        replicas_compared=copy_options.compared,
        dropped_by_prefix=plan.dropped_by_prefix,
        origin=plan.origin,
        inputs=plan.trained_on,
        renaming=output.renaming,
        side_files=_copied(output),
    )


def _copied(output: "Output") -> tuple[CopiedFile, ...]:
    return tuple(CopiedFile(side_file.name, side_file.size, side_file.hash) for side_file in output.side_files)


def _own_version() -> str:
    try:
        return importlib.metadata.version("glmd")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # used from a source tree that is not installed
