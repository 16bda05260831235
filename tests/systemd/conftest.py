"""A real systemd with glmd installed in it, once for all tests here."""

import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.box import ADDRESS, CHECKOUT, Box, install, make

HOSTS_PYTHON = Path("/usr/bin/python3").resolve()
"""Debian's, which is of one piece: it runs wherever it and its library lie, as python-build-standalone's does."""
VERSION = HOSTS_PYTHON.name.removeprefix("python")
ARCHIVE = f"cpython-{VERSION}.0+20260101-{os.uname().machine}-unknown-linux-gnu-install_only.tar.gz"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make install` into a DESTDIR, with the PATH that sudo gives; nothing of it may point to the DESTDIR."""
    if os.geteuid() != 0:
        pytest.fail("the systemd tests need root: pytest -m 'not systemd' leaves them out, as make test does by itself")
    tree = tmp_path_factory.mktemp("installed")
    install(tree)
    return tree


@pytest.fixture(scope="session")
def training_python() -> Path:
    """The training environment's interpreter, of which `make test` tells."""
    return Path(os.environ["GLMD_TRAINING_PYTHON"])


@pytest.fixture(scope="session")
def box(installed: Path, training_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Boot it, do what `make install` does on a running system, and make the users."""
    # Where the interpreters lie in a home directory of mode 0700, services reach them as docs/install.md says.
    ask = [str(training_python), "-c", "import sys; print(sys.base_prefix)"]
    base_prefix = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    interpreters = [str(training_python.parents[1]), base_prefix]
    for unit in ("glmd.service", "glmd-job@.service"):
        drop_in = installed / "etc/systemd/system" / f"{unit}.d" / "interpreter.conf"
        drop_in.parent.mkdir(parents=True)
        drop_in.write_text(f"[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths={' '.join(interpreters)}\n")
    box = Box(tmp_path_factory.mktemp("box"))
    binds = [word for path in (str(CHECKOUT), *interpreters) for word in ("--ro-bind", path)]
    try:
        box.sdbox("boot", *binds, "--overlay-from", str(installed))
        box.run("make", "-s", "-C", str(CHECKOUT), "activate")
        # An address that is not loopback: MindSpore's ranks look for one, and find each other by it.
        box.run("ip", "link", "add", "card0", "type", "bridge")
        box.run("ip", "address", "add", f"{ADDRESS}/24", "dev", "card0")
        box.run("ip", "link", "set", "card0", "up")
        box.run("useradd", "--no-create-home", "--groups", "glm", "alice")
        box.run("useradd", "--no-create-home", "bob")
        yield box
    finally:
        box.sdbox("off")


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an archive of the layout of python-build-standalone's, of the host's own interpreter."""
    archive = tmp_path_factory.mktemp("interpreter") / ARCHIVE
    ask = [str(HOSTS_PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
    library = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if re.search(r"/(test|__pycache__|dist-packages)(/|$)", member.name) else member

    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as stream:
        stream.add(HOSTS_PYTHON, f"python/bin/{HOSTS_PYTHON.name}")
        stream.add(library, f"python/lib/{HOSTS_PYTHON.name}", filter=kept)
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, HOSTS_PYTHON.name
        stream.addfile(link)
    return archive


@pytest.fixture(scope="session")
def bundle(interpreter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack one for this machine and one version, which is as much as a test needs to download."""
    out = tmp_path_factory.mktemp("bundle") / "glmd.tar"
    which = (f"PYTHONS={VERSION}", f"ARCHITECTURES={os.uname().machine}", f"INTERPRETERS={interpreter}")
    make("bundle", f"OUT={out}", *which)
    return out
