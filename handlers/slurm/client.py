"""What glmd asks Slurm of its trainings, and tells it: jobs are submitted, looked for, and cancelled."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from handlers.codes import Code
from handlers.errors import HandlerError
from handlers.slurm.calling import Commands, UnclearError, answer, call
from handlers.slurm.partitions import partitions
from handlers.slurm.queue import Row, rows

ANSWER = 30.0
"""Seconds in which squeue and scancel have to answer."""
SUBMISSION = 60.0
"""Seconds for sbatch, which waits for slurmctld."""
_BOOT = re.compile(r"^BOOT_TIME\s*=\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)$", re.ASCII | re.MULTILINE)
"""scontrol(1), show config: when slurmctld was started, in local time."""
_NODE = re.compile(
    r"^NodeName=(?P<name>\S+) .*?\bState=(?P<state>\S+)(?:.*\bReason=(?P<why>.*?)(?: \[|$))?", re.MULTILINE
)
"""scontrol(1), show node, one a line: State=DOWN+NOT_RESPONDING … Reason=Not responding [slurm@2026-11-30T12:00:00]"""
_DOWN = re.compile(r"DOWN|FAIL|NOT_RESPONDING|\*", re.ASCII)
_REFUSALS = re.compile(
    r"[Ii]nvalid|not available|not permitted|[Pp]ermission denied|[Aa]ccess denied|violates|[Uu]nable to open"
    r"|unrecognized|More processors|AssocMax|QOSMax|[Ee]xpired|too (?:many|long)|exceeds|disabled|Node count spec",
    re.ASCII,
)
"""What sbatch says of a job that Slurm did not take, nor will."""
_MAY_PASS = re.compile(r"[Tt]imed out|[Uu]nable to contact|[Tt]emporar|[Tt]ry again|[Cc]onnection|[Ss]ocket", re.ASCII)


def is_refusal(text: str) -> bool:
    """Say whether sbatch tells of a job that Slurm did not take, nor will."""
    return bool(_REFUSALS.search(text)) and not _MAY_PASS.search(text)


class NotTakenError(HandlerError):
    """sbatch did not take the job, and says why."""

    code = Code.SLURM_REFUSED


@dataclass(frozen=True)
class SlurmClient:
    """Asks Slurm, and tells it. Each call blocks for as long as Slurm takes: not for the loop's thread."""

    commands: Commands = field(default_factory=Commands)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def jobs_called(self, name: str) -> tuple[Row, ...]:
        """Return my jobs of that name, also those that are over, the oldest first. Raises UnclearError."""
        return tuple(row for row in self._squeue(f"--name={name}") if row.name == name)

    def jobs(self) -> tuple[Row, ...]:
        """Return all of my jobs that Slurm knows. Raises UnclearError."""
        return self._squeue()

    def up_for(self) -> float:
        """Return for how many seconds slurmctld has been up; 0 where its clock is ahead. Raises UnclearError."""
        found = _BOOT.search(self._scontrol("show", "config"))
        if found is None:
            raise UnclearError("scontrol: says no BOOT_TIME")
        started = datetime.fromisoformat(found[1]).astimezone()
        return max(0.0, (datetime.now(UTC) - started).total_seconds())

    def down(self) -> dict[str, str]:
        """Return which nodes of the cluster are down, with Slurm's reason. Raises UnclearError."""
        output = self._scontrol("-o", "show", "node")
        found = (one for one in _NODE.finditer(output) if _DOWN.search(one["state"]))
        return {one["name"]: one["why"] or one["state"] for one in found}

    def exclude(self, name: str, nodes: str) -> None:
        """Let the job of that name, which waits, be kept off these nodes alone; empty for none. Raises UnclearError."""
        self._scontrol("update", f"JobName={name}", f"ExcNodeList={nodes}")

    def submit(self, options: Sequence[str], script: Path) -> str:
        """Submit a job, and return its number. Raises UnclearError where it may have been taken, and NotTakenError."""
        done = call([self.commands.sbatch, "--parsable", *options, str(script)], SUBMISSION, self.environment)
        number = done.stdout.strip().partition(";")[0]
        if done.returncode == 0 and re.fullmatch(r"\d{1,12}", number, re.ASCII):  # whatever stands on its stderr
            return number
        text = " ".join((done.stderr.strip() or done.stdout.strip()).split()) or f"exit code {done.returncode}"
        text = text.removeprefix("sbatch: ")
        if done.returncode != 0 and is_refusal(text):
            raise NotTakenError(f"sbatch: {text}{self._known_partitions() if 'partition' in text else ''}")
        raise UnclearError(f"sbatch: {text}")

    def _known_partitions(self) -> str:
        """Return which partitions there are, for who has named another; nothing where that is not known."""
        try:
            known = partitions(self.commands.sinfo, ANSWER, self.environment)
        except UnclearError:
            return ""  # it is an addition to what is wrong
        return f" (sinfo knows: {', '.join(one.name for one in known)})"

    def cancel(self, name: str, number: str) -> None:
        """End the job that has both that name and that number; any other is left alone. Raises UnclearError."""
        done = call([self.commands.scancel, f"--name={name}", number], ANSWER, self.environment)
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            raise UnclearError(f"scancel: {done.stderr.strip() or f'exit code {done.returncode}'}")

    def _scontrol(self, *arguments: str) -> str:
        return answer([self.commands.scontrol, *arguments], ANSWER, self.environment)

    def _squeue(self, *options: str) -> tuple[Row, ...]:
        return rows(self.commands.squeue, ANSWER, "-t", "all", *options, environment=self.environment)
