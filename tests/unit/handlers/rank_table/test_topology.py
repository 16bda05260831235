"""Promises of handlers.rank_table.topology."""

import pytest

from handlers.devices import parse_devices
from handlers.rank_table.topology import Topology, topology_problem


@pytest.mark.parametrize(
    ("topology", "devices"),
    (
        *((Topology.A910, text) for text in ("0", "7", "[0,4)", "[4,8)", "0,3", "5,6", "[0,8)", "7,6,5,4")),
        *((Topology.B910, text) for text in ("0", "3,4", "1,2,5,6", "[0,8)")),
        *((Topology.CARDS16, text) for text in ("0", "15", "0,8", "[0,8)", "[8,16)", "0-3,8-11", "0,5,13,8", "[0,16)")),
        *((Topology.ANY, text) for text in ("3,4", "0,31", "[4,12)")),
    ),
)
def test_usable_together(topology: Topology, devices: str) -> None:
    """Devices that the server's own links join are no problem."""
    assert topology_problem(parse_devices(devices), topology) is None


@pytest.mark.parametrize(
    ("topology", "devices", "why"),
    (
        (Topology.A910, "3,4", "cross the two rings"),
        (Topology.A910, "[2,6)", "cross the two rings"),
        (Topology.A910, "[4,12)", "has the devices [0,8), not [8,12)"),
        (Topology.A910, "8", "has the devices [0,8), not 8"),
        (Topology.B910, "7,8", "has the devices [0,8), not 8"),
        (Topology.CARDS16, "0,9", "not at the same positions"),
        (Topology.CARDS16, "[4,12)", "not at the same positions"),
        (Topology.CARDS16, "16", "has the devices [0,16), not 16"),
    ),
)
def test_not_usable_together(topology: Topology, devices: str, why: str) -> None:
    """Devices that the server's own links do not join are named, with what would do."""
    assert why in (topology_problem(parse_devices(devices), topology) or "")
