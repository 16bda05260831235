"""Which devices of one server HCCL takes together: how many, and which, by product.

| topology | product | takes |
|---|---|---|
| 910A | Atlas training series (800-9000, 800-9010), two rings 0-3 and 4-7 | 1, 2, 4 or 8; 2 and 4 in one ring |
| 910B | A2 servers (800T A2, 900 A2 PoD), a full mesh of eight | any of 1 to 8 |
| 16-card | A2 boxes (200T A2 Box16), two modules 0-7 and 8-15 | 1 to 8 in one; 2 to 16 at the same positions of both |
| A3 | Atlas A3 (900 A3 SuperPoD, 800T A3), eight modules of two dies, 0-1, 2-3, … | 1, or whole modules |

Sources:

* CANN, "Precautions" of distributed training: for the training series 1, 2, 4 or 8, and 2 or 4 not across 0-3 and 4-7;
  for one A2 server no limit, for n of them (1 to 8) × n.
* MindCluster 7.3, scheduling guide, "Resource Allocation Constraints": for the Box16 1 to 8 in one module, 10, 12 or 14
  evenly on both at the same relative addresses, or all 16; for A3 1 or an even number, in whole modules.
* HCCL's reader of rank tables: device ids up to 7 for the training series, up to 15 for the others.

On a Box16 MindCluster keeps up to eight devices in one module, for speed. HCCL runs them at the same positions of both,
too, so that is a warning here and no fault.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Self

from handlers.units.devices import bracket_hint, format_devices


class Topology(StrEnum):
    """A server's product, by its wiring."""

    A910 = "910A"
    B910 = "910B"
    CARDS16 = "16-card"
    A3 = "A3"
    ANY = "any"
    """Not known: what some product takes is taken."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Take the products' other names, and any case."""
        word = str(value).strip().lower()
        word = {"a2": "910b", "a2-16": "16-card", "box16": "16-card", "910c": "a3"}.get(word, word)
        return next((member for member in cls if member.value.lower() == word), None)


def topology_problem(devices: Sequence[int], topology: Topology) -> str | None:
    """Return why HCCL would not take `devices` (physical ids, of one server) together, with what would do, or None."""
    if not devices:
        return "no devices"
    if not (faults := _faults(devices, topology)):
        return None
    none = f"no product takes {_counted(devices)}: " if topology is Topology.ANY else ""
    return none + "; ".join(faults) + _advice(devices, topology)


def topology_note(devices: Sequence[int], topology: Topology) -> str | None:
    """Return what is worth knowing of `devices` that HCCL takes: that not every product does, or that they are slow."""
    if topology is Topology.CARDS16 and len(devices) <= _MODULE and len({device // _MODULE for device in devices}) > 1:
        return f"devices {format_devices(devices)} lie in both modules; up to {_MODULE} are faster in one, 0-7 or 8-15"
    if topology is not Topology.ANY or not devices:
        return None
    # Who has device 8 knows that this is no server of eight.
    possible = {name: product for name, product in _PRODUCTS.items() if max(devices) < product.size}
    faults = {name: fault for name, product in possible.items() if (fault := product.fault(devices))}
    if not faults or len(faults) == len(possible):
        return None
    takers = " or ".join(name for name in possible if name not in faults)
    hint = "" if _faults_anywhere(devices[:-1]) else bracket_hint(devices, devices[-1:])
    return (
        f"only a server of the topology {takers} takes {_counted(devices)}: {'; '.join(faults.values())}; "
        f"rank_table.topology (--topology) says which this server is{hint}"
    )


@dataclass(frozen=True)
class _Product:
    name: str
    size: int
    fault_within: Callable[[frozenset[int]], str]
    """Why devices that are all there are not taken together; empty when they are."""

    def fault(self, devices: Sequence[int]) -> str:
        if beyond := [device for device in devices if device >= self.size]:
            return f"{self.name} has the devices [0,{self.size}), not {format_devices(beyond)}"
        return self.fault_within(frozenset(devices))


_RING, _MODULE, _DIES = 4, 8, 2


def _ring_fault(devices: frozenset[int]) -> str:
    if len(devices) not in {1, 2, 4, 8}:
        return f"a 910A server takes 1, 2, 4 or 8 devices, not {len(devices)}"
    if len(devices) < 2 * _RING and len({device // _RING for device in devices}) > 1:
        return (
            f"devices {format_devices(sorted(devices))} cross the two rings of a 910A server; "
            "use 2 or 4 of 0-3, or of 4-7, or all 8"
        )
    return ""


def _box_fault(devices: frozenset[int]) -> str:
    first, second = ({device % _MODULE for device in devices if device // _MODULE == module} for module in (0, 1))
    if not first or not second or first == second:
        return ""
    if len(devices) > _MODULE and len(devices) % 2:
        return f"a 16-card server takes 1 to 8, 10, 12, 14 or 16 devices, not {len(devices)}"
    return (
        f"devices {format_devices(sorted(devices))} lie in both modules of a 16-card server, but not at the same "
        "positions; use one module (0-7 or 8-15), or as 0-4,8-12 the same positions in both"
    )


def _dies_fault(devices: frozenset[int]) -> str:
    alone = [device for device in sorted(devices) if device ^ 1 not in devices]
    if len(devices) == 1 or not alone:
        return ""
    if len(devices) % _DIES:
        return f"an A3 server takes 1 or an even number of devices, not {len(devices)}"
    which = " and ".join(f"{device} without {device ^ 1}" for device in alone[:2])
    return f"{which}: an A3 server's modules, 0-1, 2-3, …, are used whole"


_PRODUCTS = {
    Topology.A910: _Product("a 910A server", 8, _ring_fault),
    Topology.B910: _Product("a 910B server", 8, lambda _: ""),
    Topology.CARDS16: _Product("a 16-card server", 16, _box_fault),
    Topology.A3: _Product("an A3 server", 16, _dies_fault),
}


def _faults(devices: Sequence[int], topology: Topology) -> list[str]:
    """Return why `devices` are not taken; with `any` every product's reason, or nothing where one takes them."""
    products = _PRODUCTS.values() if topology is Topology.ANY else (_PRODUCTS[topology],)
    faults = [product.fault(devices) for product in products]
    return faults if all(faults) else []


def _faults_anywhere(devices: Sequence[int]) -> bool:
    return any(product.fault(devices) for product in _PRODUCTS.values())


def _advice(devices: Sequence[int], topology: Topology) -> str:
    """Return the largest part of `devices` that is taken: the likeliest to have been meant."""
    size = max(product.size for product in _PRODUCTS.values())
    there = [device for device in devices if device < size]
    for count in range(min(len(there), len(devices) - 1), 0, -1):
        for part in combinations(there, count):
            if not _faults(part, topology):
                meant = bracket_hint(devices, devices[-1:]) if count > 1 and list(part) == list(devices[:-1]) else ""
                return meant or f"; of these, {format_devices(part)} would be possible"
    return ""


def _counted(devices: Sequence[int]) -> str:
    return f"{len(devices)} device{'s' * (len(devices) > 1)} ({format_devices(devices)})"
