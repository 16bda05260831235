"""What this host has and lacks for glmd: the checks behind `glmd doctor`.

Those of the root and its disk are in daemon.client.place_findings, those of what trains in
daemon.client.training_findings, those of nights in daemon.client.night_findings, that of systemd in
daemon.client.systemd_findings.
"""

import platform
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

from daemon.client.finding import Finding, Verdict
from daemon.client.night_findings import of_last_runs, of_template
from daemon.client.notify_findings import of_notifications
from daemon.client.place_findings import of_disk, of_retention, of_root
from daemon.client.systemd_findings import of_systemd
from daemon.client.training_findings import of_training
from daemon.core.control import NotRunningError, ask
from daemon.core.settings import DEFAULT_FILE, Settings
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.topology import topology_note, topology_problem
from handlers.units.devices import format_devices

LEAST_WATCHES, LEAST_INSTANCES = 8192, 128
"""The kernel's own defaults on a small host; containers sometimes get less."""


def examine(settings: Settings, file: Path | None) -> Generator[Finding]:
    """Yield the findings about `settings`, which `file` has, one after the other: some take seconds."""
    yield _file(file)
    yield _interpreter(settings)
    yield from of_training(settings)
    checks: tuple[Callable[[Settings], Finding], ...] = (
        _npus, _devices, _addresses, _inotify, of_root, of_disk, of_retention, of_systemd, _daemon,
    )  # fmt: skip
    for examined in checks:
        yield examined(settings)
    for cycle in settings.nightly:
        yield of_template(cycle, settings)
    yield from of_last_runs(settings)
    yield from of_notifications(settings)


def _interpreter(settings: Settings) -> Finding:
    del settings
    return Finding("python", Verdict.OK, f"{platform.python_version()} runs glmd")


def _file(file: Path | None) -> Finding:
    if file is not None:
        return Finding("settings", Verdict.OK, f"read from {file}")
    text = f"{DEFAULT_FILE} is not there, nor glmd.yaml in the root: what is not set has its default"
    return Finding("settings", Verdict.NOTE, text, "configs/glmd.yaml of glmd's source has a line for each setting")


def _npus(settings: Settings) -> Finding:
    del settings
    if tool := shutil.which("npu-smi"):
        return Finding("npu-smi", Verdict.OK, tool)
    return Finding("npu-smi", Verdict.NOTE, "not in PATH: no Ascend driver here", "install it on a server with NPUs")


def _devices(settings: Settings) -> Finding:
    devices, topology = settings.devices, settings.rank_table.topology
    text = f"{format_devices(devices)}, topology {topology}"
    if problem := topology_problem(devices, topology):
        advice = (
            "a job that names no devices takes all of these: let jobs name theirs, or correct devices in the settings"
        )
        return Finding("devices", Verdict.NOTE, f"{text}: HCCL would not take all together: {problem}", advice)
    if note := topology_note(devices, topology):
        return Finding("devices", Verdict.NOTE, f"{text}: {note}", "set rank_table.topology to this server's product")
    return Finding("devices", Verdict.OK, text)


def _addresses(settings: Settings) -> Finding:
    table, devices = settings.rank_table, format_devices(settings.devices)
    found = HccnLookup(tool=table.hccn_tool, conf=table.hccn_conf).addresses(settings.devices)
    if not found.missing:
        text = f"{devices}: {', '.join(found.ips.values())}"
        return Finding(
            "device addresses", Verdict.NOTE if found.warnings else Verdict.OK, text, "; ".join(found.warnings)
        )
    device, why = next(iter(found.missing.items()))
    text = f"none for {len(found.missing)} of {len(settings.devices)} devices; device {device}: {why}"
    return Finding(
        "device addresses",
        Verdict.NOTE,
        text,
        "trainings on NPUs need them; see rank_table and devices in the settings",
    )


def _inotify(settings: Settings) -> Finding:
    del settings
    limits = Path("/proc/sys/fs/inotify")
    try:
        watches, instances = (int((limits / name).read_text()) for name in ("max_user_watches", "max_user_instances"))
    except OSError as error:
        return Finding("inotify", Verdict.NOTE, f"{limits}: {error.strerror}", "glmd still looks every inbox.rescan")
    text = f"{watches} watches, {instances} instances a user"
    if watches >= LEAST_WATCHES and instances >= LEAST_INSTANCES:
        return Finding("inotify", Verdict.OK, text)
    advice = f"sysctl fs.inotify.max_user_watches={LEAST_WATCHES} fs.inotify.max_user_instances={LEAST_INSTANCES}"
    return Finding("inotify", Verdict.NOTE, text, advice)


def _daemon(settings: Settings) -> Finding:
    try:
        return Finding("daemon", Verdict.OK, f"runs: {ask(settings.root, 'ping', timeout=5.0)}")
    except NotRunningError as error:
        return Finding("daemon", Verdict.NOTE, str(error))
