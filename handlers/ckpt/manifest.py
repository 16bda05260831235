"""manifest.json, beside a merged checkpoint: what is in it, what it was made of, and with which tools."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import xxhash

from handlers.ckpt.durable import publish_bytes
from handlers.ckpt.entry import Family, Fingerprint
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.plan import Plan

if TYPE_CHECKING:
    from pydantic import TypeAdapter

NAME = "manifest.json"
HASH = "xxh3_128"
"""Not cryptographic; chosen since it keeps up with memory, so that hashing does not limit the copy."""
FORMAT = 1


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
        return cls(str(path.absolute()), **asdict(fingerprint))

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
    hash: str
    """Of the content, in hexadecimal digits."""


@dataclass(frozen=True)
class Manifest:
    """manifest.json."""

    format: int
    created: str
    """ISO 8601, UTC."""
    tools: Mapping[str, str]
    prefix: str
    tag: str
    output: File
    sources: Mapping[int, File]
    """The shards, by rank."""
    strategy: File | None
    entries_in: int
    """How many entries a shard has."""
    dropped: Mapping[Family, int]
    unlaid: tuple[str, ...]
    """Parameters that no strategy names; all ranks were found to agree on them, and rank 0's were taken."""
    hash: str
    parameters: tuple[MergedParameter, ...]

    def publish(self, path: Path) -> None:
        """Write it to `path` durably."""
        publish_bytes(path, _adapter().dump_json(self, indent=2) + b"\n")

    def is_of(self, plan: Plan, *, prefix: str, tag: str) -> bool:
        """Tell whether carrying out `plan` would make the same output again."""
        return (
            (self.prefix, self.tag) == (prefix, tag)
            and {rank: source.fingerprint for rank, source in self.sources.items()}
            == {rank: shard.fingerprint for rank, shard in plan.shards.items()}
            and (self.strategy and self.strategy.fingerprint) == (plan.strategy and plan.strategy.fingerprint)
            and [(each.name, each.dims) for each in self.parameters]
            == [(each.name, each.dims) for each in plan.parameters]
        )


@cache
def _adapter() -> "TypeAdapter[Manifest]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - slower than all the rest of this package, and `glmd status` waits

    return TypeAdapter(Manifest)


def read_manifest(path: Path) -> Manifest:
    """Read manifest.json; raises DamagedFileError where it is not one, and OSError."""
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    content = path.read_bytes()
    try:
        return _adapter().validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DamagedFileError(f"{path}: {where}: {first['msg']}; it is no manifest of glmd") from error


def manifest_of(plan: Plan, output: File, hashes: Sequence[str], *, prefix: str, tag: str) -> Manifest:
    """Describe `output`, which is `plan` carried out; `hashes` are in the order of the plan's parameters."""
    return Manifest(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tools={"glmd": _own_version(), "python": platform.python_version(), "xxhash": xxhash.VERSION},
        prefix=prefix,
        tag=tag,
        output=output,
        sources={rank: File.of(shard.path, shard.fingerprint) for rank, shard in sorted(plan.shards.items())},
        strategy=File.of(plan.strategy.path, plan.strategy.fingerprint) if plan.strategy is not None else None,
        entries_in=plan.entries_in,
        dropped=plan.dropped,
        unlaid=plan.unlaid,
        hash=HASH,
        parameters=tuple(
            MergedParameter(each.name, each.dims, each.type, each.nbytes, digest)
            for each, digest in zip(plan.parameters, hashes, strict=True)
        ),
    )


def _own_version() -> str:
    try:
        return importlib.metadata.version("glmd")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # used from a source tree that is not installed
