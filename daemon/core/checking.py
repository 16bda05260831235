"""The check of a job's file as the settings of this host want it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from daemon.core.names import digest_of
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.host.reach import reach
from handlers.mindformers.dialect import dialect_of, is_read
from handlers.mindformers.installed import Installed, find_installed, named
from handlers.records.checked import Checked
from handlers.records.job_dir import JobDir
from handlers.validate.check import CheckedConfig, Rules, check
from handlers.validate.gate_rules import GateRules
from handlers.validate.remembered import as_record, from_record, look_again

NOTHING: Mapping[str, Path] = MappingProxyType({})
"""What no cycle has promoted."""


def rules(settings: Settings, root: Root, mindformers: Installed | None = None) -> Rules:
    """Return what a dropped file is compared with; `mindformers` instead of what the settings lead to."""
    mindformers = mindformers or mindformers_of(settings)
    return Rules(
        devices=settings.devices,
        slurm=None if settings.slurm is None else settings.slurm.devices_per_node,
        site=None if settings.slurm is None else settings.slurm.site,
        topology=settings.rank_table.topology,
        max_bytes=settings.inbox.max_bytes,
        disk=root.jobs,
        latest=root.latest,
        allowed=(*settings.allowed_paths, root.path),
        version=mindformers.version,
        code=frozenset(settings.training.allow_code),
        has_register_path="REGISTER_PATH" in settings.training.environment,
        gate=GateRules(settings.gate, settings.known_evaluations),
        against=_against(mindformers),
    )


def _against(mindformers: Installed) -> str:
    """Return what people are told of the version that a file is compared with."""
    version = mindformers.version
    if version is None:
        unknown = "where its versions differ, glmd only warns; name it: training.mindformers in the settings"
        return f"{mindformers}; {unknown}"
    if not is_read(version):
        return f"{mindformers}, a version that glmd does not know, by the rules of {dialect_of(version).name}"
    return str(mindformers)


def mindformers_of(settings: Settings) -> Installed:
    """Return the MindFormers that trains. Its files are looked at, which may take long on a network file system."""
    training = settings.training
    if training.mindformers is not None:
        return named(training.mindformers, "training.mindformers")
    for path in (training.checkout, training.python):
        reach(path.absolute())
    return find_installed(training.checkout, training.python)


def checked_again(
    job: Job, settings: Settings, root: Root, own: Mapping[str, Path] = NOTHING, *, is_resumed: bool = False
) -> CheckedConfig:
    """Return what the check of the job's file found, having looked again at what may have changed on this host.

    It is checked again where nothing was kept of the check, or was found for another version of MindFormers; but a
    training that is resumed goes on by the rules that it began with. `own` is where that lies which the job's nightly
    cycle has promoted last, by prefix. Raises HandlerError or OSError.
    """
    directory, now = job.directory(root.path), replace(rules(settings, root), own=own)
    content, name = read_config(directory.submitted, settings), f"{job.name}.yaml"
    digest = digest_of(content)
    checked = _remembered(directory, digest, settings)
    if checked is None or not (is_resumed or checked.mindformers == now.known_version):
        checked = check(content, name, now)
        remember(directory, checked, digest)
    else:
        look_again(checked, name, now)
    return checked


def remember(directory: JobDir, checked: CheckedConfig, digest: str) -> None:
    """Keep what was found in the file with this digest, for the steps that follow. Raises OSError."""
    if (record := as_record(checked, digest)) is not None:
        record.publish(directory.checked)


def _remembered(directory: JobDir, digest: str, settings: Settings) -> CheckedConfig | None:
    """Return what was found in the file with this digest; None where that is not known, or not to be understood."""
    try:
        record = Checked.read(directory.checked)
        return from_record(record, read_config(directory.config, settings)) if record.digest == digest else None
    except (FileNotFoundError, ValueError):  # of a job that an older glmd took in, or damaged
        return None


def read_config(config: Path, settings: Settings) -> bytes:
    """Return a YAML of a job's directory. Raises BadInputError where that is too long by now, and OSError."""
    try:
        return read_bounded(config, settings.inbox.max_bytes)
    except DamagedFileError as error:  # somebody has put it there
        raise BadInputError(str(error), Code.JOB_FILE_UNUSABLE) from error
