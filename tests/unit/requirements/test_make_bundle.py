"""Promises of requirements/make_bundle.py and what it uses; tests/systemd/test_bundle.py installs a bundle."""

import os
import subprocess
import sys
import tarfile
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest

PLACE = Path(__file__).parents[3] / "requirements"
AT = datetime(2026, 11, 30, tzinfo=UTC)
LOCK = """\
# by a tool
both==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
new==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
arm==3.0 ; platform_machine == 'aarch64' and sys_platform == 'linux' \\
    --hash=sha256:dd
windows==4.0 ; sys_platform == 'win32' \\
    --hash=sha256:ee
"""


@pytest.fixture(scope="module")
def made() -> Iterator[ModuleType]:
    """Import the program, as it imports what lies beside it."""
    sys.path.insert(0, str(PLACE))
    try:
        import make_bundle  # noqa: PLC0415 - it is no package

        yield make_bundle
    finally:
        sys.path.remove(str(PLACE))


@pytest.mark.parametrize(
    ("python", "architecture", "names"),
    (
        ("3.11", "x86_64", ["both"]),
        ("3.12", "x86_64", ["both", "new"]),
        ("3.14", "aarch64", ["both", "new", "arm"]),
    ),
)
def test_a_lock_is_read_for_the_target(
    made: ModuleType, tmp_path: Path, python: str, architecture: str, names: list[str]
) -> None:
    """Not for this host; each line keeps its hashes, and loses the marker that pip would hold against this host."""
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    locked = made.locked_for(lock, made.Target(python, architecture))
    assert list(locked) == names
    assert locked["both"] == "both==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    assert ";" not in "".join(locked.values())


def test_only_wheels_for_the_oldest_hosts_are_taken(made: ModuleType) -> None:
    """The glibc of openEuler 20.03 and Kylin V10."""
    tags = made.Target("3.12", "aarch64").platforms()
    assert tags[:2] == ["--platform", "manylinux_2_28_aarch64"]
    assert "manylinux_2_17_aarch64" in tags
    assert not any("x86" in tag for tag in tags)


def test_each_version_of_the_classifiers_gets_wheels(made: ModuleType) -> None:
    """Who adds one there has it in the bundle."""
    assert made.supported()[:3] == ("3.11", "3.12", "3.13")
    made.refuse_strange(Namespace(pythons=["3.13"], architectures=["aarch64"]))
    with pytest.raises(made.MissingError, match=r"not known: 3\.10; known: 3\.11"):
        made.refuse_strange(Namespace(pythons=["3.10"], architectures=["aarch64"]))


def interpreter(directory: Path, name: str, member: str = "python/bin/python3") -> Path:
    """Make an archive with one file."""
    archive = directory / name
    with tarfile.open(archive, "w:gz") as stream:
        stream.addfile(tarfile.TarInfo(member))
    return archive


def test_an_interpreter_is_known_by_its_name(made: ModuleType, tmp_path: Path) -> None:
    """What it is for is not asked: it may be for another architecture than this host's."""
    name = "cpython-3.12.11+20250708-aarch64-unknown-linux-gnu-install_only.tar.gz"
    assert made.checked(interpreter(tmp_path, name), {"3.12"}) == ("3.12", "aarch64")


@pytest.mark.parametrize(
    ("name", "member", "reason"),
    (
        ("Python-3.12.11.tgz", "x", "is no archive of an interpreter by its name"),
        ("cpython-3.12.11+20250708-aarch64-unknown-linux-musl-install_only.tar.gz", "x", "not musl"),
        (
            "cpython-3.13.1+20250708-x86_64-unknown-linux-gnu-install_only.tar.gz",
            "x",
            "no wheels for 3.13",
        ),
        ("cpython-3.12.1+20250708-x86_64-unknown-linux-gnu-install_only.tar.gz", "x", "has no python/bin/python3"),
    ),
)
def test_what_is_no_interpreter_is_refused(
    made: ModuleType, tmp_path: Path, name: str, member: str, reason: str
) -> None:
    """Before anything is downloaded or packed."""
    with pytest.raises(made.MissingError, match=reason):
        made.checked(interpreter(tmp_path, name, member), {"3.12"})


