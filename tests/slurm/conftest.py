from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.house import house_on


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two nodes, or as many as the test's parameter has."""
    place = tmp_path / "slurm"
    place.mkdir()
    with Cluster(place, getattr(request, "param", 2)) as cluster:
        yield cluster


@pytest.fixture
def house(tmp_path: Path, cluster: Cluster) -> Iterator[House]:
    """A root whose daemon knows that Slurm."""
    house = house_on(tmp_path, cluster)
    try:
        yield house
    finally:
        house.close()
