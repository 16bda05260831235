"""What this host has and lacks for glmd: the checks behind `glmd doctor`.

Those of the root and its disk are in daemon.client.place_findings, those of nights in daemon.client.night_findings.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from daemon.client.finding import Finding, Verdict
from daemon.client.night_findings import of_last_runs, of_template
from daemon.client.notify_findings import of_notifications
from daemon.client.place_findings import of_disk, of_retention, of_root
from daemon.core.checking import mindformers_of
from daemon.core.control import NotRunningError, ask
from daemon.core.settings import Settings
from handlers.host.service_manager import runs_this_host
from handlers.mindformers.dialect import dialect_of
from handlers.rank_log.tail import TAIL_BYTES
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.topology import topology_note, topology_problem
from handlers.units.devices import format_devices

UNITS = tuple(
    Path(place) / "glmd.service" for place in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)
PATIENCE = 60.0
"""Seconds that the training interpreter gets to import MindSpore, from a cold disk."""
MOST_SAID = 1 << 20
"""Bytes that it may print meanwhile."""
LEAST_WATCHES, LEAST_INSTANCES = 8192, 128
"""The kernel's own defaults on a small host; containers sometimes get less."""

_VERSIONS = """
import json, importlib.metadata as m
import mindspore
try: formers = m.version("mindformers")
except m.PackageNotFoundError: formers = None
print("\\n" + json.dumps([mindspore.__version__, formers]))
"""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the findings, one after the other: some take seconds."""
    checks: tuple[Callable[[Settings], Finding], ...] = (
        _interpreter, _training, _checkout, _mindformers, _npus, _devices, _addresses, _inotify, of_root, of_disk,
        of_retention,
        _systemd, _daemon,
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


def _training(settings: Settings) -> Finding:
    name, python = "training.python", settings.training.python
    advice = (
        "set training.python to the Python that has MindSpore and MindFormers; make demo builds one to rehearse with"
    )
    if not os.access(python, os.X_OK):
        return Finding(name, Verdict.MISSING, f"{python} is not there, or not executable", advice)
    try:
        code, said, complaint = _said([str(python), "-c", _VERSIONS])
    except subprocess.TimeoutExpired:
        return Finding(name, Verdict.MISSING, f"{python} did not import mindspore within {PATIENCE:g} s", advice)
    except OSError as error:
        return Finding(name, Verdict.MISSING, f"{python} cannot be run: {error.strerror}", advice)
    if code != 0:
        return Finding(name, Verdict.MISSING, f"{python} cannot import mindspore: {_last_line(complaint)}", advice)
    try:
        mindspore, mindformers = json.loads(_last_line(said))
    except (ValueError, TypeError, RecursionError):
        what = f"{python} is no Python: asked for its versions, it answered: {_last_line(said):.100}"
        return Finding(name, Verdict.MISSING, what, advice)
    text = f"{python} has mindspore {mindspore}, mindformers {mindformers or 'from a checkout, if at all'}"
    return Finding(name, Verdict.OK, text)


def _said(command: list[str]) -> tuple[int, str, str]:
    """Run `command` and return its exit code and the end of what it said. Raises OSError and TimeoutExpired.

    Into files, of which it cannot write more than MOST_SAID: it may be any program, as one that never ends to print.
    """
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd="/",
            # Before it runs, for its children have to have the limit, too.
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (MOST_SAID, MOST_SAID)),  # noqa: PLW1509 - this process has one thread
        ) as process,
    ):
        try:
            code = process.wait(PATIENCE)
        except BaseException:
            process.kill()
            raise
        texts = []
        for stream in (output, errors):
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            texts.append(stream.read().decode("utf-8", "replace"))
    return code, texts[0], texts[1]


def _checkout(settings: Settings) -> Finding:
    script = settings.training.checkout / "run_mindformer.py"
    if os.access(script, os.R_OK):
        return Finding("training.checkout", Verdict.OK, f"{script} is there")
    advice = "set training.checkout to a MindFormers checkout, the directory that holds run_mindformer.py"
    return Finding("training.checkout", Verdict.MISSING, f"{script} is not there, or not readable", advice)


def _mindformers(settings: Settings) -> Finding:
    found = mindformers_of(settings)
    if found.version is None:
        advice = 'name it: training.mindformers: "0.8"; until then what its versions do not agree upon is a warning'
        return Finding("mindformers", Verdict.NOTE, str(found), advice)
    dialect = dialect_of(found.version)
    return Finding("mindformers", Verdict.OK, f"{found}; YAMLs are checked by the rules of {dialect.name}")


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


def _systemd(settings: Settings) -> Finding:
    del settings
    if not runs_this_host():
        advice = "glmd serve works without; trainings then end when the host's service manager sweeps up its session"
        return Finding("systemd", Verdict.NOTE, "does not run this host", advice)
    if unit := next((unit for unit in UNITS if unit.exists()), None):
        return Finding("systemd", Verdict.OK, f"{unit} is installed")
    return Finding("systemd", Verdict.NOTE, "glmd.service is not installed", "sudo make install")


def _daemon(settings: Settings) -> Finding:
    try:
        return Finding("daemon", Verdict.OK, f"runs: {ask(settings.root, 'ping', timeout=5.0)}")
    except NotRunningError as error:
        return Finding("daemon", Verdict.NOTE, str(error), "systemctl start glmd, or glmd serve")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
