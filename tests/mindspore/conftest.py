import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mindspore.worker_process import Worker

INTERPRETERS = {"2.0": "GLMD_TRAINING_PYTHON", "2.9": "GLMD_TODAY_PYTHON"}


def interpreter(version: str) -> Path:
    """Return the Python of the environment with this version of MindSpore."""
    given = os.environ.get(INTERPRETERS[version], "")
    if not Path(given).is_file():
        pytest.fail(f"{INTERPRETERS[version]} ({given!r}) is no interpreter; `make test` sets up the environments")
    return Path(given)


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Worker]]:
    """Both, so that they start at the same time."""
    logs = tmp_path_factory.mktemp("workers")
    started: dict[str, Worker] = {}
    try:
        for version in INTERPRETERS:
            started[version] = Worker(interpreter(version), logs / f"{version}.log")
        yield started
    finally:
        for worker in started.values():
            worker.close()


@pytest.fixture(scope="session", params=INTERPRETERS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def worker(version: str, workers: dict[str, Worker]) -> Worker:
    return workers[version]


@pytest.fixture(scope="session")
def newest(workers: dict[str, Worker]) -> Worker:
    return workers["2.9"]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Return a place that is emptied at once: the files of one case after the other would fill the disk."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
