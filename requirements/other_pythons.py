# ruff: noqa: INP001 - a program, not a package
"""Runs the unit tests on each Python that glmd's classifiers name, but for that of .venv, whose turn is `make test`.

    other_pythons.py CACHE [--part]

It imports every module, warnings being errors, and runs all of tests/unit, or with --part what depends on Python most:
command line, settings, store, check, merge, records. The environments are kept in CACHE, by the lock. A Python that
this machine has not and uv cannot fetch is named, and no failure.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from environments import CHECKOUT, DEVELOPMENT_UV, LOCKS, MissingError, find_exactly, run
from make_bundle import supported

PART = (
    "tests/unit/daemon/test_cli.py",
    "tests/unit/daemon/core",
    "tests/unit/handlers/validate",
    "tests/unit/handlers/merging",
    "tests/unit/handlers/records",
)
IMPORTS = """
import importlib, pkgutil
for room in ("daemon", "handlers"):
    for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
        importlib.import_module(module.name)
"""


def say(text: str) -> None:
    """Tell what is done."""
    sys.stdout.write(f"pythons: {text}\n")
    sys.stdout.flush()


def environment(version: str, cache: Path) -> Path:
    """Return the interpreter of an environment with glmd as it stands here, and its tools. Raises MissingError."""
    lock = LOCKS / "dev.txt"
    directory = cache / f"python{version}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (directory / ".complete").exists():
        run(DEVELOPMENT_UV, "venv", "-q", "--clear", "--python", find_exactly(version, "A test", cache), directory)
        run(DEVELOPMENT_UV, "pip", "install", "-q", "--python", directory, "--require-hashes", "-r", lock)
        (directory / ".complete").touch()
    install = ("pip", "install", "-q", "--python", directory, "--no-deps", "--no-build-isolation", "-e", CHECKOUT)
    run(DEVELOPMENT_UV, *install)  # of the checkout that is tested
    return directory / "bin" / "python"


def passes(python: Path, tests: tuple[str, ...]) -> bool:
    """Import every module, then run the tests; return whether all is well."""
    pytest = (str(python), "-m", "pytest", "-q", "--numprocesses=2", "--dist=loadscope", "-p", "no:cacheprovider")
    imports = (str(python), "-W", "error", "-c", IMPORTS)
    commands = (imports, (*pytest, *tests))
    return all(subprocess.run(command, cwd=CHECKOUT, check=False).returncode == 0 for command in commands)


def main() -> int:
    """Do what the command line says; return an exit code."""
    cache, tests = Path(sys.argv[1]), PART if "--part" in sys.argv else ("tests/unit",)
    cache.mkdir(parents=True, exist_ok=True)
    own = "{}.{}".format(*sys.version_info)
    ended: dict[str, list[str]] = {"passed": [], "failed": [], "not to be had here": []}
    for version in (version for version in supported() if version != own):
        try:
            python = environment(version, cache)
        except MissingError:
            ended["not to be had here"].append(version)
            continue
        say(f"{version}: {' '.join(tests)}")
        ended["passed" if passes(python, tests) else "failed"].append(version)
    say("; ".join(f"{how}: {', '.join(versions)}" for how, versions in ended.items() if versions) + f"; .venv is {own}")
    return 1 if ended["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
