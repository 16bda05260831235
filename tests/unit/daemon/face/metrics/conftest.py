from pathlib import Path

import pytest

from tests.unit.daemon.face.metrics.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a root in which nothing has happened."""
    return Scene(tmp_path)
