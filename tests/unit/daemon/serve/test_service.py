"""Promises of daemon.serve.service that hang on what no command of glmd sends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.control import Request, RequestRefusedError
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.store import Store
from daemon.core.users import User
from daemon.serve.loop.waiting import Waiting
from daemon.serve.service import Service


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
        service.answer(Request(action, number), User(0))


def test_clients_are_told_what_fails(service: Service) -> None:
    """Without what runs; `glmd status` shows it."""
    service.turn()
    assert service.answer(Request("trouble"), User(0)) == ""
    service._faults.failed("disk", OSError("it is full"))
    assert service.answer(Request("trouble"), User(0)) == "disk: it is full"


def test_a_reload_says_what_counts_later(service: Service) -> None:
    """Not that all was read again, where some of it waits for a restart."""
    (service._root.path / "glmd.yaml").write_text("devices: 0\nrunner: spawn\n")
    try:
        assert (
            service.answer(Request("reload"), User(0))
            == "glmd has read its settings again; `runner` will change only when glmd starts again"
        )
        assert service._settings.devices == (0,)
    finally:
        service._watch.stop()
