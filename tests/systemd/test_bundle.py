"""A bundle is all that a server without a network needs: `make install BUNDLE=FILE`, and nothing else."""

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.systemd.box import PREFIX, make
from tests.systemd.conftest import HOSTS_PYTHON, VERSION

pytestmark = pytest.mark.systemd

INTERPRETER = PREFIX / "lib/glmd/python"


@pytest.fixture(scope="module")
def no_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a PATH of all that the host has but for Python, uv and pip."""
    directory = tmp_path_factory.mktemp("bin")
    for place in ("/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for program in Path(place).iterdir():
            link = directory / program.name
            if not re.match(r"python|pip|uv|pyenv|pkaction", program.name) and not link.is_symlink():
                link.symlink_to(program)
    return directory


@pytest.fixture(scope="module")
def from_bundle(bundle: Path, no_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it on a host without Python, in a network namespace that has not even a loopback that is up."""
    tree = tmp_path_factory.mktemp("from_bundle")
    words = (f"BUNDLE={bundle}", f"DESTDIR={tree}", f"PREFIX={PREFIX}")
    make("install", *words, without=("unshare", "--net"), path=no_python)
    return tree


def own_files(tree: Path) -> set[str]:
    """Return what was installed, but for what is of the interpreter, or of its version."""
    paths = (path.relative_to(tree) for path in tree.rglob("*") if not path.is_dir())
    return {
        str(path)
        for path in paths
        if "__pycache__" not in path.parts and not str(path).startswith(("opt/glmd/lib/glmd/python/", "etc/systemd/"))
    }


def test_it_installs_what_a_checkout_does(from_bundle: Path, installed: Path) -> None:
    """The same programs, units, documents and settings."""
    differ = own_files(from_bundle) ^ own_files(installed)
    told = re.compile(r"\.lock$|direct_url\.json$|/uv_(build|cache)\.json$|/RECORD$|/python3\.\d+$|/activate|^var/")
    assert {path for path in differ if not told.search(path)} == set()


def test_its_interpreter_runs_it_where_it_will_lie(from_bundle: Path) -> None:
    """No path leads to DESTDIR, nor to a Python of the host; and what is installed runs."""
    ask = "import sys, numpy; print(sys.base_prefix, sys.prefix)"
    inside = f"mkdir -p {PREFIX} && mount --bind {from_bundle}{PREFIX} {PREFIX} && "
    inside += f"{PREFIX}/bin/glmd --version && {PREFIX}/lib/glmd/venv/bin/python -I -c '{ask}'"
    box = ["unshare", "--mount", "--net", "sh", "-ec", f"mount -t tmpfs tmpfs /opt; {inside}"]
    done = subprocess.run(box, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [f"{INTERPRETER} {PREFIX}/lib/glmd/venv"]
    settings = (from_bundle / "opt/glmd/lib/glmd/venv/pyvenv.cfg").read_text()
    assert f"home = {INTERPRETER}/bin\n" in settings


def test_an_interpreter_of_the_host_goes_first(bundle: Path, tmp_path: Path) -> None:
    """Then the bundle's is left in it. What robots of chats need, and the plain unit, come where they are asked for."""
    words = (f"BUNDLE={bundle}", f"DESTDIR={tmp_path}", f"PREFIX={PREFIX}", f"PYTHON={HOSTS_PYTHON}")
    make("install", *words, "NOTIFY=1", "RUNNER=spawn", without=("unshare", "--net"))
    assert not (tmp_path / "opt/glmd/lib/glmd/python").exists()
    (link,) = tmp_path.glob("opt/glmd/lib/glmd/venv/bin/python")
    assert link.resolve() == Path(HOSTS_PYTHON).resolve()
    assert list(tmp_path.glob("opt/glmd/lib/glmd/venv/lib/python3.*/site-packages/apprise"))
    unit = (tmp_path / "usr/lib/systemd/system/glmd.service").read_text()
    assert "GLMD_RUNNER=spawn" in unit
    assert "@PREFIX@" not in unit


def test_a_damaged_bundle_installs_nothing(bundle: Path, tmp_path: Path) -> None:
    """One byte that differs, in a document: the hash of each file is looked at before anything is done."""
    content = bytearray(bundle.read_bytes())
    content[content.index(b"# Install glmd") + 3] ^= 1
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(content)
    tree = tmp_path / "tree"
    with pytest.raises(AssertionError, match=r"(?s)docs/install.md: FAILED.*the bundle is damaged: copy it again"):
        make("install", f"BUNDLE={damaged}", f"DESTDIR={tree}", f"PREFIX={PREFIX}")
    assert not tree.exists()


def test_a_host_without_the_right_python_is_told(bundle: Path, tmp_path: Path) -> None:
    """A bundle has wheels for some versions only; one that is named and is none of them is refused by its number."""
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\ncase $2 in *sys.exit*) exit 1;; esac\necho 3 9 1 /old/python3.9\n")
    old.chmod(0o755)
    words = (f"BUNDLE={bundle}", f"DESTDIR={tmp_path}/tree", f"PYTHON={old}")
    with pytest.raises(AssertionError, match=rf"(?s)has wheels for \({re.escape(VERSION)}\).*/old/python3\.9 is 3\.9"):
        make("install", *words)


def test_its_list_tells_hash_and_licence_of_all_that_is_in_it(bundle: Path) -> None:
    """Of each wheel and interpreter, in CycloneDX; and each file's hash is in SHA256SUMS, as its content says."""
    with tarfile.open(bundle) as stream:
        files = {
            member.name.partition("/")[2]: hashlib.sha256(content.read()).hexdigest()
            for member in stream
            if (content := stream.extractfile(member))
        }
        (top,) = {name.partition("/")[0] for name in stream.getnames()}
        sums = stream.extractfile(f"{top}/SHA256SUMS")
        document = stream.extractfile(f"{top}/sbom.cdx.json")
        assert sums is not None
        assert document is not None
        told = dict(reversed(line.split("  ")) for line in sums.read().decode().splitlines())
        listed = json.loads(document.read())
    assert told == {name: digest for name, digest in files.items() if name != "SHA256SUMS"}
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    binaries = {
        Path(name).name: digest for name, digest in files.items() if name.startswith(("wheels/", "interpreters/"))
    }
    assert {part["bom-ref"]: part["hashes"][0]["content"] for part in listed["components"]} == binaries
    assert [part["name"] for part in listed["components"] if not part.get("licenses")] == []
    assert {"glmd", "numpy", "apprise", "uv", "cpython"} <= {part["name"] for part in listed["components"]}
