from pathlib import Path

import pytest

from tests.unit.handlers.slurm.tools import Tools


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """Programs that say nothing yet."""
    return Tools(tmp_path)
