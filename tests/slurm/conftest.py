from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.house import house_on


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    place = tmp_path / "slurm"
    place.mkdir()
    with Cluster(place) as cluster:
        yield cluster


@pytest.fixture
def house(tmp_path: Path, cluster: Cluster) -> Iterator[House]:
    """A root whose daemon knows that Slurm."""
    house = house_on(tmp_path, cluster)
    try:
        yield house
    finally:
        house.close()
