from pathlib import Path

import pytest

from tests.unit.daemon.face.web.views.job_site import JobSite


@pytest.fixture
def jobs(tmp_path: Path) -> JobSite:
    """Return a root without jobs."""
    return JobSite(tmp_path / "glm")
