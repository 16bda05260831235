"""`glmd doctor` on systemd: whether glmd is a unit here, and whether its jobs can be."""

from collections.abc import Iterable
from pathlib import Path

from daemon.client.finding import Finding, Verdict
from daemon.core.setting_sections import Runner
from daemon.core.settings import Settings
from handlers.host.service_manager import runs_this_host
from handlers.host.unit_support import PLAIN, UnitSupport, ask_host

UNITS = tuple(
    Path(place) / "glmd.service" for place in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)
PLAIN_TEXT = "jobs are children of glmd (runner: spawn), without a sandbox of their own"


def of_systemd(settings: Settings) -> Finding:
    """Look which systemd and polkit run this host, and which unit is installed."""
    if not runs_this_host():
        advice = "glmd serve works without; trainings then end when the host's service manager sweeps up its session"
        return Finding("systemd", Verdict.NOTE, "does not run this host", advice)
    return judge(ask_host(), UNITS, settings.runner)


def judge(support: UnitSupport, units: Iterable[Path], runner: Runner) -> Finding:
    """Say what becomes of jobs where systemd and polkit are of these versions, and one of `units` is installed."""
    unit = next((unit for unit in units if unit.exists()), None)
    if unit is None:
        return Finding("systemd", Verdict.NOTE, f"{support}; glmd.service is not installed", "sudo make install")
    text = f"{support}; {unit} is installed"
    if PLAIN in unit.read_text():
        if support.obstacle:
            return Finding("systemd", Verdict.NOTE, f"{text}: {PLAIN_TEXT}", f"that is so because {support.obstacle}")
        advice = "sudo make install installs units that keep jobs in a sandbox: this host can have them now"
        return Finding("systemd", Verdict.NOTE, f"{text}: {PLAIN_TEXT}", advice)
    if support.obstacle and runner is not Runner.SPAWN:
        # Who says `systemd` in the settings may have let glm start units in a way of their own.
        verdict = Verdict.MISSING if runner is Runner.AUTO else Verdict.NOTE
        advice = "jobs would not start; sudo make install installs a unit whose jobs are children of glmd"
        return Finding("systemd", verdict, f"{text}, but {support.obstacle}", advice)
    if support.ignored:
        ignored = ", ".join(f"{name}=" for name in support.ignored)
        return Finding("systemd", Verdict.NOTE, f"{text}; it ignores {ignored}", "the rest of the units works")
    return Finding("systemd", Verdict.OK, text)
