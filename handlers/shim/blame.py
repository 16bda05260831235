"""Which process's failure ended a training, and what is known of its error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handlers.codes import Code
from handlers.rank_log.advice import advice_text, filled_in
from handlers.rank_log.error_kinds import KnownError
from handlers.rank_log.known_errors import SIGNALS, known_error, known_error_in
from handlers.rank_log.last_words import last_line, last_words, no_words
from handlers.rank_log.meeting import NOT_REACHED, reached
from handlers.records.step_exit import Diagnosis, ProcessExit
from handlers.records.train_plan import ProcessPlan, RankPlan, Role
from handlers.records.witness import Witness
from handlers.shim.begun import place_name

_BY_SOMEBODY = "`glmd retry N`, unless it was done on purpose; `last` and `journalctl` show who was on the host then"
_READ_RANK = "`glmd logs N --rank R`"


@dataclass(frozen=True)
class Blame:
    """The answer."""

    witness: Witness
    """Whose failure it is; its process may run still."""
    reason: str
    code: Code
    diagnosis: Diagnosis | None

    def exit_among(self, exits: Sequence[ProcessExit]) -> ProcessExit | None:
        """Return how the process ended whose failure it is; None where it has not."""
        who = (self.witness.node, self.witness.pid)
        return next((exit_ for exit_ in exits if (exit_.node, exit_.pid) == who), None)


def witnesses_of(
    failed: Sequence[ProcessExit],
    started: Mapping[int, ProcessPlan],
    *,
    oom_kills: int | None,
    node: str | None = None,
) -> tuple[Witness, ...]:
    """Return what is known of the processes that were `started` here, by pid, now that `failed` have failed.

    Those come first, in the order of their ends. Ask before the others are ended. `oom_kills` is how many processes the
    kernel has killed for memory meanwhile; None where that is not known.
    """
    ended = {exit_.pid: exit_ for exit_ in failed}
    pids = (*ended, *(pid for pid in started if pid not in ended))
    return tuple(
        _witness(pid, started[pid], rank, ended.get(pid)).model_copy(update={"oom_kills": oom_kills, "node": node})
        for pid in pids
        for rank in started[pid].ranks or (None,)
    )


def _witness(pid: int, process: ProcessPlan, rank: RankPlan | None, exit_: ProcessExit | None) -> Witness:
    log = process.log if rank is None else rank.log
    found = known_error_in(log)
    return Witness(
        role=process.role,
        rank=None if rank is None else rank.number,
        device=None if rank is None else rank.device,
        pid=pid,
        log=log,
        exit=exit_,
        error=None if found is None else found.error.name,
        said="" if found is None else found.when,
        line=last_line(log) or no_words(log),
        words=last_words(log) or no_words(log),
    )


def blame(witnesses: Sequence[Witness]) -> Blame:
    """Say which of the `witnesses` is to blame: all processes of a training, those that failed in that order.

    That is the first that failed, unless it only lost its peer (a socket or notify time-out, a closed connection) and
    another one shows a cause: one that failed within the same moment, or whose log had an error before. Where it waited
    in vain for all to reach the scheduler, it is one that did not.
    """
    failed = [witness for witness in witnesses if witness.exit]
    first = failed[0]
    guilty = next((w for w in failed if not _is_echo(w)), None) or _earlier_cause(first, witnesses)
    absent = [] if guilty is not None else _never_came(first, witnesses)
    guilty = guilty or next(iter(absent), first)
    never = {witness.rank for witness in absent}
    echoes = [
        w.rank for w in witnesses if w.rank is not None and _is_echo(w) and w is not guilty and w.rank not in never
    ]  # fmt: skip
    diagnosis = _diagnosis(guilty)
    what = _not_there(absent) if absent else _what(guilty)
    reason = "; ".join(part for part in (what, _lost(echoes), advice(diagnosis)) if part)
    error = _error(guilty)
    return Blame(guilty, reason, Code.RANK_FAILED if error is None else error.code, diagnosis)


def _name(witness: Witness) -> str:
    """Return what it is called in sentences."""
    if witness.rank is None:
        return f"the {witness.role}"
    return place_name(witness.rank, witness.device, witness.node)


def _is_echo(witness: Witness) -> bool:
    """Say whether it only lost its peer. Who was killed did not: that is a cause, whatever the log says."""
    killed = witness.exit is not None and witness.exit.signal is not None
    error = known_error(witness.error)
    return error is not None and error.is_echo and not killed


def _earlier_cause(echo: Witness, witnesses: Sequence[Witness]) -> Witness | None:
    """Return the rank whose log shows the earliest cause that does not come after `echo`.

    A cause without a time counts as earlier: for an echo there must have been one.
    """
    causes = [
        (witness.said, number, witness)
        for number, witness in enumerate(witnesses)
        if (error := known_error(witness.error)) is not None
        and not error.is_echo
        and (not echo.said or witness.said <= echo.said)
    ]
    return min(causes)[2] if causes else None


def _never_came(echo: Witness, witnesses: Sequence[Witness]) -> list[Witness]:
    """Return the ranks that `echo` waited for in vain at the scheduler, each with that for its error."""
    if echo.error != NOT_REACHED:
        return []
    scheduler = next((witness for witness in witnesses if witness.role is Role.SCHEDULER), None)
    came = None if scheduler is None else reached(scheduler.log)
    if came is None:
        return []
    ranks = sorted((w.rank, w) for w in witnesses if w.rank is not None and w.rank not in came)
    return [witness.model_copy(update={"error": echo.error, "said": echo.said}) for _, witness in ranks]


def _not_there(absent: Sequence[Witness]) -> str:
    names = ", ".join(map(_name, absent))
    return f"{names} never reached the scheduler: {absent[0].line}"


def _what(guilty: Witness) -> str:
    exit_ = guilty.exit
    if exit_ is None:
        when = guilty.said.partition(" ")[2].partition(".")[0]
        at = f" ({when})" if when else ""
        return f"{_name(guilty)} failed first{at}, and had not ended: {guilty.words}"
    how = f"was killed by {exit_.signal}" if exit_.signal else f"exited {exit_.exit_code}"
    at = exit_.ended.astimezone().strftime("%H:%M:%S")
    if guilty.role is Role.SCHEDULER and exit_.signal:  # it was waiting for the ranks, and had nothing to say
        return f"{_name(guilty)} {how} first ({at}); without it the ranks lose each other"
    return f"{_name(guilty)} {how} first ({at}): {exit_.line or guilty.words}"


def _lost(echoes: Sequence[int]) -> str:
    ranks = sorted(echoes)
    if not ranks:
        return ""
    if len(ranks) == 1:
        return f"rank {ranks[0]} only lost its peer"
    return f"ranks {', '.join(map(str, ranks))} only lost their peer"


def advice(diagnosis: Diagnosis | None) -> str:
    """Return what a reason says of an error that is known; empty for one that is not."""
    return advice_text(diagnosis.cause, diagnosis.remedy) if diagnosis is not None else ""


def _diagnosis(guilty: Witness) -> Diagnosis | None:
    error, kills = _error(guilty), guilty.oom_kills
    if error is None:
        return None
    return Diagnosis(
        error=error.name,
        rank=guilty.rank,
        cause=_who_killed(kills) if error.name == "SIGKILL" and kills is not None else error.cause,
        remedy=_BY_SOMEBODY if error.name == "SIGKILL" and kills == 0 else _remedy(error, guilty),
        may_pass=error.may_pass,
    )


def _remedy(error: KnownError, guilty: Witness) -> str:
    """Return what to do, with rank and device filled in; the job is not known here."""
    if guilty.rank is None:  # `glmd logs` shows no scheduler's log
        return filled_in(error.remedy.replace(_READ_RANK, f"`less {guilty.log}`"), rank=None, device=None)
    return filled_in(error.remedy, rank=guilty.rank, device=guilty.device)


def _error(guilty: Witness) -> KnownError | None:
    """Return the known error: that of the log says more than the signal, but for a kill, which nothing announces."""
    signal = guilty.exit.signal if guilty.exit is not None else None
    by_signal = next((error for error in SIGNALS if error.name == signal), None)
    found = known_error(guilty.error)
    return by_signal if signal == "SIGKILL" or found is None else found


def _who_killed(kills: int) -> str:
    if kills:
        return f"killed by the kernel because memory ran out: it has killed {kills} since the training began"
    return "killed by a person or a program: the kernel has killed none for lack of memory since the training began"
