"""Which sets of a server's devices can talk to each other over its own links."""

from collections.abc import Sequence
from enum import StrEnum

from handlers.devices import format_devices


class Topology(StrEnum):
    """A server's wiring. The rules are those of the HCCL documentation for each product."""

    A910 = "910A"
    """Two rings of four, 0-3 and 4-7 (Atlas 800-9000, 800-9010): 2 or 4 devices must lie in one ring."""
    B910 = "910B"
    """A full mesh of eight: any set."""
    CARDS16 = "16-card"
    """Two modules of eight, 0-7 and 8-15: one of them, or the same positions in both."""
    ANY = "any"
    """Not known; nothing is refused."""


_SIZES = {Topology.A910: 8, Topology.B910: 8, Topology.CARDS16: 16}


def topology_problem(devices: Sequence[int], topology: Topology) -> str | None:
    """Return why `devices` (physical ids, of one server) cannot be used together, or None."""
    size = _SIZES.get(topology)
    if size is None:
        return None
    if beyond := [device for device in devices if device >= size]:
        return f"a {topology} server has the devices [0,{size}), not {format_devices(beyond)}"
    if topology is Topology.A910:
        return _ring_problem(devices)
    if topology is Topology.CARDS16:
        return _module_problem(devices)
    return None


def _ring_problem(devices: Sequence[int]) -> str | None:
    rings = {device // 4 for device in devices}
    if len(devices) in {1, 8} or len(rings) == 1:
        return None
    return (
        f"devices {format_devices(devices)} cross the two rings of a 910A server; "
        "use 2 or 4 of 0-3, or of 4-7, or all 8 (on another server set its topology: 910B, 16-card, any)"
    )


def _module_problem(devices: Sequence[int]) -> str | None:
    first, second = ({device % 8 for device in devices if device // 8 == module} for module in (0, 1))
    if not first or not second or first == second:
        return None
    return (
        f"devices {format_devices(devices)} lie in both modules of a 16-card server, but not at the same positions; "
        "use one module (0-7 or 8-15), or as 0-3,8-11 the same positions in both"
    )
