"""Slurm's programs, each called once: an answer that is not clear says nothing, and is never taken for a no.

Only options that Slurm 20 knows are used: `-o` fields, whose meaning never changed, and no --json, whose layout did.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from handlers.codes import Code
from handlers.errors import HandlerError

NAMES_OF_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "SLURM_CONF", "LD_LIBRARY_PATH"}
)
"""What Slurm's programs have of glmd's environment, and so the job: --export=ALL takes what sbatch has. Any other
--export makes slurmd run the user's login shell first, on which site files fail."""
ANSWER = 30.0
"""Seconds in which squeue and scancel have to answer."""
SUBMISSION = 60.0
"""Seconds for sbatch, which waits for slurmctld."""
_FIELDS = "%i|%T|%r|%S|%N|%j|%P"
_ROW = re.compile(
    r"(?P<id>\d{1,12})(?:[_+]\S*)?\|(?P<state>[A-Z_]+)\|(?P<reason>.*)\|(?P<start>[^|]*)\|(?P<nodes>[^|]*)\|(?P<name>[^|]*)\|(?P<partition>[^|]*)",
    re.ASCII,
)
"""The reason may be free text with commas; what others call their jobs may hold anything."""
_BOOT = re.compile(r"^BOOT_TIME\s*=\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)$", re.ASCII | re.MULTILINE)
"""scontrol(1), show config: when slurmctld was started, in local time."""
_REFUSALS = re.compile(
    r"[Ii]nvalid|not available|not permitted|[Pp]ermission denied|[Aa]ccess denied|violates|[Uu]nable to open"
    r"|unrecognized|More processors|AssocMax|QOSMax|[Ee]xpired|too (?:many|long)|exceeds|disabled|Node count spec",
    re.ASCII,
)
"""What sbatch says of a job that Slurm did not take, nor will."""
_MAY_PASS = re.compile(r"[Tt]imed out|[Uu]nable to contact|[Tt]emporar|[Tt]ry again|[Cc]onnection|[Ss]ocket", re.ASCII)


class UnclearError(HandlerError):
    """Slurm gave no clear answer: nothing is known, and nothing changes for that."""

    code = Code.SLURM_NO_ANSWER


class NotTakenError(HandlerError):
    """sbatch did not take the job, and says why."""

    code = Code.SLURM_REFUSED


@dataclass(frozen=True)
class Row:
    """What squeue says of one job."""

    id: str
    state: str
    """As `PENDING`."""
    reason: str
    """Why it is in this state; `None` where Slurm has none."""
    start: str
    """When it began, or is expected to; `N/A` where that is not known."""
    nodes: str
    """As `n[1-2]`; empty while it has none."""
    name: str
    partition: str = ""


@dataclass(frozen=True)
class Commands:
    """Where Slurm's programs are."""

    sbatch: str = "sbatch"
    squeue: str = "squeue"
    scancel: str = "scancel"
    scontrol: str = "scontrol"


@dataclass(frozen=True)
class SlurmClient:
    """Asks Slurm, and tells it. Each call blocks for as long as Slurm takes: not for the loop's thread."""

    commands: Commands = Commands()
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def jobs_called(self, name: str) -> tuple[Row, ...]:
        """Return my jobs of that name, also those that are over, the oldest first. Raises UnclearError."""
        return tuple(row for row in self._squeue(f"--name={name}") if row.name == name)

    def jobs(self) -> tuple[Row, ...]:
        """Return all of my jobs that Slurm knows. Raises UnclearError."""
        return self._squeue()

    def up_for(self) -> float:
        """Return for how many seconds slurmctld has been up; 0 where its clock is ahead. Raises UnclearError."""
        done = self._run([self.commands.scontrol, "show", "config"], ANSWER)
        found = _BOOT.search(done.stdout)
        if done.returncode != 0 or done.stderr.strip() or found is None:
            raise UnclearError(f"scontrol: {' '.join(done.stderr.split()) or 'says no BOOT_TIME'}")
        started = datetime.fromisoformat(found[1]).astimezone()
        return max(0.0, (datetime.now(UTC) - started).total_seconds())

    def submit(self, options: Sequence[str], script: Path) -> str:
        """Submit a job, and return its number. Raises UnclearError where it may have been taken, and NotTakenError."""
        done = self._run([self.commands.sbatch, "--parsable", *options, str(script)], SUBMISSION)
        number = done.stdout.strip().partition(";")[0]
        if done.returncode == 0 and re.fullmatch(r"\d{1,12}", number, re.ASCII):  # whatever stands on its stderr
            return number
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split()) or f"exit code {done.returncode}"
        if done.returncode != 0 and _REFUSALS.search(said) and not _MAY_PASS.search(said):
            raise NotTakenError(f"sbatch: {said}")
        raise UnclearError(f"sbatch: {said}")

    def cancel(self, name: str, number: str) -> None:
        """End the job that has both that name and that number; any other is left alone. Raises UnclearError."""
        done = self._run([self.commands.scancel, f"--name={name}", number], ANSWER)
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            raise UnclearError(f"scancel: {done.stderr.strip() or f'exit code {done.returncode}'}")

    def _squeue(self, *options: str) -> tuple[Row, ...]:
        me = f"--user={os.getuid()}"
        done = self._run([self.commands.squeue, "-h", "-a", "-t", "all", me, *options, "-o", _FIELDS], ANSWER)
        if done.returncode != 0 or done.stderr.strip():
            raise UnclearError(f"squeue: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
        return tuple(_row(line) for line in done.stdout.splitlines() if line.strip())

    def _run(self, argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in self.environment.items() if name in NAMES_OF_ENVIRONMENT}
        try:
            return subprocess.run(
                argv,
                env=environment,
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


def _row(line: str) -> Row:
    found = _ROW.fullmatch(line.strip())
    if found is None:
        raise UnclearError(f"squeue: says {line[:200]!r}")
    return Row(**{name: value.strip() for name, value in found.groupdict().items()})
