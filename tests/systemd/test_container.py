"""Containerfile: its steps are carried out, and what comes of them runs, as far as a host without an engine can."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.core.control import NotRunningError, ask
from tests.systemd.box import CHECKOUT
from tests.systemd.image import Stage, build, instructions

pytestmark = pytest.mark.systemd

TEXT = (CHECKOUT / "Containerfile").read_text()
GLM = 1750
PATIENCE = 30.0


@pytest.fixture(scope="module")
def image(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Build it from a bundle, on a base that has no Python, without a network."""
    place = tmp_path_factory.mktemp("image")
    try:
        yield build(TEXT, bundle.parent, place, BUNDLE=bundle.name)
    finally:
        for path in place.iterdir():
            Stage(path).unmount()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Make a directory of the host for it, as docs/install.md says."""
    path = tmp_path / "glm"
    path.mkdir(mode=0o2750)
    os.chown(path, GLM, GLM)
    return path


def test_it_is_for_a_user_who_is_not_root_and_has_one_volume(image: Stage) -> None:
    """Nothing after USER is done as root."""
    assert (image.user, image.volumes) == ("glm", ["/var/glm"])
    names = [name for name, _ in instructions(TEXT)]
    assert "RUN" not in names[names.index("USER") :]
    assert (image.root / "var/glm").stat().st_uid == GLM


def test_it_serves_and_writes_to_its_volume_only(image: Stage, volume: Path) -> None:
    """The root is read-only, but for a /tmp: a daemon answers, takes a file from the inbox, and ends well when told."""
    prepare = f"mount --bind {volume} {image.root}/var/glm; mount -t tmpfs -o mode=1777 tmp {image.root / 'tmp'}; "
    prepare += f"mount -o remount,ro {image.root};"
    command = image.inside(*image.entrypoint, *image.command, prepare=prepare)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as container:
        try:
            until(lambda: answers(volume))
            (volume / "inbox" / "no.yaml").write_text("not: [what it takes\n")
            os.chown(volume / "inbox" / "no.yaml", GLM, GLM)
            until((volume / "rejected" / "no.yaml.reason.txt").exists)
            (serving,) = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
            assert f"Uid:\t{GLM}\t{GLM}" in Path(f"/proc/{serving}/status").read_text()
            os.kill(int(serving), signal.SIGTERM)
            assert container.wait(PATIENCE) == 0
        finally:
            container.kill()
    assert {path.stat().st_uid for path in volume.rglob("*")} == {GLM}


def answers(root: Path) -> bool:
    """Whether a daemon is there."""
    with contextlib.suppress(NotRunningError):
        ask(root, "ping", timeout=PATIENCE)
        return True
    return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
