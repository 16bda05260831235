"""Promises of handlers.host.unit_support."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from handlers.host.unit_support import NEWER, PLAIN, SYSTEMD, UnitSupport, explain, read_versions

UNITS = Path(__file__).parents[4] / "systemd"
KNOWN = """
AccuracySec After CPUQuota CPUWeight CapabilityBoundingSet CollectMode Description DeviceAllow DevicePolicy
Documentation DynamicUser Environment ExecReload ExecStart ExecStopPost Group IOWeight IPAddressAllow IPAddressDeny
KillMode LimitCORE LimitMEMLOCK LimitNOFILE LimitNPROC ListenStream LockPersonality MemoryDenyWriteExecute MemoryMax
MemorySwapMax Nice NoNewPrivileges NotifyAccess OOMPolicy OOMScoreAdjust OnActiveSec OnUnitActiveSec PrivateDevices
PrivateMounts PrivateNetwork PrivateTmp PrivateUsers ProtectControlGroups ProtectHome ProtectHostname
ProtectKernelModules ProtectKernelTunables ProtectSystem ReadWritePaths RemoveIPC RemoveOnStop Requires
RequiresMountsFor Restart RestartPreventExitStatus RestartSec RestrictAddressFamilies RestrictNamespaces
RestrictRealtime RestrictSUIDSGID RuntimeDirectory SocketGroup SocketMode StartLimitIntervalSec StateDirectory
StateDirectoryMode SupplementaryGroups SystemCallArchitectures SystemCallErrorNumber SystemCallFilter TasksMax
TimeoutAbortSec TimeoutStartSec TimeoutStopSec Type UMask UnsetEnvironment User WantedBy Wants WatchdogSec
WorkingDirectory
"""
"""What systemd 243 knows: the manual pages of 257 say of each directive with which version it came."""
FEATURES = "\n+PAM +AUDIT +SELINUX +IMA +APPARMOR +SMACK -SYSVINIT +UTMP default-hierarchy=unified\n"
POLKIT_122, POLKIT_116, POLKIT_105 = (f"pkaction version {version}\n" for version in ("122", "0.116", "0.105"))


@pytest.mark.parametrize(
    ("systemctl", "pkaction", "support", "why"),
    (
        # Recorded: Debian 12, Debian 11, Debian 13.
        ("systemd 252 (252.38-1~deb12u1)", POLKIT_122, UnitSupport(252, (122,)), None),
        ("systemd 247 (247.3-7+deb11u5)", POLKIT_105, UnitSupport(247, (0, 105)), "no rules in JavaScript"),
        ("systemd 257 (257.13-1~deb13u1)", "pkaction version 126\n", UnitSupport(257, (126,)), None),
        # Made of the versions that packages of openEuler 20.03 and Ubuntu 20.04 have.
        ("systemd 243 (v243-18.oe1)", POLKIT_116, UnitSupport(243, (0, 116)), None),
        ("systemd 245 (245.4-4ubuntu3)", POLKIT_105, UnitSupport(245, (0, 105)), "no rules in JavaScript"),
        # At the edges.
        ("systemd 242 (242)", POLKIT_116, UnitSupport(242, (0, 116)), "which needs 243"),
        ("systemd 243 (243)", "pkaction version 0.106\n", UnitSupport(243, (0, 106)), None),
        ("systemd 219", POLKIT_116, UnitSupport(219, (0, 116)), "too old"),
        # What nobody can read, or is not there.
        ("systemd 252 (252)", "", UnitSupport(252, None), "polkit is not installed"),
        ("", POLKIT_122, UnitSupport(None, (122,)), "does not say"),
        ("System has not been booted with systemd as init system", "x", UnitSupport(None, None), "does not say"),
    ),
)  # fmt: skip
def test_what_hosts_say_of_themselves(systemctl: str, pkaction: str, support: UnitSupport, why: str | None) -> None:
    """Versions are read, and what keeps jobs from being units is said, with what would do."""
    read = read_versions(systemctl + FEATURES if systemctl else "", pkaction)
    assert read == support
    assert (why is None) == (read.obstacle is None)
    assert why is None or why in str(read.obstacle)


def test_what_make_install_says() -> None:
    """Of an old host what it gets instead; of one in between what is ignored; of a new one nothing."""
    assert "So glmd.service is the plain unit" in explain(UnitSupport(245, (0, 105)))
    assert explain(UnitSupport(247, (0, 116))) == (
        "systemd 247, polkit 0.116: ignores PrivateIPC= in glmd's units, and reports it in the journal. All "
        "else works.\n"
    )
    assert explain(UnitSupport(252, (122,))) == ""


def programs(directory: Path, **prints: str) -> None:
    """Put programs into a directory that print what they are told to."""
    for name, text in prints.items():
        (directory / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (directory / name).chmod(0o755)


@pytest.mark.parametrize(
    ("prints", "word", "says"),
    (
        ({"systemctl": "systemd 252 (252)", "pkaction": "pkaction version 122"}, "systemd\n", ""),
        ({"systemctl": "systemd 249 (249)", "pkaction": "pkaction version 0.105"}, "spawn\n", "plain unit"),
        ({"systemctl": "systemd 249 (249)"}, "spawn\n", "polkit is not installed"),
        ({}, "spawn\n", "does not say"),
    ),
)
def test_make_install_gets_one_word(tmp_path: Path, prints: dict[str, str], word: str, says: str) -> None:
    """It asks the programs that are in PATH; a program that is not there is no failure."""
    programs(tmp_path, **prints)
    command = [sys.executable, "-m", "handlers.host.unit_support"]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout == word
    assert says in done.stderr
    assert bool(says) == bool(done.stderr)


def said(unit: Path) -> set[str]:
    """Return the directives of a unit."""
    return set(re.findall(r"^(\w+)=", unit.read_text(), re.MULTILINE))


def test_it_is_known_of_each_directive_whether_an_older_systemd_has_it() -> None:
    """Who adds one to a unit looks it up in systemd's manual pages, and puts it here or into NEWER."""
    units = (path for path in UNITS.iterdir() if path.suffix in {".service", ".socket", ".timer"})
    ours = set[str]().union(*map(said, units))
    assert ours == {*KNOWN.split(), *NEWER}
    assert min(NEWER.values()) > SYSTEMD


def test_the_plain_unit_has_none_of_them_and_is_known_by_its_word() -> None:
    """It is for systemd of before; and the other one is not taken for it."""
    plain, full = UNITS / "glmd-plain.service", UNITS / "glmd.service"
    assert not said(plain) & set(NEWER)
    assert PLAIN in plain.read_text()
    assert PLAIN not in full.read_text()
