import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.handlers.conftest import Workshop, workshop

__all__ = ["Workshop", "workshop"]


@pytest.fixture
def quick() -> Iterator[Path]:
    # In memory: hundreds of runs, each with dozens of fsyncs, say nothing about a disk.
    place = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
    path = Path(tempfile.mkdtemp(prefix="glmd-faults-", dir=place if place.is_dir() else None))
    yield path
    shutil.rmtree(path)
