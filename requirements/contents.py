# ruff: noqa: INP001 - of a program, not of a package
"""The list of what is in a bundle, with hashes and licences, as a CycloneDX document (an SBOM)."""

from __future__ import annotations

import hashlib
import uuid
from email.parser import HeaderParser
from typing import TYPE_CHECKING, NamedTuple
from zipfile import ZipFile

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from email.message import Message
    from pathlib import Path

PSF = "PSF-2.0"
"""CPython's licence; an archive has a copy, and those of the libraries in it, in python/licenses or share/."""
SHORT = 100
"""Characters: longer ones are a licence's text, not its name."""


class Package(NamedTuple):
    """What a file of a bundle says of itself."""

    name: str
    version: str
    licence: str | None


def describe_wheel(wheel: Path) -> Package:
    """Read a wheel's METADATA (https://packaging.python.org/specifications/core-metadata/)."""
    with ZipFile(wheel) as stream:
        (member,) = (
            name for name in stream.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        )
        said = HeaderParser().parsestr(stream.read(member).decode())
    return Package(said["Name"], said["Version"], licence_of(said))


def licence_of(said: Message) -> str | None:
    """Return the licence that metadata names, in the newest of the three ways that there are."""
    if expression := said["License-Expression"]:
        return str(expression)
    prefix = "License :: "
    named = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier", []) if line.startswith(prefix)]
    text = (said["License"] or "").strip()
    if text and len(text) <= SHORT and "\n" not in text and text != "UNKNOWN":
        return text
    return " and ".join(named) or None


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def component(path: Path, package: Package) -> Component:
    """Return a file as a component of the document."""
    is_python = package.name == "cpython"
    licences = [LicenseFactory().make_from_string(package.licence)] if package.licence else []
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.APPLICATION if is_python else ComponentType.LIBRARY,
        bom_ref=path.name,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256(path))],
        licenses=licences,
        purl=PackageURL(
            type="generic" if is_python else "pypi",
            name=package.name.lower().replace("_", "-"),
            version=package.version,
            qualifiers={"file_name": path.name},
        ),
    )


def document(glmd: Package, files: Iterable[tuple[Path, Package]], made: datetime) -> str:
    """Return the list for these files: the same for the same files and time."""
    bom = Bom()
    root = Component(name=glmd.name, version=glmd.version, type=ComponentType.APPLICATION, bom_ref="bundle")
    bom.metadata.component, bom.metadata.timestamp = root, made
    parts = [component(path, package) for path, package in files]
    bom.components.update(parts)
    bom.register_dependency(root, parts)
    hashes = "".join(sorted(each.content for part in parts for each in part.hashes))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, hashes)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
