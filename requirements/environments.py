# ruff: noqa: INP001 - a program, not a package
"""Builds the virtual environments from the locks beside this file, with any Python ≥ 3.8 and nothing else.

In an unpacked bundle (`make bundle`) it takes all from there: wheels, uv, and an interpreter where the host has none.

    environments.py development DIR     glmd as it stands here, with its tools
    environments.py runtime DIR         glmd as a copy, for a server; DIR may be moved afterwards
    environments.py training DIR        MindSpore 2.0 and MindFormers 0.8, for GLM-6B, on Python 3.9
    environments.py today DIR           MindSpore 2.9 and MindFormers 1.9, for GLM-4, on Python 3.11
    environments.py torch DIR           transformers with torch for processors, which load what is merged for them
    environments.py docs DIR            Sphinx, for `make docs`, on Python 3.11
    environments.py wheels              prints what tells uv where the last one's torch lies, for `make lock`

Running it again is safe. PYTHON, PYTHON39 and PYTHON311 name an interpreter to use instead of the first that fits.
NOTIFY=1 adds what `runtime` needs to send to robots of chats. DESTDIR is where `runtime` is for now, as with make.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import bundled
from bundled import MissingError, said

LOCKS = Path(__file__).resolve().parent
CHECKOUT = LOCKS.parent
DEVELOPMENT_UV = CHECKOUT / ".venv" / "bin" / "uv"
PYTORCH = "https://download.pytorch.org/whl/cpu/torch/"
"""Where torch for processors alone is to be had, unless pip is told of a place: PyPI has none for x86-64."""
MINDSPORE_LOADS = {"libgomp.so.1": "Debian: apt-get install libgomp1; openEuler: dnf install libgomp"}
"""What MindSpore's wheels take from the host and do not say; a minimal Debian lacks it."""
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")


class Interpreter(NamedTuple):
    """A Python that runs."""

    path: str
    version: tuple[int, int]
    has_venv: bool


def run(*argv: str | Path) -> None:
    """Run a command, its output to ours."""
    subprocess.run([str(word) for word in argv], check=True)


def probe(python: str | Path) -> Interpreter | None:
    """Return what `python` is; None when it does not run, as a pyenv shim of a version that is not selected."""
    # Debian ships venv without ensurepip, in which case it fails half-way.
    code = (
        "import sys, importlib.util as u; print(*sys.version_info[:2], u.find_spec('ensurepip') and 1, sys.executable)"
    )
    try:
        answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor, has_venv, path = answer.strip().split(" ", 3)
    return Interpreter(path, (int(major), int(minor)), has_venv == "1")


def find_python(place: Path) -> str:
    """Return an interpreter for glmd itself; one of the bundle is unpacked into `place`. Raises MissingError."""
    named = os.environ.get("PYTHON")
    refused = []
    fitting = bundled.pythons()
    for name in [named] if named else PYTHONS:
        found = probe(name)
        if found and fitting and found.version not in fitting:
            refused.append(f"  {found.path} is {said(found.version)}\n")
        elif found and found.version >= (3, 11) and (found.has_venv or fitting):  # the bundle's uv needs no venv module
            return found.path
        elif found and found.version >= (3, 11):
            package = f"python3.{found.version[1]}-venv"
            refused.append(f"  {found.path} lacks the venv module (Debian: apt-get install {package})\n")
        elif found:
            refused.append(f"  {found.path} is {said(found.version)}\n")
    if not named and (archives := [archive for version in fitting if (archive := bundled.archive_of(version))]):
        return bundled.unpack(archives[-1], place)
    needed = "3.11 or later with its venv module"
    if fitting:
        needed = f"of a version that this bundle has wheels for ({', '.join(map(said, fitting))})"
    raise MissingError(
        f"glmd needs a Python {needed}. Looked for {named or ', '.join(PYTHONS)}:\n"
        + ("".join(refused) or "  none runs\n")
        + "Install one, or name one: make PYTHON=/path/to/python3.11"
        + (", or make the bundle with INTERPRETERS=" if fitting else "")
    )


