"""Promises of handlers.mindformers.installed."""

import os
from pathlib import Path

import pytest

from handlers.mindformers.installed import find_installed, named
from handlers.mindformers.version import Version

NOWHERE = Path("/nowhere/bin/python")
SETUP = "from setuptools import setup\n\nsetup(\n    name='mindformers',\n    version='{}',\n)\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout that has the package, and says nothing of its version."""
    (tmp_path / "checkout" / "mindformers").mkdir(parents=True)
    return tmp_path / "checkout"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Make a virtual environment with MindFormers 0.8.0 in it."""
    environment = tmp_path / "venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (environment / "bin" / "python").symlink_to("/usr/bin/python3.9")
    (environment / "lib" / "python3.9" / "site-packages" / "mindformers-0.8.0.dist-info").mkdir(parents=True)
    return environment / "bin" / "python"


@pytest.mark.parametrize(
    ("files", "version", "text"),
    (
        ({"setup.py": SETUP.format("0.6.0")}, Version(0, 6), "0.6.0"),
        ({"setup.py": SETUP.format("0.8.0"), "mindformers/__init__.py": "import os\n"}, Version(0, 8), "0.8.0"),
        ({"setup.py": SETUP.format("1.1.0"), "mindformers/__init__.py": '__version__ = "1.1"\n'}, Version(1, 1), "1.1"),
        ({"mindformers/__init__.py": "# Copyright\n__version__ = '1.9.0'\n"}, Version(1, 9), "1.9.0"),
        # The beta of 1.4 says so.
        (
            {"setup.py": SETUP.format("1.3.0"), "mindformers/__init__.py": '__version__ = "dev"\n'},
            Version(1, 3),
            "1.3.0",
        ),
        ({"setup.py": SETUP.format("1.6.0rc1")}, Version(1, 6), "1.6.0rc1"),
        ({".git/HEAD": "ref: refs/heads/r1.3.0\n"}, Version(1, 3), "r1.3.0"),
    ),
)
def test_what_a_checkout_says(checkout: Path, files: dict[str, str], version: Version, text: str) -> None:
    """Each release says its version in one of these ways; what is imported comes before what is built."""
    for name, content in files.items():
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text(content)
    found = find_installed(checkout, NOWHERE)
    assert (found.version, found.text, found.source) == (version, text, str(checkout))
    assert str(found) == f"MindFormers {text} ({checkout})"


def test_the_checkout_comes_before_the_interpreter(checkout: Path, python: Path) -> None:
    """run_mindformer.py imports the package beside it; an unreadable one is not the interpreter's."""
    (checkout / "setup.py").write_text(SETUP.format("1.2.0"))
    assert find_installed(checkout, python).version == Version(1, 2)
    (checkout / "setup.py").unlink()
    assert find_installed(checkout, python).version is None


def test_an_interpreter_with_the_package(tmp_path: Path, python: Path) -> None:
    """A directory with run_mindformer.py alone runs what is installed."""
    found = find_installed(tmp_path, python)
    assert (found.version, found.text) == (Version(0, 8), "0.8.0")
    assert found.source == str(python.parent.parent / "lib" / "python3.9" / "site-packages")


def test_another_pythons_packages_do_not_count(tmp_path: Path, python: Path) -> None:
    """The directory of the interpreter's own version is looked into, where its name says one."""
    other = python.parent.parent / "lib" / "python3.7" / "site-packages" / "mindformers-0.6.0-py3.7.egg-info"
    other.mkdir(parents=True)
    assert find_installed(tmp_path, python).version == Version(0, 8)


def test_a_virtual_environment_that_shows_its_base(tmp_path: Path, python: Path) -> None:
    """Its own packages come first; those of the base count where it lets them in."""
    (python.parent.parent / "lib" / "python3.9" / "site-packages" / "mindformers-0.8.0.dist-info").rmdir()
    base = tmp_path / "base"
    (base / "lib" / "python3.9" / "site-packages" / "mindformers-1.0.2.dist-info").mkdir(parents=True)
    settings = python.parent.parent / "pyvenv.cfg"
    settings.write_text(f"home = {base}/bin\ninclude-system-site-packages = false\n")
    assert find_installed(tmp_path, python).version is None
    settings.write_text(f"home = {base}/bin\ninclude-system-site-packages = true\n")
    assert find_installed(tmp_path, python).version == Version(1, 0, 2)


def test_two_versions_are_none(tmp_path: Path, python: Path) -> None:
    """What a broken upgrade has left is not guessed at."""
    (python.parent.parent / "lib" / "python3.9" / "site-packages" / "mindformers-1.0.2.dist-info").mkdir()
    found = find_installed(tmp_path, python)
    assert found.version is None
    assert "0.8 and 1.0.2" in str(found)


@pytest.mark.parametrize("kind", ("garbage", "binary", "fifo", "loop", "directory", "device", "huge", "closed"))
def test_whatever_lies_there(checkout: Path, kind: str) -> None:
    """The version is not known then; nothing is raised, nothing waits, and little is read."""
    setup = checkout / "setup.py"
    match kind:
        case "garbage":
            setup.write_text("version = 'the newest'\nversion='" + "1" * 100)
        case "binary":
            setup.write_bytes(bytes(range(256)) * 10)
        case "fifo":
            os.mkfifo(setup)
        case "loop":
            setup.symlink_to(setup.name)
        case "directory":
            setup.mkdir()
        case "device":
            setup.symlink_to("/dev/zero")
        case "huge":
            with setup.open("wb") as stream:
                stream.seek(1 << 40)
                stream.write(SETUP.format("0.8.0").encode())
        case _:
            (checkout / "mindformers").chmod(0)
    found = find_installed(checkout, NOWHERE)
    assert found.version is None
    assert "unknown version" in str(found)


@pytest.mark.parametrize("path", ("/nowhere", "/dev/null", "a\0b", "x" * 5000))
def test_paths_that_lead_nowhere(path: str) -> None:
    """A checkout or interpreter that is gone, or is none, is an unknown version."""
    assert find_installed(Path(path), Path(path)).version is None


def test_a_change_is_seen(checkout: Path) -> None:
    """A checkout that was updated says its new version at the next look."""
    setup = checkout / "setup.py"
    for version in ("0.8.0", "1.0.2"):
        setup.write_text(SETUP.format(version))
        os.utime(setup, ns=(0, hash(version) % 10**9))
        assert find_installed(checkout, NOWHERE).text == version


def test_a_version_that_somebody_names() -> None:
    """It is shown as it was written; what is no version is refused."""
    assert str(named(" 1.9.0 ", "--mindformers")) == "MindFormers 1.9.0 (--mindformers)"
    with pytest.raises(ValueError, match="is no version"):
        named("newest", "--mindformers")
