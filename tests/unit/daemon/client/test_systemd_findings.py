"""Promises of daemon.client.systemd_findings."""

from pathlib import Path

import pytest

from daemon.client.finding import Verdict
from daemon.client.systemd_findings import judge
from daemon.core.setting_sections import Runner
from handlers.host.unit_support import PLAIN, UnitSupport

NEW, OLD_POLKIT, IN_BETWEEN = UnitSupport(252, (122,)), UnitSupport(249, (0, 105)), UnitSupport(245, (0, 116))
FULL, NO_SANDBOX = "[Service]\n", f"[Service]\nEnvironment={PLAIN}\n"


@pytest.mark.parametrize(
    ("support", "unit", "runner", "verdict", "text", "advice"),
    (
        (NEW, FULL, Runner.AUTO, Verdict.OK, "systemd 252, polkit 122; ", ""),
        (NEW, None, Runner.AUTO, Verdict.NOTE, "glmd.service is not installed", "sudo make install"),
        (NEW, NO_SANDBOX, Runner.AUTO, Verdict.NOTE, "without a sandbox", "this host can have them now"),
        (OLD_POLKIT, NO_SANDBOX, Runner.AUTO, Verdict.NOTE, "children of glmd", "polkit 0.105 reads no rules"),
        (OLD_POLKIT, FULL, Runner.AUTO, Verdict.MISSING, "polkit 0.105 reads no rules", "jobs would not start"),
        (OLD_POLKIT, FULL, Runner.SYSTEMD, Verdict.NOTE, "polkit 0.105 reads no rules", "jobs would not start"),
        (OLD_POLKIT, FULL, Runner.SPAWN, Verdict.OK, "systemd 249, polkit 0.105; ", ""),
        (IN_BETWEEN, FULL, Runner.AUTO, Verdict.NOTE, "it ignores LoadCredential=, ProtectProc=", "the rest"),
    ),
)
def test_what_becomes_of_jobs(
    tmp_path: Path, support: UnitSupport, unit: str | None, runner: Runner, verdict: Verdict, text: str, advice: str
) -> None:
    """Where they cannot start that is said before the first of them fails, with the way that works."""
    place = tmp_path / "glmd.service"
    if unit is not None:
        place.write_text(unit)
    found = judge(support, (tmp_path / "nowhere" / "glmd.service", place), runner)
    assert found.verdict is verdict
    assert text in found.text
    assert advice in found.advice
    assert bool(advice) == bool(found.advice)