def find_exactly(version: str, purpose: str, place: Path) -> str:
    """Return a Python of just this `version`; where the host has none, it is fetched, or unpacked into `place`.

    Raises MissingError.
    """
    variable = f"PYTHON{version.replace('.', '')}"
    named = os.environ.get(variable)
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    program = f"python{version}"
    for name in [named] if named else [program, *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/{program}")))]:
        found = probe(name)
        if found and found.version == tuple(map(int, version.split("."))):
            return found.path
    hint = f"Install one, or name one: make {variable}=/path/to/{program}"
    if named:
        raise MissingError(f"{purpose} needs Python {version}, which {named} is not.\n{hint}")
    if bundled.is_here():
        archive = bundled.archive_of(tuple(map(int, version.split("."))))
        if archive is None:
            raise MissingError(f"{purpose} needs Python {version}: neither this host nor the bundle has it.\n{hint}")
        return bundled.unpack(archive, place)
    try:
        run(DEVELOPMENT_UV, "python", "install", version, "--no-bin")
    except subprocess.CalledProcessError as error:
        raise MissingError(
            f"{purpose} needs Python {version}: there is none on this machine, and it could not be fetched.\n{hint}\n"
            "It comes from GitHub (python-build-standalone); UV_PYTHON_INSTALL_MIRROR=https://… names a mirror of it"
        ) from error
    find = [str(DEVELOPMENT_UV), "python", "find", "--managed-python", version]
    return subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()


def look_for_libraries() -> None:
    """See that MindSpore will load, before gigabytes are fetched for it. Raises MissingError."""
    import ctypes  # noqa: PLC0415 - a Python that was built without it can make all other environments

    for name, hint in MINDSPORE_LOADS.items():
        try:
            ctypes.CDLL(name)
        except OSError as error:
            raise MissingError(
                f"MindSpore needs {name}, which this host has not: {error}\nInstall it ({hint})"
            ) from error


def install_uv(python: Path) -> None:
    """Put uv, which does the rest ten times as fast as pip, into the environment of `python`."""
    run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", LOCKS / "uv.txt")


def make_development(directory: Path) -> None:
    """Build or bring up to date glmd's own environment."""
    python, uv = directory / "bin" / "python", directory / "bin" / "uv"
    if not ((present := probe(python)) and present.version >= (3, 11)):
        run(find_python(directory.parent), "-m", "venv", "--clear", directory)
    install_uv(python)
    install = (uv, "pip", "install", "-q", "--python", python)
    run(*install, "--require-hashes", "-r", LOCKS / "dev.txt")
    run(*install, "--no-deps", "--no-build-isolation", "-e", CHECKOUT)


def build_wheel(uv: Path, python: str | Path, out: Path) -> None:
    """Build glmd's own wheel as it stands here, with the locked tools."""
    build = (uv, "build", "-q", "--wheel", "--python", python, "--out-dir", out)
    run(*build, "--build-constraints", LOCKS / "dev.txt", "--require-hashes", CHECKOUT)


def make_runtime(directory: Path) -> None:
    """Build or bring up to date a server's environment. It is compiled, since its user may not write there."""
    python = find_python(directory.parent)
    with tempfile.TemporaryDirectory() as name:
        temporary, wheels = Path(name), bundled.WHEELS
        if bundled.is_here():
            uv = bundled.uv(temporary)
        else:
            uv = DEVELOPMENT_UV
            if not uv.exists():
                run(python, "-m", "venv", temporary)
                uv = temporary / "bin" / "uv"
                install_uv(uv.with_name("python"))
            build_wheel(uv, python, temporary)
            wheels = temporary
        run(uv, "venv", "-q", "--relocatable", "--allow-existing", "--python", python, directory)
        install = (uv, "pip", "install", "-q", "--compile-bytecode", "--link-mode", "copy", "--python", directory)
        lock = LOCKS / ("notify.txt" if os.environ.get("NOTIFY") else "runtime.txt")
        run(*install, *bundled.options(), "--require-hashes", "-r", lock)
        run(*install, *bundled.options(), "--no-deps", "--reinstall", *wheels.glob("glmd-*.whl"))
    if directory.parent in Path(python).parents:
        bundled.point_beside(directory, Path(python))


def make_training(directory: Path) -> None:
    """Build the environment that GLM-6B trains in. Python 3.9 is the last that MindSpore 2.0 has wheels for."""
    look_for_libraries()
    locked = CHECKOUT / "configs" / "rehearsal" / "requirements.txt"
    make_shared(directory, locked, "3.9", "The training environment (that of STACK=today needs 3.11 instead)")


def make_today(directory: Path) -> None:
    """Build the environment of today's stack, which GLM-4 trains in, and which the merge is compared with."""
    look_for_libraries()
    make_shared(directory, LOCKS / "today.txt", "3.11", "The environment of today's MindFormers")


def make_torch(directory: Path) -> None:
    """Build the environment of the transformers that load what is merged for Hugging Face's libraries."""
    make_shared(directory, LOCKS / "torch.txt", "3.11", "The environment of transformers", *torch_wheels())


def make_docs(directory: Path) -> None:
    """Build the environment that makes the pages of docs/."""
    make_shared(directory, LOCKS / "docs.txt", "3.11", "The environment of the docs")


def torch_wheels() -> list[str]:
    """Return what tells uv where torch lies: in the places that pip, whose configuration uv does not read, looks at."""
    command = [DEVELOPMENT_UV.with_name("python"), "-m", "pip", "config", "list"]
    told = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    places = re.findall(r"\.find-links='(.*)'$", told, re.MULTILINE)
    return [word for place in sorted({*" ".join(places).split()}) or [PYTORCH] for word in ("--find-links", place)]


def make_shared(directory: Path, locked: Path, version: str, purpose: str, *options: str) -> None:
    """Build an environment of gigabytes that checkouts share, unless it is there whole: `.complete` is written last."""
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another checkout may be at it
        if (directory / ".complete").exists():
            return
        with tempfile.TemporaryDirectory() as name:
            uv = bundled.uv(Path(name)) if bundled.is_here() else DEVELOPMENT_UV
            python = find_exactly(version, purpose, directory.with_name(f"{directory.name}-interpreter"))
            run(uv, "venv", "-q", "--clear", "--python", python, directory)
            install = (uv, "pip", "install", "-q", "--python", directory, *options, *bundled.options())
            run(*install, "--require-hashes", "-r", locked)
        (directory / ".complete").touch()


def main() -> int:
    """Do what the command line says; return an exit code."""
    makers = {
        "development": make_development,
        "runtime": make_runtime,
        "training": make_training,
        "today": make_today,
        "torch": make_torch,
        "docs": make_docs,
    }
    if sys.argv[1:] == ["wheels"]:
        sys.stdout.write(" ".join(torch_wheels()))
        return 0
    if len(sys.argv) != 3 or sys.argv[1] not in makers:
        sys.stderr.write(__doc__ or "")
        return 2
    kind, directory = sys.argv[1], Path(sys.argv[2]).absolute()
    sys.stderr.write(f"{kind} environment: {directory}\n")
    os.umask(0o022)  # whatever root's is: a server's users run glmd and its jobs
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        makers[kind](directory)
    except MissingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except PermissionError as error:
        sys.stderr.write(
            f"{error.filename}: this user may not write there; to install for all, as root: sudo make install\n"
        )
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"failed, see above: {' '.join(error.cmd)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
