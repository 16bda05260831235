"""How a step is started as a unit of a real systemd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.serve.steps.runner import SystemdRunner
from tests.systemd.box import SDBOX, Box
from tests.unit.daemon.serve.steps.runner_promises import Place, RunnerPromises

pytestmark = pytest.mark.systemd

UNIT = "glmd-job@0095-1-train.service"
"""Of a job that no other test in the box has: some leave drop-ins of their units there."""


class BoxPlace(Place):
    """Shims that are units in the box."""

    def __init__(self, box: Box) -> None:
        super().__init__(SystemdRunner(), Path("/var/glm"), 95)
        self.box = box
        outside = (box.directory / "unshare.pid").read_text().strip()
        first = Path(f"/proc/{outside}/task/{outside}/children").read_text().strip()
        self.inside = Path(f"/proc/{first}/root")
        box.run("mkdir", str(self.directory.path), user="glm")
        self.furnish()

    def seen(self, path: Path) -> Path:
        """Look into the box, as the kernel lets root."""
        return self.inside / path.relative_to("/")

    def write(self, path: Path, content: str = "") -> None:
        """Do so, as glm."""
        self.box.run("mkdir", "-p", str(path.parent), user="glm")
        self.box.write(str(path), content, user="glm")

    def prevent(self) -> None:
        """Do as an administrator who forbids a unit."""
        self.box.run("systemctl", "mask", "--runtime", UNIT)

    def kill_shim(self) -> None:
        """Do so; its ranks go with the unit."""
        self.box.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)

    def is_at_rest(self) -> bool:
        """Ask systemd."""
        self.runner.reap()
        return self.box.shows(UNIT, "ActiveState") in {"inactive", "failed"}

    def close(self) -> None:
        """Leave nothing in the box."""
        self.box.run("systemctl", "stop", UNIT)
        self.box.run("systemctl", "unmask", "--runtime", UNIT)
        self.box.run("rm", "-r", str(self.directory.path))


class TestSystemdRunner(RunnerPromises):
    """A runner whose service manager is systemd, asked as the daemon asks it: by the user glm."""

    @pytest.fixture
    def place(self, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
        """Return a job in the box, whose systemctl is the one that is found."""
        systemctl = tmp_path / "systemctl"
        systemctl.write_text(
            f'#!/bin/sh\nSDBOX_DIR={box.directory} exec {SDBOX} exec runuser -u glm -- systemctl "$@"\n'
        )
        systemctl.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        place = BoxPlace(box)
        yield place
        place.close()

    def test_systemd_saw_the_death(self, place: Place) -> None:
        """And says so, once the unit has ended."""
        place.start()
        place.until_it_runs()
        place.kill_shim()
        place.until(lambda: place.runner.cause_of_death(place.step), "systemd's words")
        assert place.runner.cause_of_death(place.step) == "systemd says signal, killed KILL"
