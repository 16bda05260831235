"""A real `glmd web`, and browsers that are none: what benchmarks of the page have in common."""

import gzip
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil
from scale import GLMD

from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store


def begun(root: Path, name: str, devices: tuple[int, ...], *ways: State) -> Job:
    """Add a job that has gone these ways."""
    with Store.open(root / "glmd.db") as store:
        job = store.add(NewJob(name, name, devices=devices, prefix="glm-6b"))
        for state in ways:
            job = store.move(job, state)
    return job


_MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""As in glmd-web.service."""


class Page:
    """A `glmd web`, and a browser that is none."""

    def __init__(self, root: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        listen = ["--listen", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(
            [*GLMD, "web", "--root", str(root), *listen],
            stderr=subprocess.DEVNULL,
            env=os.environ | _MALLOC,
        )
        self.process = psutil.Process(self._process.pid)
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                sys.exit("glmd web does not answer")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(OSError):
            return bool(self.get("/healthz")[0])
        return False

    def get(self, path: str) -> tuple[bytes, float]:
        """Return what is sent, and after how many milliseconds it was there."""
        began = time.perf_counter()
        status, content = self.ask(path)
        took = 1000 * (time.perf_counter() - began)
        if status != 200:
            sys.exit(f"{path}: {status}")
        return content, took

    def ask(self, path: str) -> tuple[int, bytes]:
        """Return how a request is answered."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def loads(self, path: str, *data: str) -> tuple[int, float]:
        """Return how many requests a page takes, and how many kilobytes."""
        content, _ = self.get(path)
        html = gzip.decompress(content).decode()
        linked = re.findall(r'(?:src|href)="(/(?:static/[^"]+|favicon\.ico))"', html)
        parts = [content, *(self.get(address)[0] for address in (*dict.fromkeys(linked), *data))]
        return len(parts), sum(map(len, parts)) / 1000

    def p95(self, path: str, requests: int) -> float:
        """Return within how many milliseconds 95 of 100 requests are answered."""
        return statistics.quantiles([self.get(path)[1] for _ in range(requests)], n=20)[-1]

    @property
    def memory(self) -> float:
        """Resident MiB."""
        return float(self.process.memory_info().rss) / 2**20

    @property
    def processor(self) -> float:
        """Seconds of processor so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def share(self) -> float:
        """Resident MiB, where pages that other processes have, too, count in part."""
        return float(self.process.memory_full_info().pss) / 2**20

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


class Stream(threading.Thread):
    """A browser that looks: notes when it heard of a text."""

    def __init__(self, page: Page, about: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
        self._connection.request("GET", f"/events?of={about}")
        self._answer = self._connection.getresponse()
        self._news = threading.Condition()
        self._heard = ""
        self.count = 0
        """Of events that it has heard."""
        self.start()

    def close(self) -> None:
        """Look no more."""
        with suppress(OSError):  # it is closed by the other side
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self.join()

    def run(self) -> None:
        """Read on."""
        with suppress(OSError, ValueError, AttributeError):
            while line := self._answer.readline():
                if line.startswith(b"data: "):
                    with self._news:
                        self._heard = line.decode()
                        self.count += 1
                        self._news.notify_all()

    def until(self, text: str) -> None:
        """Wait until it has heard of this."""
        with self._news:
            if not self._news.wait_for(lambda: text in self._heard, 30):
                sys.exit(f"waited in vain for {text}: {self._heard[:500]}")
