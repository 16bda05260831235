"""Promises of daemon.service that hang on what no command of glmd sends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.control import Request, RequestRefusedError
from daemon.root import Root
from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store
from daemon.waiting import Waiting


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a service over an empty root, whose loop does not run."""
    root = Root(tmp_path)
    root.create()
    with Store.open(root.store) as store, Waiting() as waiting:
        service = Service(Settings(root=tmp_path), None, root, store, waiting)
        yield service
        service._watch.stop()


@pytest.mark.parametrize("number", (0, -1, 2**63, 10**300))
@pytest.mark.parametrize("action", ("cancel", "retry"))
def test_a_job_that_cannot_be_is_not_there(service: Service, action: str, number: int) -> None:
    """Whatever the number: a client's does not end the daemon."""
    with pytest.raises(RequestRefusedError, match=f"there is no job {number}"):
        service.answer(Request(action, number))
