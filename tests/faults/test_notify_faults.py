"""Whatever the notifier is killed at: each event is told, in one message, which may come twice with the same id."""

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

from daemon.core.states import State
from daemon.core.store import NewJob, Store
from tests.listening import listening, says

DRIVER = Path(__file__).with_name("dying_notifier.py")
CHECKOUT = Path(__file__).parents[2]


def cancelled(root: Path, name: str) -> None:
    """Let a job have come and been cancelled."""
    with Store.open(root / "glmd.db") as store:
        store.move(store.add(NewJob(f"claim {name}", name)), State.CANCELLED, "somebody asked")


def run(place: Path, last: int) -> int:
    """Let the notifier run until that statement; return how it ended."""
    argv = [sys.executable, DRIVER, place / "root", place, place, str(last)]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, check=False)
    assert done.returncode in {0, -9}, done.stderr.decode()
    return done.returncode


def test_killed_before_any_write_of_the_outbox_it_loses_nothing(tmp_path: Path) -> None:
    """Of what it found, of the message, of what came of it: all or nothing is noted, and the next one goes on."""
    root = tmp_path / "root"
    root.mkdir()
    with listening(says("204 No Content")) as server:
        credential = tmp_path / "hook"
        credential.touch(mode=0o600)
        credential.write_text(f"http://127.0.0.1:{server.port}/hook")
        cancelled(root, "before")
        assert run(tmp_path, 0) == 0  # up to where there was something before it came
        names = []
        for last in count(1):
            names.append(f"job{last:02}")
            cancelled(root, names[-1])
            if run(tmp_path, last) == 0:
                break
            assert run(tmp_path, 0) == 0
    assert len(names) > 8  # of each transaction: its beginning, what it writes, its end
    told = {request.headers["webhook-id"]: request.body for request in server.requests}
    assert all(told[request.headers["webhook-id"]] == request.body for request in server.requests)
    assert [json.loads(body)["data"]["job"]["name"] for body in told.values()] == names
