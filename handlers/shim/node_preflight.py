"""Whether a node is fit for its ranks, looked at before any of them starts: as the daemon looks at its own host.

Where it is not the training is better off on another node: so nothing is waited for here.
"""

import os
from collections.abc import Sequence

from handlers.cards.preflight import look_at_cards, look_at_ports
from handlers.event_lines import Log
from handlers.records.nodes_plan import NodesPlan
from handlers.training.environment import inherited


def unfitness(plan: NodesPlan, devices: Sequence[int], log: Log) -> tuple[str, ...]:
    """Return what prevents a training on these devices of this host; nothing where the settings want no look."""
    if not plan.preflight:
        return ()
    return (*_paths(plan), *_devices(plan, devices, log))


def _paths(plan: NodesPlan) -> tuple[str, ...]:
    """Say which of the paths that all nodes have to have in common is not there: a mount may be missing."""
    found = [f"{path} is not there" for path in (plan.python, plan.checkout, plan.output) if not path.exists()]
    if found:
        return tuple(found)
    if not os.access(plan.output, os.W_OK):
        return (f"{plan.output} cannot be written to",)
    if os.statvfs(plan.output).f_bavail == 0:
        return (f"{plan.output} has no room: its file system is full",)
    return ()


def _devices(plan: NodesPlan, devices: Sequence[int], log: Log) -> tuple[str, ...]:
    if plan.device_target != "Ascend":
        return ()
    on_cards, unseen = look_at_cards(devices)
    if unseen:
        log.info("devices_not_examined", reason=unseen)
    on_ports = look_at_ports(devices, {**inherited(), **(plan.environment or {})})
    return tuple(obstacle.text for obstacle in (*on_cards, *on_ports))
