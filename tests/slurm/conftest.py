from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.slurm.cluster import NODES, Cluster


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes, or those that the test's parameter has."""
    place = tmp_path / "slurm"
    place.mkdir()
    with Cluster(place, getattr(request, "param", NODES)) as cluster:
        yield cluster


@pytest.fixture
def house(tmp_path: Path, cluster: Cluster) -> Iterator[House]:
    """A root whose daemon knows that Slurm; ranks of both nodes have devices of the same numbers. It merges itself."""
    house = House(tmp_path)
    house.training["environment"] = {}
    house.settings["slurm"] = {
        "address": "slurm",
        "devices_per_node": 2,
        "poll": 1,
        "settle": 5,
        "node_silence": 8,
        "lease": 8,
        "merge": {"where": "host"},
        "prologue": f"export LD_LIBRARY_PATH={cluster.environment['LD_LIBRARY_PATH']}",
    }
    wanted = ("PATH", "SLURM_CONF", "LD_LIBRARY_PATH")
    house.daemon_environment = {name: cluster.environment[name] for name in wanted}
    try:
        yield house
    finally:
        house.close()
