"""A job is cancelled from the page, by a real daemon, and its record says for whom."""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from daemon.core.states import State
from tests.acceptance.house import GLMD, PATIENCE, House

TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


@contextlib.contextmanager
def page(house: House, socket: Path) -> Iterator[httpx.Client]:
    """Serve the page at a Unix socket, as a proxy reaches it."""
    words = [*GLMD, "web", "--root", str(house.root), "--listen", str(socket)]
    with (house.root.parent / "web.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ)
    try:
        house.wait(socket.exists, "the page's socket")
        transport = httpx.HTTPTransport(uds=str(socket))
        with httpx.Client(
            transport=transport, base_url="http://localhost", headers={"X-Remote-User": "lihua"}
        ) as client:
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_a_job_is_cancelled_from_the_page(house: House, tmp_path: Path) -> None:
    """The page asks first; what it asks the daemon for is done, in the name of who asked the page."""
    house.settings["web"] = {"actions": ["cancel"], "user_header": "X-Remote-User"}
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop()
    house.until(State.TRAINING)
    with page(house, tmp_path / "web.sock") as client:
        token = TOKEN.search(client.get("/jobs/1/do/cancel").text)
        assert token is not None
        sent = client.post("/jobs/1/do/cancel", data={"token": token[1]}, headers={"Origin": "http://localhost"})
        assert sent.status_code == 200, sent.text
        house.until(State.CANCELLED)
        assert "cancelled" in client.get("/jobs/1").text
    assert "for lihua" in house.directory().events.read_text()
