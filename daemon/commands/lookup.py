"""What the words of a command line mean: which root, which settings, which job."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.codes import Code
from handlers.errors import BadInputError

if TYPE_CHECKING:
    from daemon.core.read_store import ReadStore
    from daemon.core.settings import Settings
    from daemon.core.states import Job

_JOB = re.compile(r"(\d{1,100})(?:-(.*))?", re.ASCII | re.DOTALL)


def settings_of(root: Path | None, config: Path | None) -> "Settings":
    """Return the settings; raises SettingsError."""
    from daemon.core.settings import load_settings  # noqa: PLC0415 - half a second, which most commands need not spend

    return load_settings(config, root)


def root_of(root: Path | None, config: Path | None) -> Path:
    """Return the root directory, without reading settings where it was named; raises SettingsError."""
    return root.absolute() if root and not config else settings_of(root, config).root


def job_number(text: str) -> int:
    """Return the number in `42`, `0042` or `0042-name`; raises BadInputError."""
    match = _JOB.fullmatch(text.strip().rstrip("/").rpartition("/")[2])
    if not match:
        raise BadInputError(
            f"{text!r} is no job; write its number, as 42, or its directory's name, as 0042-NAME", Code.JOB_NUMBER
        )
    return int(match[1])


def job_in(store: "ReadStore", text: str) -> "Job":
    """Return the job that `text` names; raises BadInputError."""
    number = job_number(text)
    try:
        job = store.job(number)
    except (KeyError, OverflowError) as error:
        raise BadInputError(f"there is no job {number}; glmd status --all lists them", Code.JOB_NONE) from error
    name = text.strip().rstrip("/").rpartition("/")[2].partition("-")[2]
    if name and name != job.name:
        raise BadInputError(f"there is no job {text!r}; {number} is {job.label}", Code.JOB_NONE)
    return job
