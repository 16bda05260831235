"""What is counted over all that has happened."""

from datetime import timedelta

from daemon.core.states import State
from daemon.core.store import Store
from daemon.face.metrics.exporter import Exporter
from daemon.face.metrics.tally import MOST_ERRORS
from handlers.codes import Code
from tests.unit.daemon.face.diary import DONE, FAILED, TRAINING
from tests.unit.daemon.face.metrics.scene import NOW, Scene, of, parsed

FAILURES = "step_failures_total"


def test_states_and_failures(scene: Scene) -> None:
    """By the step that failed and its code, also of an attempt that was followed by another one."""
    scene.diary.job("a", NOW, *DONE)
    scene.diary.job("b", NOW, *FAILED, code=Code.HANG_SILENCE)
    scene.diary.job("c", NOW, State.PREPARING, State.FAILED)
    job = scene.diary.job("d", NOW, *TRAINING)
    with Store.open(scene.root.store) as store:
        store.move(job, State.TRAINING, "rank 3 …", Code.HANG_SILENCE, attempt=2)
    values = scene.values()
    assert of(values, "job_transitions_total", state="failed") == 2
    assert of(values, "job_transitions_total", state="training") == 4
    assert of(values, "trainings_resumed_total") == 1
    assert of(values, FAILURES, step="training", error=Code.HANG_SILENCE) == 2
    assert of(values, FAILURES, step="preparing", error="unknown") == 1


def test_one_that_goes_on_through_slurm_was_resumed_after_a_failure(scene: Scene) -> None:
    """It waits in Slurm's queue first, which is no training: that time is of no step."""
    job = scene.diary.job("a", NOW, State.PREPARING, State.SUBMITTED, State.TRAINING)
    with Store.open(scene.root.store) as store:
        store.move(job, State.SUBMITTED, "resumed", Code.SLURM_NODE_LOST, attempt=2)
    values = scene.values()
    assert of(values, "trainings_resumed_total") == 1
    assert of(values, FAILURES, step="training", error=Code.SLURM_NODE_LOST) == 1
    assert of(values, "work_duration_seconds_count", step="train", outcome="failed") == 1
    assert of(values, "work_duration_seconds_count", step="train", outcome="done") is None


def test_how_long_steps_took(scene: Scene) -> None:
    """In buckets; a clock that was set back makes none shorter than nothing."""
    job = scene.diary.job("a", NOW, *DONE)
    for place, state in enumerate(("training", "merging", "done")):
        at = NOW + timedelta(seconds=(0, 4000, 3990)[place])
        scene.diary.sql("UPDATE transitions SET at = ? WHERE job = ? AND state = ?", at.isoformat(), job.id, state)
    values = scene.values()
    train = {"step": "train", "outcome": "done"}
    assert of(values, "work_duration_seconds_bucket", le="3600", **train) == 0
    assert of(values, "work_duration_seconds_bucket", le="7200", **train) == 1
    assert of(values, "work_duration_seconds_bucket", le="+Inf", **train) == 1
    assert abs((of(values, "work_duration_seconds_sum", **train) or 0) - 4000) < 0.01
    assert of(values, "work_duration_seconds_sum", step="merge", outcome="done") == 0


def test_it_goes_on_where_it_was(scene: Scene) -> None:
    """The next scrape counts what is new, and the same as one that counts all."""
    scene.diary.job("b", NOW, *DONE)
    scene.diary.job("a", NOW, *TRAINING)
    scene.values()
    with Store.open(scene.root.store) as store:
        store.move(store.job(2), State.FAILED, "", Code.HANG_SILENCE)
    again = scene.values()
    assert of(again, FAILURES, step="training") == 1
    assert counted(again) == counted(parsed(Exporter(scene.root, scene.notifications).scrape().text))


def counted(values: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> dict[object, float]:
    """Return what is counted, without how long the counting took."""
    return {key: value for key, value in values.items() if key[0].endswith(("_total", "_count", "_sum"))}


def test_another_store_is_counted_anew(scene: Scene) -> None:
    """After a restore there is less than before."""
    scene.diary.job("a", NOW, *DONE)
    scene.diary.job("b", NOW, *DONE)
    assert of(scene.values(), "job_transitions_total", state="done") == 2
    scene.diary.sql("DELETE FROM transitions WHERE job = 2")
    assert of(scene.values(), "job_transitions_total", state="done") == 1


def test_errors_are_bounded(scene: Scene) -> None:
    """A store that somebody filled with codes of his own makes no endless number of series."""
    for number in range(MOST_ERRORS + 30):
        scene.diary.sql(
            "INSERT INTO transitions (job, at, state, attempt, reason, code) VALUES (?, ?, 'failed', 1, '', ?)",
            *(number, NOW.isoformat(), f"code{number}"),
        )
    values = scene.values()
    found = [value for key, value in values.items() if key[0] == f"glmd_{FAILURES}"]
    assert len(found) == MOST_ERRORS + 1
    assert of(values, FAILURES, error="other") == 30


def test_rows_that_say_nothing(scene: Scene) -> None:
    """States and times that no glmd has written cost nothing but themselves."""
    scene.diary.job("a", NOW, *DONE)
    scene.diary.sql("UPDATE transitions SET at = 'yesterday' WHERE state = 'merging'")
    scene.diary.sql("UPDATE transitions SET state = CAST(? AS TEXT) WHERE state = 'preparing'", b"\xff")
    values = scene.values()
    assert of(values, "job_transitions_total", state="done") == 1
    assert of(values, "work_duration_seconds_count", step="merge") is None
