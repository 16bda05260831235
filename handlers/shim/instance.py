"""Which run of which step a systemd instance name means: glmd-job@0042-1-train.service."""

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.records.job_dir import JobDir, Step, StepDir, is_number

_NAME = re.compile(r"(?P<job>\d+)-(?P<attempt>\d+)-(?P<step>train|merge|evaluate)", re.ASCII)


@dataclass(frozen=True)
class StepRun:
    """One run of one step of one job."""

    job_dir: JobDir
    attempt: int
    step: Step

    @property
    def job(self) -> int | str:
        """The job's number, from its directory's name."""
        number = self.job_dir.path.name.partition("-")[0]
        return int(number) if is_number(number) else number

    @property
    def directory(self) -> StepDir:
        """Where it keeps its records."""
        return self.job_dir.step(self.attempt, self.step)


def find_step_run(root: Path, instance: str) -> StepRun:
    """Return the run that `instance`, as `0042-1-train`, names below `root`.

    Raises BadInputError, and FileNotFoundError where there is no directory of such a job.
    """
    match = _NAME.fullmatch(instance)
    if match is None:
        raise BadInputError(f"{instance!r} is no instance: JOB-ATTEMPT-STEP, as 0042-1-train", Code.SHIM_USAGE)
    found = [path for path in (root.absolute() / "jobs").glob(f"{match['job']}-*") if path.is_dir()]
    if not found:
        raise FileNotFoundError(errno.ENOENT, "0 directories, not one", f"{root}/jobs/{match['job']}-*")
    if len(found) != 1:
        raise BadInputError(f"{root}/jobs/{match['job']}-*: {len(found)} directories, not one", Code.SHIM_USAGE)
    return StepRun(JobDir(found[0]), int(match["attempt"]), Step(match["step"]))
