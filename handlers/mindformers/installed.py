"""Which MindFormers trains: read from the files of a checkout or an interpreter, which are neither imported nor run."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from handlers.mindformers.version import Version

_MOST = 1 << 16
"""Bytes of a file that are read: ten times the longest that says a version."""
_SAYS = (
    # Where the releases say their version, the first that says one counts.
    ("mindformers/__init__.py", re.compile(r"^__version__\s*=\s*['\"]([^'\"\n]{1,60})['\"]", re.MULTILINE)),  # from 1.1
    ("setup.py", re.compile(r"^\s*version\s*=\s*['\"]([^'\"\n]{1,60})['\"]", re.MULTILINE)),  # from 0.3
    (".git/HEAD", re.compile(r"^ref: refs/heads/([^\s/]{1,60})$", re.MULTILINE)),  # a branch as r1.3.0
)
_HOME = re.compile(r"^home\s*=\s*(/.*?)\s*$", re.MULTILINE)
_SITE = re.compile(r"^include-system-site-packages\s*=\s*true\s*$", re.MULTILINE | re.IGNORECASE)
_METADATA = re.compile(r"mindformers-([^-/]{1,60})(?:-py[\d.]+)?\.(?:dist|egg)-info")
_PYTHON = re.compile(r"python3\.\d+")


@dataclass(frozen=True)
class Installed:
    """A MindFormers, or why none is known."""

    version: Version | None
    text: str
    """The version as it is written: `0.8.0`, `1.6.0rc1`. Where it is not known, why."""
    source: str = ""
    """Where that was read."""
    package: Path | None = None
    """The directory mindformers/ that is imported."""

    def __str__(self) -> str:
        if self.version is None:
            return f"MindFormers of an unknown version ({self.text})"
        return f"MindFormers {self.text} ({self.source})"


def named(text: str, source: str) -> Installed:
    """Return the MindFormers of a version that somebody names; raises ValueError."""
    return Installed(Version.parse(text), text.strip(), source)


def find_installed(checkout: Path, python: Path) -> Installed:
    """Return which MindFormers `checkout`/run_mindformer.py imports when `python` runs it.

    That is the checkout's own package where it has one; else the interpreter's. Whatever is wrong with the files, the
    version is not known then: nothing is raised.
    """
    if _kind(checkout / "mindformers") == stat.S_IFDIR:
        return _of_checkout(checkout)
    for directories in _site_packages(python):
        found = [path for directory in directories for path in _entries(directory, "mindformers-*")]
        installed = {
            version: Installed(version, match[1], str(path.parent), path.parent / "mindformers")
            for path in found
            if (match := _METADATA.fullmatch(path.name)) and (version := _parsed(match[1]))
        }
        if installed:
            several = Installed(None, f"{python} has {' and '.join(map(str, sorted(installed)))}")
            return several if len(installed) > 1 else installed.popitem()[1]
    return Installed(None, f"{checkout} has no directory mindformers/, and {python} no package that says its version")


def text_of(path: Path) -> str:
    """Return the beginning of a regular file, as far as it is text; nothing where it cannot be read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return ""
        return _beginning(path, status.st_ino, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError):
        return ""


def _of_checkout(checkout: Path) -> Installed:
    package = checkout / "mindformers"
    for name, says in _SAYS:
        match = says.search(text_of(checkout / name))
        if match and (version := _parsed(match[1])):
            return Installed(version, match[1], str(checkout), package)
    return Installed(None, f"neither setup.py nor mindformers/__init__.py in {checkout} says it", package=package)


def _parsed(text: str) -> Version | None:
    try:
        return Version.parse(text)
    except ValueError:
        return None


def _site_packages(python: Path) -> Iterator[list[Path]]:
    """Yield the directories that `python` imports packages from: those of a virtual environment, then of its base."""
    prefix = python.absolute().parent.parent  # not resolved: the link in a virtual environment is what makes it one
    settings = text_of(prefix / "pyvenv.cfg")
    base = _resolved(python)
    name = base.name if _PYTHON.fullmatch(base.name) else "python3.*"
    prefixes = [prefix]
    if not settings:
        prefixes.append(base.parent.parent)
    elif _SITE.search(settings) and (home := _HOME.search(settings)):
        prefixes.append(Path(home[1]).parent)
    for prefix in dict.fromkeys(prefixes):
        libraries = _entries(prefix / "lib", name)
        # dist-packages are Debian's.
        yield [library / kind for library in libraries for kind in ("site-packages", "dist-packages")]


def _entries(directory: Path, pattern: str) -> list[Path]:
    try:
        return sorted(directory.glob(pattern))
    except (OSError, ValueError):
        return []


def _resolved(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def _kind(path: Path) -> int:
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):
        return 0


@lru_cache(maxsize=64)
def _beginning(path: Path, *_identity: int) -> str:
    """Read `path`, once for each of its states; a job that waits is checked every few seconds."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _MOST).decode(errors="replace")
    finally:
        os.close(descriptor)
