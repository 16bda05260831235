"""What was decided about a dropped file before a fault stays decided, also where the check would now say otherwise."""

import errno
from pathlib import Path

import pytest

from daemon.core.states import State
from tests.faults.injection import Call, Injection
from tests.faults.world import MERGED, World


def test_a_rejected_file_is_not_taken_after_all(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row says rejected; the fault kept it in claims/, and what was wrong is mended: it still goes to rejected/."""
    injection = Injection(Call.RENAME, errno.EIO, 3, quick / "root")  # claim, reason, and then the file itself
    injection.install(monkeypatch)
    with World(quick, monkeypatch) as world:
        (world.data / "train.json").rename(world.data / "away")
        world.drop("run.yaml")
        injection.is_armed = True
        world.service._faults._first_pause = 3600.0
        world.turn_until(lambda: injection.fired and bool(world.service._faults.summary), "the fault")
        assert world.jobs()["run"][0] is State.REJECTED
        (world.data / "away").rename(world.data / "train.json")
        world.service._faults.passed("claim of run.yaml")
        world.service._rescan_due = 0.0
        world.turn_until(lambda: not world.left(), "the claim to be finished")
        assert (world.root.rejected / "run.yaml").exists()
        assert "train.json" in (world.root.rejected / "run.yaml.reason.txt").read_text()
        assert list(world.root.jobs.iterdir()) == []
        world.agrees()


def test_a_job_is_not_rejected_after_all(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its file; a fault kept the claim from being removed, and the check fails by now: the claim just goes."""
    injection = Injection(Call.UNLINK, errno.EIO, 1, quick / "root")
    injection.install(monkeypatch)
    with World(quick, monkeypatch) as world:
        world.drop("run.yaml")
        injection.is_armed = True
        world.service._faults._first_pause = 3600.0
        world.turn_until(lambda: injection.fired and bool(world.service._faults.summary), "the fault")
        world.turn_until(lambda: world.jobs()["run"][0].is_over, "the job to be over")
        (world.data / "train.json").unlink()
        world.service._faults.passed("claim of run.yaml")
        world.service._rescan_due = 0.0
        world.turn_until(lambda: not world.left(), "the claim to be finished")
        assert world.jobs() == {"run": (State.FAILED, MERGED)}
        assert list(world.root.rejected.iterdir()) == []
        world.agrees()
