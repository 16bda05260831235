"""Processes that even KILL does not end: who they are, and what to tell the operator."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from handlers.job_plan import ProcessPlan
from handlers.outcome import Survivor
from handlers.process import ProcessIdentity


def describe(pids: Sequence[int], started: Mapping[int, ProcessPlan]) -> tuple[Survivor, ...]:
    """Return who `pids` are, but for those that have gone just now. `started` has each process of the plan by its pid.

    Each of those leads a session, so that what it started in turn is known by that, as long as it did not leave it.
    """
    found = []
    for pid in pids:
        try:
            identity = ProcessIdentity.of(pid)
            status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
            process = started.get(pid) or started.get(os.getsid(pid))
        except (ProcessLookupError, FileNotFoundError):
            continue
        name, state = (
            re.search(r"^Name:\t(.*)$", status, re.MULTILINE),
            re.search(r"^State:\t(\w)", status, re.MULTILINE),
        )
        found.append(
            Survivor(
                pid=pid,
                start_time=identity.start_time,
                boot_id=identity.boot_id,
                name=name[1] if name else "?",
                state=state[1] if state else "?",
                rank=process.rank if process else None,
                device=process.device if process else None,
            )
        )
    return tuple(found)


def operator_needed(survivors: Sequence[Survivor]) -> str:
    """Say what an operator has to know and do."""
    who = ", ".join(map(_describe, survivors))
    return (
        f"needs operator: {who} cannot be killed; the devices stay locked until it is gone, by itself or by a reboot: "
        "then `glmd retry N` or `glmd cancel N`"
    )


def _describe(survivor: Survivor) -> str:
    who = survivor.name if survivor.rank is None else f"rank {survivor.rank} on device {survivor.device}"
    where = "sits in the kernel (state D)" if survivor.state == "D" else f"is in state {survivor.state}"
    return f"{who} (pid {survivor.pid}, which {where})"
