"""Whether systemd and polkit of this host can start glmd's jobs as units, by their versions.

`make install` runs this as a program: on stdout it says which runner glmd.service is to have, on stderr why.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SYSTEMD = 243
"""glmd-job@.service needs `OOMPolicy=continue`: else systemd may stop a whole job for one process without memory."""
POLKIT = (0, 106)
"""The first with rules in JavaScript, as 50-glmd.rules is. Debian 11 and Ubuntu 22.04 still have 0.105."""
NEWER: Mapping[str, int] = MappingProxyType(
    {
        "ProtectKernelLogs": 244,
        "ProtectClock": 245,
        "LoadCredential": 247,
        "ProtectProc": 247,
        "SetCredential": 247,
        "PrivateIPC": 248,
    }
)
"""What our units say that SYSTEMD does not know, and the first that does, by systemd's own manual pages."""
PLAIN = "GLMD_RUNNER=spawn"
"""In glmd-plain.service alone: the word that it is known by where it is installed as glmd.service."""


@dataclass(frozen=True)
class UnitSupport:
    """What was found; None is a program that is not there, or says nothing that can be read."""

    systemd: int | None
    polkit: tuple[int, ...] | None

    @property
    def obstacle(self) -> str | None:
        """Why glmd cannot start its jobs as units here; None where it can."""
        if self.systemd is None:
            return "systemctl does not say which systemd this is"
        if self.systemd < SYSTEMD:
            return f"systemd {self.systemd} is too old for glmd-job@.service, which needs {SYSTEMD}"
        if self.polkit is None:
            return "polkit is not installed (pkaction says nothing), so user glm may not start units"
        if self.polkit < POLKIT:
            return (
                f"polkit {self.polkit_version} reads no rules in JavaScript "
                f"({_dotted(POLKIT)} is the first that does), so user glm may not start units"
            )
        return None

    @property
    def ignored(self) -> tuple[str, ...]:
        """What our units say and this systemd ignores: a part of their sandbox, and the credentials of messages."""
        return tuple(name for name, since in NEWER.items() if self.systemd is not None and self.systemd < since)

    @property
    def polkit_version(self) -> str:
        """The version of polkit, as it says it itself."""
        return _dotted(self.polkit) if self.polkit is not None else "none"

    def __str__(self) -> str:
        """Return both versions."""
        return f"systemd {self.systemd or 'of unknown version'}, polkit {self.polkit_version}"


def read_versions(systemctl: str, pkaction: str) -> UnitSupport:
    """Make sense of what `systemctl --version` and `pkaction --version` print."""
    systemd = re.match(r"systemd (\d+)", systemctl)
    polkit = re.match(r"pkaction version (\d+(?:\.\d+)*)", pkaction)
    return UnitSupport(int(systemd[1]) if systemd else None, tuple(map(int, polkit[1].split("."))) if polkit else None)


def ask_host() -> UnitSupport:
    """Ask the programs of this host."""
    return read_versions(_version_text("systemctl"), _version_text("pkaction"))


def _version_text(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # read as a version that is not known
    return done.stdout


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def explain(support: UnitSupport) -> str:
    """Return what `make install` tells of a host; empty when there is nothing to tell."""
    if support.obstacle:
        return (
            f"{support}: {support.obstacle}.\n"
            "So glmd.service is the plain unit: jobs are children of glmd (runner: spawn). They go on when glmd is\n"
            "restarted, but have no sandbox of their own. docs/install.md has a table of hosts, and what to do.\n"
        )
    if support.ignored:
        ignored = ", ".join(f"{name}=" for name in support.ignored)
        return f"{support}: ignores {ignored} in glmd's units, and reports it in the journal. All else works.\n"
    return ""


def main() -> None:
    """Say which runner fits this host."""
    support = ask_host()
    sys.stderr.write(explain(support))
    sys.stdout.write("spawn\n" if support.obstacle else "systemd\n")


if __name__ == "__main__":
    main()
