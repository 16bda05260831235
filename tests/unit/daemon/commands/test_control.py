"""Promises of `glmd cancel`, `retry` and `reload`."""

from datetime import UTC, datetime

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.shim_record import ShimRecord
from tests.unit.daemon.commands.conftest import Site


@pytest.mark.parametrize("words", (("cancel", "1"), ("retry", "1"), ("reload",)))
def test_without_a_daemon_it_is_said(site: Site, words: tuple[str, ...]) -> None:
    """Exit code 1, and how to start it."""
    site.add()
    done = site.glmd(*words)
    assert done.returncode == 1
    assert "systemctl start glmd" in done.stderr


def test_a_waiting_job_is_cancelled_and_retried(site: Site) -> None:
    """The daemon's answers are shown; what it refuses is exit code 3 with its reason."""
    job = site.add()
    job.directory(site.root.path).submitted.write_bytes(b"")
    holder = site.add("holds_its_devices", State.PREPARING, State.TRAINING)
    shim = holder.directory(site.root.path).step(1, Step.TRAIN).shim
    shim.parent.mkdir(parents=True)
    ShimRecord.of_this_process(datetime.now(UTC)).publish(shim)  # lives as long as the test does
    with site.daemon():
        assert "cancelled" in site.glmd("cancel", "0001-run_glm_6b").stdout
        refused = site.glmd("cancel", "1")
        assert refused.returncode == 3
        assert "cancelled already" in refused.stderr
        assert "attempt 2" in site.glmd("retry", "1").stdout
        assert site.glmd("cancel", "7").returncode == 2
    with ReadStore.open(site.root.store) as store:
        assert [step.state for step in store.history(1)][:3] == [State.QUEUED, State.CANCELLED, State.QUEUED]


def test_settings_are_read_again(site: Site) -> None:
    """Good ones are taken; bad ones are refused, with what is wrong, and change nothing."""
    settings = site.root.path / "glmd.yaml"
    settings.write_text("inbox: {settle: 2s}\n")
    with site.daemon():
        assert site.glmd("reload").returncode == 0
        settings.write_text("inbox: {settle: never}\n")
        refused = site.glmd("reload")
        assert refused.returncode == 3
        assert "inbox.settle" in refused.stderr
