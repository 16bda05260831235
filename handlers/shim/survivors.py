"""Processes that even KILL does not end: who they are, and what to tell the operator."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from handlers.records.process import ProcessIdentity
from handlers.records.step_exit import Survivor
from handlers.records.train_plan import ProcessPlan
from handlers.shim.begun import place_name


def describe(
    pids: Sequence[int], started: Mapping[int, ProcessPlan], node: str | None = None
) -> tuple[Survivor, ...]:  # fmt: skip
    """Return who `pids` are, but for those that have gone just now. `started` has each process of the plan by its pid.

    Each of those leads a session, so that what it started in turn is known by that, as long as it did not leave it.
    """
    found = []
    for pid in pids:
        try:
            identity = ProcessIdentity.of(pid)
            name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
            process = started.get(pid) or started.get(os.getsid(pid))
            rank = process.rank if process else None
        except (ProcessLookupError, FileNotFoundError):
            continue
        if not identity.alive():  # dead, and not waited for by a parent that is stuck
            continue
        found.append(
            Survivor(
                pid=pid,
                start_time=identity.start_time,
                boot_id=identity.boot_id,
                name=name,
                state=_state(pid),
                rank=rank.number if rank else None,
                device=rank.device if rank else None,
                node=node,
            )
        )
    return tuple(found)


def _state(pid: int) -> str:
    """Return the state of what keeps the process: a thread in the kernel, else its main thread, else any that lives.

    The main thread alone tells nothing: once killed it is a zombie, while another sits in a driver.
    """
    threads = sorted(Path(f"/proc/{pid}/task").glob("*"), key=lambda thread: thread.name != str(pid))
    states = []
    for thread in threads:
        with contextlib.suppress(OSError):  # it has gone just now
            states.append((thread / "stat").read_bytes().rpartition(b") ")[2][:1].decode())
    return "D" if "D" in states else next((state for state in states if state not in "ZX"), "?")


def operator_needed(survivors: Sequence[Survivor]) -> str:
    """Say what an operator has to know and do."""
    who = ", ".join(map(_describe, survivors))
    return (
        f"needs operator: {who} cannot be killed; the devices stay locked until it is gone, by itself or by a reboot: "
        "then `glmd retry N` or `glmd cancel N`"
    )


def _describe(survivor: Survivor) -> str:
    who = survivor.name if survivor.rank is None else place_name(survivor.rank, survivor.device, survivor.node)
    where = "sits in the kernel (state D)" if survivor.state == "D" else f"is in state {survivor.state}"
    return f"{who} (pid {survivor.pid}, which {where})"
