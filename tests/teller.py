"""A `glmd notify serve` of its own, with an outbox and credentials, to be told things, ended and killed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

GLMD = [sys.executable, "-m", "daemon.cli"]
PATIENCE = float(os.environ.get("GLMD_TEST_PATIENCE", "60"))


class Teller:
    """The process, its directories and its log."""

    def __init__(self, path: Path, root: Path) -> None:
        self.root = root
        self.state = path / "state"
        self.credentials = path / "credentials"
        self.log = path / "notify.log"
        self.notify: dict[str, object] = {"morning": None}
        self.process: subprocess.Popen[bytes] | None = None
        for directory in (self.state, self.credentials):
            directory.mkdir()

    def destination(self, name: str, url: str, secret: str = "", **rules: object) -> None:
        """Add a destination to the settings, and its credentials."""
        found: dict[str, object] = {"name": name, "url": f"credential:{name}", **rules}
        self.credential(name, url)
        if secret:
            self.credential(f"{name}-secret", secret)
            found["secret"] = f"credential:{name}-secret"
        self.notify["destinations"] = [*self.destinations, found]
        self.write_settings()

    @property
    def destinations(self) -> list[dict[str, object]]:
        """Those of the settings."""
        found = self.notify.get("destinations", [])
        assert isinstance(found, list)
        return found

    def credential(self, name: str, text: str) -> None:
        """Write a credential."""
        path = self.credentials / name
        path.touch(mode=0o600)
        path.write_text(f"{text}\n")

    def write_settings(self) -> None:
        """Write the settings anew, beside what they say of other things."""
        path = self.root / "glmd.yaml"
        settings = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**settings, "notify": self.notify}))

    def start(self) -> Self:
        """Start it, and wait until it has looked for the first time."""
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*GLMD, "notify", "serve", *self._where()], stdout=stream, stderr=stream, start_new_session=True
            )
        self.wait(self.has_looked, "its first look")
        return self

    def has_looked(self) -> bool:
        """Say whether it knows up to where glmd's store goes."""
        return bool(self.ask("SELECT 1 FROM places"))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `glmd notify WORDS` on the same outbox."""
        argv = [*GLMD, "notify", *words, *self._where()]
        return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def _where(self) -> list[str]:
        places = {"--root": self.root, "--state": self.state, "--credentials": self.credentials}
        return [word for option, place in places.items() for word in (option, str(place))]

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """Return what the outbox says, once there is one."""
        path = self.state / "outbox.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            try:
                return connection.execute(sql).fetchall()
            except sqlite3.OperationalError:  # its tables are not made yet
                return []

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the events of that name in its log."""
        lines = self.log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    @property
    def pid(self) -> int:
        """Its process's number."""
        assert self.process is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def read_settings_again(self) -> None:
        """Let it read its settings, and wait until it goes by them."""
        before = len(self.events("settings_read"))
        self.send(signal.SIGHUP)
        self.wait(lambda: len(self.events("settings_read")) > before, "the settings to be read")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def close(self) -> None:
        """End it where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition; its log explains a failure."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or (self.process is not None and self.process.poll() is not None):
                pytest.fail(f"in vain for {what}\n{self.log.read_text()[-8000:]}")
            time.sleep(0.02)
