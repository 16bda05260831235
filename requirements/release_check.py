# ruff: noqa: INP001 - a program, not a package
"""Builds a release and tries it: whether anybody gets the same bytes, and whether they run where no checkout is.

    release_check.py [PYTHON]

PYTHON is the interpreter of a training environment; with it `glmd demo` is run from the wheel, without it is not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from contents import sha256
from environments import CHECKOUT, DEVELOPMENT_UV, LOCKS

ROOMS = ("daemon", "handlers", "configs", "systemd")
"""Where nothing says which version this is: pyproject.toml does."""
FIRST = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"}
SECOND = {"TZ": "Asia/Shanghai", "LC_ALL": "POSIX", "PYTHONHASHSEED": "2"}


class WrongError(Exception):
    """The release is not as it has to be; the text says what is."""


def say(text: str) -> None:
    """Tell of a step that is done."""
    sys.stdout.write(f"release-check: {text}\n")
    sys.stdout.flush()


def run(*argv: str | Path, **environment: str) -> str:
    """Run a command; return what it prints. Raises CalledProcessError."""
    command = [str(word) for word in argv]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env={**os.environ, **environment})
    return done.stdout


def written_once() -> str:
    """Return the version, which pyproject.toml alone has. Raises WrongError."""
    version = str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
    word = re.compile(rf"(?<![\d.]){re.escape(version)}(?![\d.])")
    texts = (
        path for room in ROOMS for path in (CHECKOUT / room).rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    again = [str(path) for path in texts if word.search(path.read_text(errors="replace"))]
    if again:
        raise WrongError(f"the version, {version}, is written a second time: {', '.join(again)}")
    return version


def build(place: Path, mask: int, **environment: str) -> dict[str, Path]:
    """Build sdist and wheel from a copy of the checkout at `place`; return them by name."""
    tracked = run("git", "-C", CHECKOUT, "ls-files", "-z").split("\0")
    for name in filter(None, tracked):
        copy = place / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, copy)  # with a new time, and the mode that the umask leaves
    before = os.umask(mask)
    try:
        locked = ("--build-constraints", LOCKS / "dev.txt", "--require-hashes", "--python", sys.executable)
        run(DEVELOPMENT_UV, "build", "-q", *locked, "--out-dir", place / "out", place / "source", **environment)
    finally:
        os.umask(before)
    return {path.name: path for path in (place / "out").iterdir() if path.suffix in {".gz", ".whl"}}


def check_bytes(temporary: Path) -> Path:
    """Build twice, in other places, times, zones, languages and umasks; return the wheel. Raises WrongError."""
    first = build(temporary / "first", 0o022, **FIRST)
    second = build(temporary / "another" / "place", 0o077, **SECOND)
    differ = [name for name in first if name not in second or sha256(first[name]) != sha256(second[name])]
    if differ or first.keys() != second.keys():
        raise WrongError(f"built twice, but differ: {', '.join(differ or second)}")
    for name, path in sorted(first.items()):
        say(f"twice the same: {sha256(path)}  {name}")
    return next(path for path in first.values() if path.suffix == ".whl")


def check_wheel(wheel: Path, version: str, temporary: Path, training: str | None) -> None:
    """Install the wheel and what is locked into a fresh environment, and use it. Raises WrongError."""
    environment = temporary / "environment"
    run(DEVELOPMENT_UV, "venv", "-q", "--python", sys.executable, environment)
    install = (DEVELOPMENT_UV, "pip", "install", "-q", "--python", environment)
    run(*install, "--require-hashes", "-r", LOCKS / "runtime.txt")
    run(*install, "--no-deps", wheel)
    run(DEVELOPMENT_UV, "pip", "check", "-q", "--python", environment)
    glmd = environment / "bin" / "glmd"
    if (said := run(glmd, "--version").strip()) != f"glmd {version}":
        raise WrongError(f"{wheel.name} says that it is {said}, not glmd {version}")
    for command in ("serve", "submit", "merge", "web", "demo"):
        run(glmd, command, "--help")
    say(f"runs from a fresh environment: {said}")
    if training is None:
        say("glmd demo was not run: no training environment was named (make demo builds one)")
        return
    run(glmd, "demo", GLMD_TRAINING__PYTHON=training)
    say("glmd demo trained and merged, from the wheel")


def keep(built: Path) -> None:
    """Put what was checked into dist/."""
    (CHECKOUT / "dist").mkdir(exist_ok=True)
    for path in built.glob("glmd-*"):
        shutil.copy(path, CHECKOUT / "dist")
        say(f"dist/{path.name}")


def main() -> int:
    """Do what the command line says; return an exit code."""
    training = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        version = written_once()
        with tempfile.TemporaryDirectory() as name:
            wheel = check_bytes(Path(name))
            check_wheel(wheel, version, Path(name), training)
            keep(wheel.parent)
    except WrongError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"failed, see above: {' '.join(map(str, error.cmd))}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
