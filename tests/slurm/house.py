"""A root whose daemon knows a Slurm of tests/slurm/cluster.py."""

from pathlib import Path

from tests.acceptance.house import House
from tests.slurm.cluster import Cluster

SETTINGS: dict[str, object] = {
    "address": "slurm",
    "devices_per_node": 2,
    "poll": 1,
    "settle": 5,
    "node_silence": 8,
    "lease": 8,
    "merge": {"where": "host"},
}


def house_on(path: Path, cluster: Cluster) -> House:
    """Return a house; ranks of all nodes have devices of the same numbers, so that no lock can tell those apart.

    Merges are the daemon's own.
    """
    house = House(path)
    house.training["environment"] = {}
    wanted = ("PATH", "SLURM_CONF", "LD_LIBRARY_PATH")
    house.daemon_environment = {name: cluster.environment[name] for name in wanted if name in cluster.environment}
    house.settings["slurm"] = dict(SETTINGS)
    return house


def section(house: House) -> dict[str, object]:
    """Return the settings' section `slurm`, which may be changed until the daemon starts."""
    found = house.settings["slurm"]
    assert isinstance(found, dict)
    return found
