"""What of a night needs somebody: decided here alone, for `glmd night`, and for whatever else tells of nights.

A thing needs you when it went wrong, nobody meant it, and nothing has made up for it since. What somebody has fixed is
history: a retry that was done, a later night of the cycle that was promoted, another drop of the same name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from daemon.core.night_runs import Outcome
from daemon.core.states import Job, State
from daemon.face.nights import Mark, Run
from handlers.codes import Code


class Kind(StrEnum):
    """What went wrong."""

    OPERATOR = "operator"
    """Processes of a job that is over cannot be ended, and its devices stay its own."""
    FAILED = "failed"
    REJECTED = "rejected"
    """A dropped file was not taken."""
    NOT_PROMOTED = "not_promoted"
    """It is done, and the gate did not let its output become `latest`."""
    SKIPPED = "skipped"
    """A run was left out since the one before was not over."""
    NOT_DROPPED = "not_dropped"
    """A run could not be dropped, which is tried again."""


_COMES_AGAIN = frozenset({Code.TRAINING_DIVERGED, Code.RANK_PYTHON_ERROR})
"""Of failures whose cause is mostly in the file: a retry would fail in the same way, after hours."""


@dataclass(frozen=True)
class Need:
    """One thing that needs somebody."""

    kind: Kind
    what: str
    """A job's label, or a cycle's name."""
    job: int | None
    reason: str
    code: str
    commands: tuple[str, ...]
    """To be typed, the first one first."""

    def as_json(self) -> dict[str, object]:
        """Return the documented keys."""
        return {
            "kind": self.kind,
            "what": self.what,
            "job": self.job,
            "reason": self.reason,
            "code": self.code,
            "commands": list(self.commands),
        }


def need_of_run(run: Run, later: Iterable[Run]) -> Need | None:
    """Return what a run of a cycle needs; `later` are that cycle's runs, of which those that are later count."""
    made_up_for = any(other.mark in {Mark.DONE, Mark.LATE} and other.due > run.due for other in later)
    if made_up_for:
        return None
    if run.job is not None:
        return need_of_job(run.job, is_kept_back=run.is_kept_back)
    if run.outcome is Outcome.FAILED:
        return _need_of_no_job(Kind.NOT_DROPPED, run)
    if run.mark is Mark.SKIPPED and not run.is_meant:
        return _need_of_no_job(Kind.SKIPPED, run)
    return None


def need_of_job(job: Job, *, is_kept_back: bool = False, is_stuck: bool = False) -> Need | None:
    """Return what a job needs, no matter who dropped it.

    `is_kept_back` says that it is done and the gate did not let its output become `latest`, `is_stuck` that it is over
    and holds devices anyway. That nothing has made up for it since is for the caller to see.
    """
    if is_stuck:
        return _need(Kind.OPERATOR, job)
    match job.state:
        case State.FAILED:
            return _need(Kind.FAILED, job)
        case State.REJECTED:
            return _need(Kind.REJECTED, job)
        case State.DONE if is_kept_back:
            return _need(Kind.NOT_PROMOTED, job)
        case _:
            return None


def commands_for(kind: Kind, job: int | None, code: str) -> tuple[str, ...]:
    """Return what is to be typed, the first one first."""
    return (*_commands(kind, job, code), *([f"glmd explain {code}"] if code else []))


def _commands(kind: Kind, job: int | None, code: str) -> tuple[str, ...]:
    match kind:
        case Kind.FAILED if code not in _COMES_AGAIN:
            return (f"glmd retry {job}",)
        case Kind.FAILED | Kind.OPERATOR | Kind.REJECTED:
            return (f"glmd status {job}",)
        case Kind.NOT_PROMOTED:
            return f"glmd status {job}", f"glmd promote {job} --force"
        case Kind.SKIPPED:
            return ("glmd status",)
        case Kind.NOT_DROPPED:
            return ("glmd doctor",)


def _need(kind: Kind, job: Job) -> Need:
    return Need(kind, job.label, job.id, job.reason, job.code, commands_for(kind, job.id, job.code))


def _need_of_no_job(kind: Kind, run: Run) -> Need:
    return Need(kind, run.cycle, None, run.reason, run.code, commands_for(kind, None, run.code))