def test_the_same_files_make_the_same_tar(made: ModuleType, tmp_path: Path) -> None:
    """Whoever packs them, whenever, in whatever order they were written."""
    tars = []
    for number, names in enumerate((("a/b", "c"), ("c", "a/b"))):
        tree = tmp_path / str(number)
        for name in names:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(name)
            os.utime(tree / name, (number, number))
        (tree / "c").chmod(0o600 if number else 0o664)
        made.pack(tree, "glmd-1", tmp_path / f"{number}.tar", AT)
        tars.append((tmp_path / f"{number}.tar").read_bytes())
    assert tars[0] == tars[1]
    with tarfile.open(tmp_path / "0.tar") as stream:
        assert stream.getnames() == ["glmd-1/a", "glmd-1/a/b", "glmd-1/c"]


def wheel(directory: Path, metadata: str) -> Path:
    """Make a wheel that has nothing but metadata."""
    path = directory / "it-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as stream:
        stream.writestr("it-1.0.dist-info/METADATA", f"Metadata-Version: 2.4\nName: it\nVersion: 1.0\n{metadata}\n")
        stream.writestr("it/_vendor/x-2.dist-info/METADATA", "Name: x\n")
    return path


@pytest.mark.parametrize(
    ("metadata", "licence"),
    (
        ("License-Expression: MIT OR Apache-2.0\nLicense: else", "MIT OR Apache-2.0"),
        ("License: BSD-3-Clause\nClassifier: License :: OSI Approved :: BSD License", "BSD-3-Clause"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        (f"License: {'a whole text ' * 20}\nClassifier: License :: OSI Approved :: ISC License", "ISC License"),
        ("Classifier: Programming Language :: Python", None),
    ),
)
def test_a_licence_is_found_in_each_way_that_wheels_name_it(
    made: ModuleType, tmp_path: Path, metadata: str, licence: str | None
) -> None:
    """An expression, a name, or classifiers; a whole text is no name, and nothing is made up."""
    assert made.contents.describe_wheel(wheel(tmp_path, metadata)) == ("it", "1.0", licence)


def test_the_list_is_the_same_for_the_same_files(made: ModuleType, tmp_path: Path) -> None:
    """Its serial number, too; and another file makes another."""
    package = made.contents.Package("it", "1.0", "MIT")
    path = wheel(tmp_path, "")
    first, again = (made.contents.document(package, [(path, package)], AT) for _ in range(2))
    assert first == again
    path.write_bytes(b"else")
    assert made.contents.document(package, [(path, package)], AT).split("serialNumber")[1] not in first


def python(directory: Path, name: str, code: int) -> None:
    """Make a program that answers with an exit code where it is asked for its version, and else says its name."""
    path = directory / name
    path.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit {code}\necho {name} "$@"\n')
    path.chmod(0o755)


def test_the_first_python_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    """The one that is named before all others; where none will do, what to do is said."""
    run = ["/bin/sh", str(PLACE / "with_python.sh"), "x.py", "a b"]
    for name, code in (("python3", 1), ("python3.12", 0), ("python3.11", 0), ("mine", 0)):
        python(tmp_path, name, code)
    environment = {"PATH": f"{tmp_path}"}
    taken = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
    assert taken == "python3.12 x.py a b\n"
    named = subprocess.run(
        run, env={**environment, "PYTHON": "mine"}, capture_output=True, text=True, check=True
    ).stdout
    assert named == "mine x.py a b\n"
    none = subprocess.run(run, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)
    assert none.returncode == 1
    assert "install Python 3.11 or later" in none.stderr
