# ruff: noqa: INP001 - of a program, not of a package
"""What an unpacked bundle has, where environments.py stands in one: it then takes nothing from a network.

As environments.py it needs Python ≥ 3.8 and nothing else; make_bundle.py packs bundles.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
RECORD = CHECKOUT / "bundle.json"
"""The versions of Python that the wheels are for, and the architectures."""
WHEELS = CHECKOUT / "wheels"


class MissingError(Exception):
    """This machine lacks something; the text says what to do about it."""


def is_here() -> bool:
    """Whether this is an unpacked bundle, and no checkout."""
    return RECORD.exists()


def said(version: tuple[int, int]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))


def pythons() -> list[tuple[int, int]]:
    """Return the versions that the bundle's wheels for glmd are for, in order; none where this is no bundle."""
    if not is_here():
        return []
    told = json.loads(RECORD.read_text())
    if platform.machine() not in told["architectures"]:
        raise MissingError(f"this bundle is for {', '.join(told['architectures'])}; this host is {platform.machine()}")
    return sorted(tuple(map(int, version.split("."))) for version in told["pythons"])


def archive_of(version: tuple[int, int]) -> Path | None:
    """Return the archive of the bundle's interpreter of this `version` for this machine."""
    pattern = f"interpreters/cpython-{said(version)}.*-{platform.machine()}-*.tar.gz"
    return next(iter(sorted(CHECKOUT.glob(pattern))), None)


def unpack(archive: Path, place: Path) -> str:
    """Put the bundle's interpreter into `place`/python; return its path. One of before goes when this one is whole."""
    kept, fresh, old = (place / name for name in ("python", "python.new", "python.old"))
    if not (kept / archive.name).exists():  # else it is this one
        sys.stderr.write(f"interpreter: {archive.name}, to {kept}\n")
        for left in (fresh, old):  # by one that was interrupted
            shutil.rmtree(left, ignore_errors=True)
        with tarfile.open(archive) as stream:
            if hasattr(tarfile, "data_filter"):
                stream.extractall(fresh, filter="data")
            else:
                stream.extractall(fresh)  # noqa: S202 - of the bundle, whose hashes `make install` has checked
        (fresh / "python" / archive.name).touch()
        if kept.exists():
            kept.rename(old)
        (fresh / "python").rename(kept)
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
    return str(kept / "bin" / "python3")


def uv(place: Path) -> Path:
    """Unpack the bundle's uv for this machine into `place`: no Python, pip or venv module is needed for it."""
    (wheel,) = WHEELS.glob(f"uv-*_{platform.machine()}.*whl")
    with zipfile.ZipFile(wheel) as stream:
        member = next(name for name in stream.namelist() if name.endswith("/scripts/uv"))
        program = Path(stream.extract(member, place))
    program.chmod(0o755)
    return program


def options() -> tuple[str | Path, ...]:
    """Return what lets uv take all from the bundle, and none from a network; nothing where this is no bundle."""
    return ("--offline", "--no-cache", "--no-index", "--find-links", WHEELS) if is_here() else ()


def point_beside(directory: Path, python: Path) -> None:
    """Let an environment know the interpreter beside it by where both will be once DESTDIR has been taken away."""
    link, settings = directory / "bin" / "python", directory / "pyvenv.cfg"
    link.unlink()
    link.symlink_to(os.path.relpath(python, link.parent))
    final = Path("/") / python.parent.relative_to(os.environ.get("DESTDIR") or "/")
    settings.write_text(re.sub(r"^home = .*$", f"home = {final}", settings.read_text(), flags=re.MULTILINE))
