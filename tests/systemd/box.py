"""A systemd of its own, to install into and to break."""

import os
import subprocess
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SDBOX = Path(__file__).with_name("sdbox")
PREFIX = Path("/opt/glmd")
ADDRESS = "192.168.1.196"
PYTHON = f"{PREFIX}/lib/glmd/venv/bin/python"
PROBE = f"ExecStart=\nExecStart={PYTHON} -I /run/probe.py\n"
"""For a unit's drop-in: what `probe` runs, in place of what the unit would."""
SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Box:
    """A booted systemd, of which `alice` is a user in group glm, and `bob` one who is not."""

    directory: Path

    def sdbox(self, *argv: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Call sdbox."""
        environment = {**os.environ, "SDBOX_DIR": str(self.directory)}
        done = subprocess.run(
            [SDBOX, *argv], env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def run(self, *argv: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as `user`; with `check`, a failure fails the test."""
        become = () if user == "root" else ("runuser", "-u", user, "--")
        return self.sdbox("exec", *become, *argv, check=check)

    def say(self, *argv: str, user: str = "root") -> str:
        """Return what a command inside prints."""
        return self.run(*argv, user=user).stdout.strip()

    def write(self, path: str, content: str, user: str = "root") -> None:
        """Write a file inside, as `user`; root makes its directory, too."""
        directory = ["mkdir", "-p", str(Path(path).parent)]
        if user == "root":
            self.run(*directory)
        become = () if user == "root" else ("runuser", "-u", user, "--")
        self.sdbox("exec", *become, "tee", path, stdin=content)

    def shows(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.say("systemctl", "show", "--value", f"--property={name}", unit)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait for a condition; the journal explains a failure."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds:.0f} s: {what}\n{self.say('journalctl', '-n', '60', '--no-pager')}")
            time.sleep(0.1)


def make(*words: str | Path, without: tuple[str, ...] = (), path: str | Path = os.environ["PATH"]) -> str:
    """Run make, outside of a network with `without`; return what it says. A failure is an AssertionError with that."""
    command = [*without, "make", "--no-print-directory", "-s", "-C", str(CHECKOUT), *map(str, words)]
    environment = {"PATH": str(path), "HOME": os.environ["HOME"]}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def install(tree: Path) -> None:
    """Run `make install` into `tree`."""
    subprocess.run(
        ["make", "-s", "-C", CHECKOUT, "install", f"DESTDIR={tree}", f"PREFIX={PREFIX}"],
        env={**os.environ, "PATH": SUDO_PATH, "PYTHON": ""},
        check=True,
    )


def probe(box: Box, unit: str, code: str) -> None:
    """Run Python code under the sandbox of a unit that runs PROBE; its traceback is the test's failure."""
    box.write("/run/probe.py", textwrap.dedent(code))
    done = box.run("systemctl", "start", unit, check=False)
    log = box.say("journalctl", "--unit", unit, "--output=cat", "--no-pager", "--lines=20")
    box.run("systemctl", "reset-failed", unit, check=False)
    assert done.returncode == 0, log


def comes_last(box: Box, unit: str) -> None:
    """Assert that a unit that runs PROBE yields the processor to trainings, and has little of what they need."""
    wanted = {"MemoryMax": str(256 << 20), "CPUQuotaPerSecUSec": "500ms", "CPUWeight": "20", "IOWeight": "10"}
    assert {name: box.shows(unit, name) for name in wanted} == wanted
    assert box.shows(unit, "TasksMax") == "32"
    probe(
        box,
        unit,
        """
        import os, pathlib
        assert os.getpriority(os.PRIO_PROCESS, 0) == 10
        assert pathlib.Path("/proc/self/oom_score_adj").read_text() == "900\\n"
        status = pathlib.Path("/proc/self/status").read_text()
        assert "CapBnd:\\t0000000000000000" in status and "NoNewPrivs:\\t1" in status
        """,
    )
