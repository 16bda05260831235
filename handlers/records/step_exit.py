"""exit.json: how a step ended."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

from handlers.records.job_dir import Step
from handlers.records.process import ProcessIdentity
from handlers.records.record import Device, ExitCode, Moment, Pid, Rank, Record, Seconds, StartTime
from handlers.records.train_plan import Role


class Outcome(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """It was told to end, by TERM."""
    TIMED_OUT = "timed_out"
    """It was ended for going past one of its time limits."""
    ENDED_OUTSIDE = "ended_outside"
    """Slurm ended it, as for scancel, a node that is lost, its own time limit, or preemption: its word says which."""


class ProcessExit(Record):
    """How one process of a training ended."""

    role: Role
    rank: Rank | None
    device: Device | None
    pid: Pid
    exit_code: ExitCode | None
    """None when a signal ended it."""
    signal: str | None
    """As `SIGKILL`; None when it exited by itself."""
    ended: Moment
    line: str
    """Its last meaningful log line; empty when it wrote none."""
    node: str | None = None
    """Of Slurm's that it ran on; None on this host."""


class Diagnosis(Record):
    """What a known error means; see handlers.rank_log.known_errors."""

    error: str
    """Its name in the table, as `EI0014` or `device memory`."""
    rank: Rank | None
    """Whose error it is; None for a scheduler's."""
    cause: str
    remedy: str
    may_pass: bool | None
    """Whether the same training may do better when it is simply begun again; None where that depends."""


Place = Annotated[int, Strict(), Field(ge=0, lt=1 << 63)]
"""Of a step, as a log counts it."""


class Divergence(Record):
    """Since when a training has gone wrong; see handlers.rank_log.divergence."""

    epoch: Place
    step: Place
    """Within the epoch."""
    number: Place
    """In the whole training, from 1."""
    sound: Place | None
    """The number of the last step before that was as it should be; None where the attempt had none. The weights of a
    save before that step are good; those of the saves from it on may be lost."""


class Silences(Record):
    """The longest time without a sign of life in each phase of a training, in seconds; None for a phase never seen."""

    configuration: str
    """What such trainings have in common; see handlers.training.learned_limits."""
    load: Seconds | None = None
    first_step: Seconds | None = None
    step: Seconds | None = None
    saving: Seconds | None = None


class Survivor(Record):
    """A process that KILL did not end. It sits in the kernel, and holds what it held: a device, above all."""

    pid: Pid
    start_time: StartTime
    boot_id: str
    name: str
    """The program's, as /proc/PID/comm has it."""
    state: str
    """The kernel's letter: D for an uninterruptible sleep."""
    rank: Rank | None
    """The rank that it is, or that started it; None when that is not known."""
    device: Device | None
    node: str | None = None
    """Of Slurm's that it is on; None on this host."""

    @property
    def identity(self) -> ProcessIdentity:
        """Return what tells it from a later process with its pid."""
        return ProcessIdentity(self.pid, self.start_time, self.boot_id)


class StepExit(Record):
    """exit.json."""

    step: Step
    outcome: Outcome
    reason: str
    """One line for people: `rank 3 on device 3 exited 1 first (09:14:07): ValueError: …`; of a merge, what was kept."""
    code: str = ""
    """The same for programs, as `rank.EI0006` (handlers.codes); empty where it completed, or an older glmd wrote it."""
    first: ProcessExit | None = None
    """The process whose failure ended the training: not one that only lost its peer, where that can be told."""
    diagnosis: Diagnosis | None = None
    """What its error means, where it is a known one."""
    divergence: Divergence | None = None
    """Of a training that has diverged, whatever ended it then."""
    limit: str | None = None
    """Which of `timeout.…` was passed: silence, first_step or total; or `slurm.time`, Slurm's own. None for none."""
    processes: tuple[ProcessExit, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    nodes_without_record: tuple[str, ...] = ()
    """Those of Slurm's nodes that wrote no end: they were lost, or what ran there was killed."""
    nodes_unfit: tuple[str, ...] = ()
    """Those that could not take part. None where that was so of several, and of all: then it is not the nodes."""
    silences: Silences | None = None
    """Of a training that was completed."""
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=False)]] | None = None
    """What an evaluation has measured; None for other steps, and where it has told nothing."""
    started: Moment
    ended: Moment

    @property
    def needs_operator(self) -> bool:
        """Whether processes were left that could not be ended; `still_there` says which are by now."""
        return bool(self.survivors)


def still_there(step_exit: StepExit) -> tuple[int, ...]:
    """Return the pids of the processes that a step left behind and that have not gone since: no others with their pids.

    None of them outlives a reboot. As long as there is one, its device must not be another job's.
    """
    return tuple(survivor.pid for survivor in step_exit.survivors if survivor.identity.alive())
