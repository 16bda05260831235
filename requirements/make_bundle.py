# ruff: noqa: INP001 - a program, not a package
"""Packs one tar from which glmd is installed without a network, with the Python of .venv: see docs/install.md.

    make_bundle.py --out FILE [--pythons 3.11,3.12] [--architectures aarch64] [--training] [ARCHIVE…]

An ARCHIVE is an interpreter to be taken along: python-build-standalone's cpython-…-install_only.tar.gz. With --training
the environments that `glmd demo` trains in are taken along, too (their wheels: 3 GB). Whatever comes from the network
has a hash in the locks. The same files and SOURCE_DATE_EPOCH make the same tar.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import contents
from bundled import MissingError
from environments import CHECKOUT, DEVELOPMENT_UV, LOCKS, build_wheel, run
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

ARCHITECTURES = ("x86_64", "aarch64")
GLIBC = 28
"""2.28 is what openEuler 20.03 and Kylin V10 have: wheels for a newer glibc are not taken."""
PLAIN = (
    *("Makefile", "Containerfile", "README.md", "README.zh-CN.md", "SECURITY.md", "LICENSE", "CHANGELOG.md"),
    *("configs", "docs", "monitoring", "requirements", "systemd"),
)
"""What `make install` needs of a checkout, and what people read."""
TRAINING = {"configs/rehearsal/requirements.txt": "3.9", "requirements/today.txt": "3.11"}
"""The locks of what `glmd demo` trains in, and for which Python."""
ARCHIVE = re.compile(r"cpython-(3\.\d+)\.\d+\+\d+-(x86_64|aarch64)-unknown-linux-gnu-install_only(_stripped)?\.tar\.gz")
ONLY_SOURCE = ("jieba",)
"""What the locks of trainings name and PyPI has no wheel of. All of it is Python, so one wheel does for each target."""
EPOCH = 1577836800
"""2020-01-01, where SOURCE_DATE_EPOCH says nothing: zip knows no time before 1980."""


class Target(NamedTuple):
    """What wheels are for."""

    python: str
    architecture: str

    def wants(self, requirement: str) -> bool:
        """Whether a line of a lock counts here."""
        marker = Requirement(requirement).marker
        environment = {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "platform_machine": self.architecture,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        return marker is None or marker.evaluate(environment)

    def platforms(self) -> list[str]:
        """Return pip's options for each platform tag whose wheels run on a glibc of GLIBC."""
        old = ("manylinux2014", "manylinux2010", "manylinux1")
        tags = [f"manylinux_2_{minor}" for minor in range(GLIBC, 4, -1)] + list(old)
        return [word for tag in tags for word in ("--platform", f"{tag}_{self.architecture}")]


def locked_for(lock: Path, target: Target) -> dict[str, str]:
    """Return what a lock has for `target`, by package, without markers, which pip would hold against this host."""
    kept = {}
    for block in re.split(r"\n(?=[a-z])", lock.read_text()):
        name, _, hashes = block.partition(" \\\n")
        if not name.startswith("#") and target.wants(name):
            kept[name.partition("==")[0]] = f"{name.partition(' ;')[0]} \\\n{hashes}\n"
    return kept


def download(lock: Path, target: Target, wheels: Path) -> None:
    """Put what a lock names into `wheels`, its hashes checked."""
    locked = locked_for(lock, target)
    sources = {name: locked.pop(name) for name in ONLY_SOURCE if name in locked}
    which = ["--implementation", "cp", "--python-version", target.python, *target.platforms()]
    fetch(locked.values(), wheels, "--only-binary", ":all:", *which)
    for name, line in sources.items():
        if not any(wheels.glob(f"{name}-*.whl")):
            with tempfile.TemporaryDirectory() as place:
                fetch([line], Path(place), "--no-binary", ":all:", "--no-build-isolation")
                (source,) = Path(place).iterdir()
                build = ["--build-constraints", LOCKS / "dev.txt", "--require-hashes", "--out-dir", wheels, source]
                run(DEVELOPMENT_UV, "build", "-q", "--wheel", "--python", sys.executable, *build)


def fetch(lines: Iterable[str], place: Path, *options: str) -> None:
    """Let pip put the files of these lines of a lock into `place`, when they have the hashes that the lines name."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as stream:
        stream.write("".join(lines))
        stream.flush()
        pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", *options)
        run(*pip, "-d", place, "-r", stream.name)


def allow(lock: Path, wheels: Path) -> None:
    """Add to a lock in the bundle the hashes of wheels that were built here, of sources with hashes of the lock."""
    text = lock.read_text()
    for name in ONLY_SOURCE:
        for wheel in wheels.glob(f"{name}-*.whl"):
            text = re.sub(rf"(?m)^({name}==\S+.*\n)", rf"\1    --hash=sha256:{contents.sha256(wheel)} \\\n", text)
    lock.write_text(text)


def supported() -> tuple[str, ...]:
    """Return the versions of Python that glmd's classifiers name."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return tuple(re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"])))


