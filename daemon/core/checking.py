"""The check of a job's file as the settings of this host want it."""

from pathlib import Path

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.host.reach import reach
from handlers.mindformers.installed import Installed, find_installed, named
from handlers.validate.check import CheckedConfig, Rules, check


def rules(settings: Settings, root: Root, mindformers: Installed | None = None) -> Rules:
    """Return what a dropped file is held against; `mindformers` instead of what the settings lead to."""
    mindformers = mindformers or mindformers_of(settings)
    unknown = "what its versions do not agree upon is a warning; name it: training.mindformers in the settings"
    return Rules(
        devices=settings.devices,
        topology=settings.rank_table.topology,
        max_bytes=settings.inbox.max_bytes,
        disk=root.jobs,
        latest=root.latest,
        allowed=(*settings.allowed_paths, root.path),
        version=mindformers.version,
        against=f"{mindformers}; {unknown}" if mindformers.version is None else str(mindformers),
    )


def mindformers_of(settings: Settings) -> Installed:
    """Return the MindFormers that trains. Its files are looked at, which may take long on a network file system."""
    training = settings.training
    if training.mindformers is not None:
        return named(training.mindformers, "training.mindformers")
    for path in (training.checkout, training.python):
        reach(path.absolute())
    return find_installed(training.checkout, training.python)


def checked_again(job: Job, settings: Settings, root: Root) -> CheckedConfig:
    """Check the job's file as when it was dropped: disk and inputs may have changed. Raises HandlerError or OSError."""
    content = read_config(job.directory(root.path).submitted, settings)
    return check(content, f"{job.name}.yaml", rules(settings, root))


def read_config(config: Path, settings: Settings) -> bytes:
    """Return a YAML of a job's directory. Raises BadInputError where that is too long by now, and OSError."""
    try:
        return read_bounded(config, settings.inbox.max_bytes)
    except DamagedFileError as error:  # somebody has put it there
        raise BadInputError(str(error), Code.JOB_FILE_UNUSABLE) from error
