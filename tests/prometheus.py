"""A real Prometheus on loopback. Where Debian's package `prometheus` is missing, what needs it fails."""

import http.client
import json
import shutil
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import pytest

PATIENCE = 60.0


class Prometheus:
    """One that runs over a directory: its configuration, and what it has recorded."""

    def __init__(self, directory: Path, configuration: str = "") -> None:
        self._directory = directory
        self._log = directory / "prometheus.log"
        self._configuration = directory / "prometheus.yml"
        self._configuration.write_text(configuration)
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def record(self, openmetrics: str) -> None:
        """Let it have scraped this: samples with their times, in the text format of OpenMetrics."""
        source = self._directory / "samples.txt"
        source.write_text(openmetrics)
        target = str(self._directory / "data")
        run("promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(source), target)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={self._configuration}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    "--storage.tsdb.retention.time=1d",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"prometheus does not answer\n{self._log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def query(self, expression: str, at: float | None = None) -> list[dict[str, str]]:
        """Return what an expression comes to: the labels of each series. An error fails the test."""
        asked = {"query": expression} | ({} if at is None else {"time": str(at)})
        found = self._get(f"/api/v1/query?{urlencode(asked)}")
        assert found["status"] == "success", (expression, found)
        assert found["data"]["resultType"] == "vector", expression
        return [series["metric"] for series in found["data"]["result"]]

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Return the alerts that fire, by name, each with its annotations and labels."""
        alerts = self._get("/api/v1/alerts")["data"]["alerts"]
        found: dict[str, list[dict[str, str]]] = {}
        for alert in alerts:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"] | alert["annotations"])
        return found

    def _is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self._ask("/-/ready")[0] == 200
        return False

    def _get(self, path: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - JSON of somebody else's
        return json.loads(self._ask(path)[1])

    def _ask(self, path: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as asking:
            asking.request("GET", path)
            answer = asking.getresponse()
            return answer.status, answer.read()


def program(name: str) -> str:
    """Return where one of Prometheus' programs is; fail where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install prometheus")
    return found


def run(name: str, *words: str) -> str:
    """Run one of them, and return what it prints; a failure fails the test."""
    done = subprocess.run([program(name), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
