"""Where Slurm is: installed on this host, or Debian's packages unpacked into the cache, which takes no root."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "glmd" / "slurm"
_PACKAGES = (
    "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge", "libmunge2", "libhwloc15", "liblua5.1-0",
)  # fmt: skip
_DAEMONS = ("slurmctld", "slurmd", "slurmstepd")


class NoSlurmError(Exception):
    """There is none, and it cannot be had: why, and what to do."""


def slurm() -> Path:
    """Return the directory below which Slurm and MUNGE are, as `/` or the cache. Raises NoSlurmError."""
    if all(Path("/usr/sbin", name).exists() for name in (*_DAEMONS, "munged")):
        return Path("/")
    if not CACHE.exists():
        _unpack()
    return CACHE


def _unpack() -> None:
    """Get Debian's packages, 3.5 MB, and unpack them; whole or not at all."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as made:
        root, packages = Path(made, "root"), Path(made, "packages")
        packages.mkdir()
        try:
            _run("apt-get", "download", *_PACKAGES, cwd=packages)
            for package in packages.glob("*.deb"):
                _run("dpkg", "-x", str(package), str(root), cwd=packages)
        except FileNotFoundError as error:
            raise NoSlurmError(f"{error.filename} is not there: install slurmctld, slurmd and munge") from error
        except subprocess.CalledProcessError as error:
            told = f"{error.stderr.strip()}: `apt-get update` first, or install slurmctld, slurmd and munge"
            raise NoSlurmError(told) from error
        # Called slurmd-wlm they ask for their own name, and drop Gres= in silence.
        for name in _DAEMONS:
            (root / "usr" / "sbin" / name).symlink_to(f"{name}-wlm")
        shutil.move(root, CACHE)


def _run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
