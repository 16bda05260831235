"""A real `glmd web` over a root, at a port that stays the same when it is started again."""

import http.client
import signal
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.acceptance.house import GLMD


class Serving:
    """The page of a root."""

    def __init__(self, root: Path, log: Path) -> None:
        self._root = root
        self._log = log
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        listen = ["--listen", f"127.0.0.1:{self.port}"]
        with self._log.open("ab") as stream:
            self._process = subprocess.Popen([*GLMD, "web", "--root", str(self._root), *listen], stderr=stream)
        deadline = time.monotonic() + 30
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"glmd web does not answer\n{self._log.read_text()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as asking:
            asking.request("GET", "/healthz")
            return asking.getresponse().status == 200
        return False

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None
