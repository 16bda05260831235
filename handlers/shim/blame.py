"""Which process's failure ended a training, and what is known of its error."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.codes import Code
from handlers.rank_log.advice import filled_in, told
from handlers.rank_log.error_kinds import KnownError
from handlers.rank_log.known_errors import SIGNALS, Finding, known_error_in
from handlers.rank_log.last_words import last_line, last_words, no_words
from handlers.rank_log.meeting import NOT_REACHED, reached
from handlers.records.step_exit import Diagnosis, ProcessExit
from handlers.records.train_plan import ProcessPlan, RankPlan, Role
from handlers.shim.begun import name, rank_name

_BY_SOMEBODY = "nothing, if it was meant; else `last` and `journalctl` tell who was on the host then"
_READ_RANK = "`glmd logs N --rank R`"


@dataclass(frozen=True)
class Blame:
    """The answer."""

    pid: int
    """Of the process whose failure it is; it may run still."""
    reason: str
    code: Code
    diagnosis: Diagnosis | None


@dataclass(frozen=True)
class _Witness:
    """A rank, or a process without any: how its process ended, when it has, and the error that its log shows."""

    pid: int
    process: ProcessPlan
    rank: RankPlan | None
    exit: ProcessExit | None
    finding: Finding | None

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return name(self.process) if self.rank is None else rank_name(self.rank)

    @property
    def log(self) -> Path:
        """All that it printed."""
        return self.process.log if self.rank is None else self.rank.log

    @property
    def is_echo(self) -> bool:
        """Whether it only lost its peer. Who was killed did not: that is a cause, whatever the log says."""
        killed = self.exit is not None and self.exit.signal is not None
        return self.finding is not None and self.finding.error.is_echo and not killed


def blame(failed: Sequence[ProcessExit], started: Mapping[int, ProcessPlan], *, oom_kills: int | None) -> Blame:
    """Say which of the processes that were `started`, by pid, is to blame, now that `failed` have failed.

    Ask before the others are ended.

    That is the first that failed, unless it only lost its peer (a socket or notify time-out, a closed connection) and
    another one shows a cause: one that failed within the same moment, or whose log had an error before. Where it waited
    in vain for all to reach the scheduler, it is one that did not. `oom_kills` is how many processes the kernel has
    killed for memory meanwhile; None where that is not known.
    """
    witnesses = list(_witnesses(failed, started))
    order = {exit_.pid: number for number, exit_ in enumerate(failed)}
    in_order = sorted((w for w in witnesses if w.exit), key=lambda w: order[w.pid])
    first = in_order[0]
    guilty = next((w for w in in_order if not w.is_echo), None) or _earlier_cause(first, witnesses)
    absent = [] if guilty is not None else _never_came(first, witnesses)
    guilty = guilty or next(iter(absent), first)
    never = {witness.rank for witness in absent}
    echoes = [w.rank for w in witnesses if w.rank is not None and w.is_echo and w is not guilty and w.rank not in never]
    diagnosis = _diagnosis(guilty, oom_kills)
    what = _not_there(absent) if absent else _what(guilty)
    reason = "; ".join(part for part in (what, _lost(echoes), advice(diagnosis)) if part)
    error = _error(guilty)
    return Blame(guilty.pid, reason, Code.RANK_FAILED if error is None else error.code, diagnosis)


def _witnesses(failed: Sequence[ProcessExit], started: Mapping[int, ProcessPlan]) -> Iterator[_Witness]:
    ended = {exit_.pid: exit_ for exit_ in failed}
    for pid, process in started.items():
        for rank in process.ranks or (None,):
            log = process.log if rank is None else rank.log
            yield _Witness(pid, process, rank, ended.get(pid), known_error_in(log))


def _earlier_cause(echo: _Witness, witnesses: Sequence[_Witness]) -> _Witness | None:
    """Return the rank whose log shows the earliest cause that does not come after `echo`.

    A cause without a time counts as earlier: for an echo there must have been one.
    """
    heard = echo.finding.said if echo.finding is not None else ""
    causes = [
        (witness.finding.said, number, witness)
        for number, witness in enumerate(witnesses)
        if witness.finding is not None
        and not witness.finding.error.is_echo
        and (not heard or witness.finding.said <= heard)
    ]
    return min(causes)[2] if causes else None


def _never_came(echo: _Witness, witnesses: Sequence[_Witness]) -> list[_Witness]:
    """Return the ranks that `echo` waited for in vain at the scheduler, each with that for its error."""
    if echo.finding is None or echo.finding.error.name != NOT_REACHED:
        return []
    scheduler = next((witness for witness in witnesses if witness.process.role is Role.SCHEDULER), None)
    came = None if scheduler is None else reached(scheduler.log)
    if came is None:
        return []
    ranks = sorted((w.rank.number, w) for w in witnesses if w.rank is not None and w.rank.number not in came)
    return [replace(witness, finding=echo.finding) for _, witness in ranks]


def _not_there(absent: Sequence[_Witness]) -> str:
    names = ", ".join(witness.name for witness in absent)
    first = absent[0]
    return f"{names} never reached the scheduler: {last_line(first.log) or no_words(first.log)}"


def _what(guilty: _Witness) -> str:
    exit_ = guilty.exit
    if exit_ is None:
        said = guilty.finding.said.partition(" ")[2].partition(".")[0] if guilty.finding is not None else ""
        at = f" ({said})" if said else ""
        return f"{guilty.name} failed first{at}, and had not ended: {last_words(guilty.log)}"
    how = f"was killed by {exit_.signal}" if exit_.signal else f"exited {exit_.exit_code}"
    at = exit_.ended.astimezone().strftime("%H:%M:%S")
    if guilty.process.role is Role.SCHEDULER and exit_.signal:  # it was waiting for the ranks, and had nothing to say
        return f"{guilty.name} {how} first ({at}), without which the ranks lose each other"
    return f"{guilty.name} {how} first ({at}): {exit_.line or no_words(guilty.log)}"


def _lost(echoes: Sequence[RankPlan]) -> str:
    ranks = sorted(rank.number for rank in echoes)
    if not ranks:
        return ""
    if len(ranks) == 1:
        return f"rank {ranks[0]} only lost its peer"
    return f"ranks {', '.join(map(str, ranks))} only lost their peer"


def advice(diagnosis: Diagnosis | None) -> str:
    """Return what a reason says of an error that is known; empty for one that is not."""
    return told(diagnosis.cause, diagnosis.remedy) if diagnosis is not None else ""


def _diagnosis(guilty: _Witness, kills: int | None) -> Diagnosis | None:
    error = _error(guilty)
    if error is None:
        return None
    return Diagnosis(
        error=error.name,
        rank=None if guilty.rank is None else guilty.rank.number,
        cause=_who_killed(kills) if error.name == "SIGKILL" and kills is not None else error.cause,
        remedy=_BY_SOMEBODY if error.name == "SIGKILL" and kills == 0 else _remedy(error, guilty),
        may_pass=error.may_pass,
    )


def _remedy(error: KnownError, guilty: _Witness) -> str:
    """Return what to do, with rank and device filled in; the job is not known here."""
    if guilty.rank is None:  # `glmd logs` shows no scheduler's log
        return filled_in(error.remedy.replace(_READ_RANK, f"`less {guilty.log}`"), rank=None, device=None)
    return filled_in(error.remedy, rank=guilty.rank.number, device=guilty.rank.device)


def _error(guilty: _Witness) -> KnownError | None:
    """Return the known error: that of the log says more than the signal, but for a kill, which nothing announces."""
    signal = guilty.exit.signal if guilty.exit is not None else None
    by_signal = next((error for error in SIGNALS if error.name == signal), None)
    if signal == "SIGKILL" or guilty.finding is None:
        return by_signal
    return guilty.finding.error


def _who_killed(kills: int) -> str:
    if kills:
        return f"killed by the kernel for want of memory: it has killed {kills} since the training began"
    return "killed by somebody: the kernel has killed none for want of memory since the training began"
