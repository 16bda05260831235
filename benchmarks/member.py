"""A member of the group glm who means ill, as a process of benchmarks/chaos.py that has given up being root."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial

from benchmarks.scene import Scene
from tests.acceptance.test_members import ATTACK, BECOME, BOB

STATUS = """
import contextlib, io, sys, daemon.cli
def status():
    words, sys.argv = sys.argv, ["glmd", "status", "--root", sys.argv[1]]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            daemon.cli.main()
    finally:
        sys.argv = words
status()  # as root: what it imports cannot be read later
"""
HOLD_AND_ASK = """
import fcntl, json, socket, time
status()
held = []
for path in sorted(Path().glob("glmd*")):
    try:
        held.append(path.open("rb"))
        fcntl.lockf(held[-1], fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass
end, number = time.monotonic() + 1, 0
crowd = []
while time.monotonic() < end:
    number = number % 50 + 1
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.setblocking(False)
    try:
        client.connect("glmd.sock")
        client.send([b"{", b"", b"9" * 5000, b'{"action": "ping", "job": null}'][number % 4])
    except OSError:
        pass
    crowd = [*crowd[-100:], client]
    for action in ("cancel", "retry"):
        try:
            daemon.core.control.ask(Path(root), action, number, timeout=0.2)
            done.append([action, str(number)])
        except (daemon.core.control.RequestRefusedError, daemon.core.control.NotRunningError, OSError):
            pass
for each in (*held, *crowd):
    each.close()
status()
print(json.dumps(done))
"""
HIS_OWN = {("create", "inbox"), ("make", "inbox")}
"""What everybody of the group may do."""


class Member:
    """Runs at most one at a time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._process: subprocess.Popen[str] | None = None

    def attack(self) -> bool:
        """Let a member try to change everything, hold locks, and ask for what is not his; false while one does so."""
        if self._process is not None:
            return False
        house = self._scene.house
        script = STATUS + BECOME + ATTACK.replace("print(", "(") + HOLD_AND_ASK
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(house.root), str(BOB)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **house.daemon_environment},
        )
        self._scene.later(4.0, partial(self._look, self._process))
        return True

    def _look(self, process: subprocess.Popen[str]) -> None:
        """Wait for his end, and see what he could do."""
        said, wrong = process.communicate(timeout=60)
        self._process = None
        if process.returncode != 0:
            self._scene.faults.append(f"the hostile member failed: {wrong[-1000:]}")
            return
        done = {(what, path) for what, path in json.loads(said) if f"-{BOB}" not in path}
        self._scene.faults += [f"a member of the group could {what} {path}" for what, path in sorted(done - HIS_OWN)]
        for own in (self._scene.root / "inbox").glob(f".*-{BOB}"):
            shutil.rmtree(own) if own.is_dir() else own.unlink()