def checked(archive: Path, pythons: set[str]) -> tuple[str, str]:
    """Return version and architecture of an interpreter's archive. Raises MissingError."""
    named = ARCHIVE.fullmatch(archive.name)
    if not named:
        raise MissingError(
            f"{archive.name} is no archive of an interpreter by its name: take one of python-build-standalone's, named "
            "cpython-3.12.N+DATE-aarch64-unknown-linux-gnu-install_only.tar.gz (gnu, not musl)"
        )
    if named[1] not in pythons:
        raise MissingError(
            f"{archive.name}: the bundle has no wheels for {named[1]}, only for {', '.join(sorted(pythons))}"
        )
    with tarfile.open(archive) as stream:
        if "python/bin/python3" not in stream.getnames():
            raise MissingError(f"{archive.name} has no python/bin/python3: is it whole?")
    return named[1], named[2]


def fill(directory: Path, asked: argparse.Namespace, made: datetime) -> None:
    """Lay out in `directory` what the bundle has."""
    for name in PLAIN:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, directory / name)
    wheels, interpreters = directory / "wheels", directory / "interpreters"
    wheels.mkdir()
    build_wheel(DEVELOPMENT_UV, sys.executable, wheels)
    (glmd,) = wheels.glob("*.whl")
    jobs = [(LOCKS / "notify.txt", Target(python, arch)) for arch in asked.architectures for python in asked.pythons]
    jobs += [(LOCKS / "uv.txt", Target("3.11", arch)) for arch in asked.architectures]
    if asked.training:
        jobs += [
            (CHECKOUT / lock, Target(python, arch)) for arch in asked.architectures for lock, python in TRAINING.items()
        ]
    for lock, target in jobs:
        sys.stderr.write(f"{lock.name} for {target.architecture}, Python {target.python}\n")
        download(lock, target, wheels)
    for lock in TRAINING:
        allow(directory / lock, wheels)
    (wheels / ".gitignore").unlink()  # uv's
    files = [(wheel, contents.describe_wheel(wheel)) for wheel in sorted(wheels.iterdir())]
    for archive in asked.archives:
        checked(archive, {*asked.pythons, *(TRAINING.values() if asked.training else ())})
        interpreters.mkdir(exist_ok=True)
        copied = Path(shutil.copy(archive, interpreters))
        files.append((copied, contents.Package("cpython", archive.name.split("-")[1], contents.PSF)))
    package = contents.describe_wheel(glmd)
    (directory / "sbom.cdx.json").write_text(contents.document(package, files, made))
    record = {"version": package.version, "pythons": asked.pythons, "architectures": asked.architectures}
    (directory / "bundle.json").write_text(json.dumps(record, indent=2) + "\n")
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    sums = "".join(f"{contents.sha256(path)}  {path.relative_to(directory)}\n" for path in paths)
    (directory / "SHA256SUMS").write_text(sums)
    silent = sorted({package.name for _, package in files if package.licence is None})
    if silent:
        sys.stderr.write(f"say nothing of their licence: {', '.join(silent)}\n")


def pack(directory: Path, name: str, out: Path, made: datetime) -> None:
    """Write a tar in which no trace is of this host or of when it was written; it appears whole."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = int(made.timestamp())
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    buffer = out.with_name(f"{out.name}.part")
    with tarfile.open(buffer, "w", format=tarfile.PAX_FORMAT) as stream:
        for path in sorted(directory.rglob("*")):
            stream.add(path, f"{name}/{path.relative_to(directory)}", recursive=False, filter=plain)
    buffer.rename(out)


def refuse_strange(asked: argparse.Namespace) -> None:
    """Refuse what no bundle can be made for. Raises MissingError."""
    for chosen, known in ((asked.pythons, supported()), (asked.architectures, ARCHITECTURES)):
        if strange := set(chosen) - set(known):
            raise MissingError(f"not known: {', '.join(sorted(strange))}; known: {', '.join(known)}")


def main() -> int:
    """Do what the command line says; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.replace(",", " ").split()  # noqa: E731 - as argparse wants it
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--pythons", type=words, default=list(supported()))
    parser.add_argument("--architectures", type=words, default=list(ARCHITECTURES))
    parser.add_argument("--training", action="store_true")
    parser.add_argument("archives", type=Path, nargs="*")
    asked = parser.parse_args()
    made = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or EPOCH), UTC)
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    out = asked.out or CHECKOUT / "dist" / f"glmd-{version}-bundle.tar"
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        refuse_strange(asked)
        with tempfile.TemporaryDirectory(dir=out.parent) as name:
            fill(Path(name), asked, made)
            pack(Path(name), f"glmd-{version}", out, made)
    except MissingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"failed, see above: {' '.join(map(str, error.cmd))}\n")
        return 1
    sys.stdout.write(f"{contents.sha256(out)}  {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
