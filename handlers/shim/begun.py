"""A training's processes, started: as soon as a shim can, and with what takes no time to import."""

import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.event_lines import Log
from handlers.records.train_plan import ProcessPlan, RankPlan, TrainPlan
from handlers.shim import marks
from handlers.shim.children import Children
from handlers.shim.home import while_moving
from handlers.shim.instance import StepRun
from handlers.shim.patience import patiently
from handlers.shim.signs_of_life import SignsOfLife
from handlers.shim.wakeups import Wakeups


@dataclass(eq=False)
class Begun:
    """A training that was begun. Of one that could not be, those that were started are to be ended."""

    plan: TrainPlan
    signs: SignsOfLife
    """Since before any process was started."""
    children: Children = field(default_factory=Children)
    started: dict[int, ProcessPlan] = field(default_factory=dict)
    """By pid."""
    at: float = field(default_factory=time.monotonic)
    """When it was, in monotonic seconds."""
    oom_kills: int | None = None
    """How many processes the kernel had killed for memory before."""
    stopped: signal.Signals | None = None
    """By what it was told to end before all were started."""
    failure: str = ""
    """Why one could not be started."""

    def oom_kills_since(self) -> int | None:
        """Return how many processes the kernel has killed for memory since; None where that is not known."""
        now = oom_kills()
        return None if now is None or self.oom_kills is None else now - self.oom_kills


def begin(plan: TrainPlan, run: StepRun, devices: Sequence[int], wakeups: Wakeups, log: Log) -> Begun:
    """Start the processes of `plan` in order, each with its environment and the mark of its step and job's `devices`.

    Must run in the main thread of a process without children of its own. Raises OSError where the environments cannot
    be read, and BadInputError where they are another plan's.
    """
    path = run.directory.environment
    try:
        read = partial(while_moving, partial(plan.with_environments, path))
        filled = patiently("environment.json", read, wakeups, log)
    except ValueError as error:  # its text may quote a secret
        raise BadInputError(
            f"{path}: not the environments of this plan's processes; glmd retry writes them again",
            Code.SHIM_ENVIRONMENT,
        ) from error
    marked = filled.with_variable(marks.NAME, marks.mark(run.directory.path, devices))
    return start(marked, run.job_dir.output, wakeups, log)


def start(plan: TrainPlan, output: Path, wakeups: Wakeups, log: Log) -> Begun:
    """Start the processes of `plan`, which has their environments; they save in `output`. For the rest as `begin`."""
    begun = Begun(plan, SignsOfLife(plan.ranks, output / "checkpoint"), oom_kills=oom_kills())
    for process in plan.processes:
        try:
            pid = patiently(f"start of {name(process)}", partial(begun.children.start, process), wakeups, log)
        except (OSError, ValueError) as error:
            begun.stopped = wakeups.stop
            if wakeups.stop is None:
                log.error("process_not_started", **naming(process), reason=str(error))  # noqa: TRY400 - it says it all
                begun.failure = f"{name(process)} could not be started: {error}"
            break
        begun.started[pid] = process
        log.info("process_started", **naming(process), pid=pid)
    return begun


def name(process: ProcessPlan) -> str:
    """Return what a process is called in sentences."""
    return f"the {process.role}" if process.rank is None else rank_name(process.rank)


def rank_name(rank: RankPlan) -> str:
    """Return what a rank is called in sentences."""
    return place_name(rank.number, rank.device)


def place_name(rank: int, device: int | None, node: str | None = None) -> str:
    """Return what a rank is called that runs on a device, and on a node: `rank 3 on device 3 of n2`."""
    where = f" on device {device}" if device is not None else ""
    of = f" {'of' if where else 'on'} {node}" if node is not None else ""
    return f"rank {rank}{where}{of}"


def naming(process: ProcessPlan) -> dict[str, object]:
    """Return what names a process in a log event."""
    if process.rank is None:
        return {"role": process.role}
    return {"rank": process.rank.number, "device": process.rank.device}


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since boot, in whatever container; None if unknown.

    It can be read where the kernel's log cannot.
    """
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None
