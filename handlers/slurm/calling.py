"""Calling one of Slurm's programs: an answer that is not clear says nothing, and is never taken for a no.

Only options that Slurm 20 knows are used: `-o` fields, whose meaning never changed, and no --json, whose layout did.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handlers.codes import Code
from handlers.errors import HandlerError

NAMES_OF_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "SLURM_CONF", "LD_LIBRARY_PATH"}
)
"""What Slurm's programs have of glmd's environment, and so the job: --export=ALL takes what sbatch has. Any other
--export makes slurmd run the user's login shell first, on which site files fail."""


class UnclearError(HandlerError):
    """Slurm gave no clear answer: nothing is known, and nothing changes for that."""

    code = Code.SLURM_NO_ANSWER


@dataclass(frozen=True)
class Commands:
    """Where Slurm's programs are."""

    sbatch: str = "sbatch"
    squeue: str = "squeue"
    scancel: str = "scancel"
    scontrol: str = "scontrol"
    sinfo: str = "sinfo"


def call(
    argv: Sequence[str], seconds: float, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's programs, for at most so many seconds. Raises UnclearError where it cannot be run or hangs."""
    try:
        return subprocess.run(
            argv,
            env={name: value for name, value in environment.items() if name in NAMES_OF_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnclearError(f"{argv[0]}: no answer in {seconds:g} s") from error
    except OSError as error:
        raise UnclearError(f"{argv[0]}: {error.strerror}") from error


def answer(argv: Sequence[str], seconds: float, environment: Mapping[str, str] = os.environ) -> str:
    """Return what a program says that only tells. Raises UnclearError, also where anything stands on its stderr."""
    done = call(argv, seconds, environment)
    if done.returncode != 0 or done.stderr.strip():
        raise UnclearError(f"{argv[0].rpartition('/')[2]}: {complaint(done) or f'exit code {done.returncode}'}")
    return done.stdout


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return in one line what a program complains of."""
    return " ".join(done.stderr.split())
