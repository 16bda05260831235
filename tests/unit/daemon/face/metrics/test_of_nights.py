"""Samples of nightly cycles: what alerts on nights go by."""

from datetime import timedelta

from daemon.core.night_runs import Outcome
from handlers.codes import Code
from tests.unit.daemon.face.diary import DONE, FAILED
from tests.unit.daemon.face.metrics.scene import DUE, NOW, Scene, of

DAY = timedelta(days=1)


def test_a_cycle(scene: Scene) -> None:
    """When it was due, is due, had success; and what its runs take."""
    scene.fill()
    values = scene.values()
    assert of(values, "nightly_due_timestamp_seconds", cycle="glm") == DUE.timestamp()
    assert of(values, "nightly_next_due_timestamp_seconds", cycle="glm") == (DUE + DAY).timestamp()
    assert of(values, "nightly_last_decided_timestamp_seconds", cycle="glm") == (DUE - DAY).timestamp()
    assert of(values, "nightly_last_success_due_timestamp_seconds", cycle="glm") == (DUE - DAY).timestamp()
    assert of(values, "nightly_runs_total", cycle="glm", outcome="dropped") == 1
    assert of(values, "nightly_runs_total", cycle="glm", outcome="skipped") == 0
    assert of(values, "nightly_failing", cycle="glm") == 1
    assert of(values, "nightly_final_loss", cycle="glm") == 1.5
    assert of(values, "nightly_duration_seconds", cycle="glm") == 900
    assert of(values, "nightly_expected_bytes", cycle="glm") == 53 << 30
    assert of(values, "nightly_last_promotion_timestamp_seconds", cycle="glm", prefix="glm-6b") is not None


def test_a_new_cycle_was_never_due(scene: Scene) -> None:
    """What is counted is when it was new: no alert goes by that."""
    scene.diary.count("glm", NOW)
    values = scene.values()
    assert of(values, "nightly_due_timestamp_seconds") is None
    assert of(values, "nightly_last_success_due_timestamp_seconds") is None


def test_it_was_due_though_the_daemon_was_gone(scene: Scene) -> None:
    """By what the daemon had said before it went."""
    scene.diary.count("glm", DUE - 2 * DAY)
    scene.diary.count("glm", DUE - DAY)
    scene.daemon(next_due=DUE)
    values = scene.values(DUE + timedelta(hours=1))
    assert of(values, "nightly_due_timestamp_seconds") == DUE.timestamp()
    assert of(values, "nightly_last_decided_timestamp_seconds") == (DUE - DAY).timestamp()
    assert of(values, "nightly_next_due_timestamp_seconds") is None


def test_nothing_new_to_train_on_is_a_success(scene: Scene) -> None:
    """Of that night; a failed one is none."""
    scene.diary.count("glm", DUE - 3 * DAY)
    scene.diary.run("glm", DUE - 2 * DAY, *DONE)
    scene.diary.run("glm", DUE - DAY, *FAILED)
    scene.diary.count("glm", DUE - DAY)
    success = "nightly_last_success_due_timestamp_seconds"
    assert of(scene.values(), success) == (DUE - 2 * DAY).timestamp()
    scene.diary.note("glm", DUE, Outcome.SKIPPED, "nothing new", Code.NIGHT_UNCHANGED)
    assert of(scene.values(), success) == DUE.timestamp()
    assert of(scene.values(), "nightly_failing") == 0


def test_cycles_that_the_settings_no_longer_have_are_not_told_of(scene: Scene) -> None:
    """So their number is that of the settings, whatever there was in years."""
    scene.diary.run("old", DUE, *DONE)
    assert [key for key in scene.values() if ("cycle", "old") in key[1]] == []
