"""Somebody knows in time: of a disk that is too small the evening before, of a night without success in the morning.

A real daemon whose wall clock the test sets, and real shims.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.notices import Notice, NoticeKind
from daemon.core.states import State
from handlers.codes import Code
from tests.acceptance.month import Month, known_month
from tests.acceptance.test_month import BEFORE, at

BIG = "big"
"""The cycle whose night is too large for any disk."""


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    """Return a root with two cycles of which the daemon knows, and no night yet."""
    with known_month(tmp_path, BEFORE) as month:
        yield month


def lasting(month: Month) -> dict[NoticeKind, Notice]:
    """Return what somebody should know now of the big cycle and of the disk."""
    with month.store() as store:
        return {notice.kind: notice for notice in store.notices() if notice.cycle in {"", BIG}}


def let_big_need(month: Month, saves: str) -> None:
    """Let the runs to come of the big cycle keep that many saves, and wait for what may pass."""
    month.play()
    template = month.stage.data / f"{BIG}.yaml"
    template.write_text(template.read_text().replace("keep_checkpoint_max: 1", f"keep_checkpoint_max: {saves}"))
    month.stage.settings["preflight"] = "wait"
    text = template.read_text().replace(
        'device_target: "Ascend"', 'device_target: "CPU"'
    )  # no card, no port to wait for
    template.write_text(text)
    month.stage.write_settings()


def test_a_night_that_is_too_large_for_the_disk(month: Month) -> None:
    """It is told the evening before; the job waits and says so; it is overdue in the morning, once; then all passes."""
    let_big_need(month, "999999999")
    evening = at(1) - timedelta(hours=7)
    month.let_it_be(evening, lambda: NoticeKind.DISK_LOW in lasting(month), "somebody knows of the disk")
    low = lasting(month)[NoticeKind.DISK_LOW]
    assert (low.at, low.due) == (evening, at(1))
    assert "(big, small) needs about " in low.text
    assert "TB, " in low.text

    month.let_it_be(at(1), lambda: waits_for_room(month), "the job waits for room")
    assert set(lasting(month)) == {NoticeKind.DISK_LOW}
    month.let_it_be(at(1, 8), lambda: NoticeKind.NIGHTLY_OVERDUE in lasting(month), "the night is overdue")
    late = lasting(month)[NoticeKind.NIGHTLY_OVERDUE]
    assert (late.at, late.due, late.job) == (at(1, 8), at(1), waiting(month))
    assert "has no success 6h after its time: job " in late.text
    assert "is still queued: waits for room on the disk: it needs about" in late.text
    month.let_it_be(at(1, 9), lambda: month.stage.ask("ping") is not None, "it has turned")
    assert "notices: low disk, big overdue" in (month.stage.ask("ping") or "")

    (job,) = [job.id for job in month.stage.jobs() if job.cycle == BIG]
    assert month.stage.ask("cancel", job)
    month.play()
    month.let_it_be(at(2), lambda: lasting(month) == {}, "a good night lets all of it pass")
    with month.store() as store:
        told = [notice.kind for notice in store.notices(also_passed=True) if notice.cycle in {"", BIG}]
    assert told == [NoticeKind.DISK_LOW, NoticeKind.NIGHTLY_OVERDUE]
    assert month.stage.stop()
    assert month.stage.faults == []


def waits_for_room(month: Month) -> bool:
    """Say whether the big cycle's job waits for room on the disk."""
    return any(job.code == Code.CONFIG_DISK_SPACE and job.state is State.QUEUED for job in month.stage.jobs())


def waiting(month: Month) -> int:
    """Return the job that waits."""
    return next(job.id for job in month.stage.jobs() if job.state is State.QUEUED)


def test_what_people_drop_does_not_wait_for_room(month: Month) -> None:
    """It is refused at once where the disk is too small: they are there to see it."""
    let_big_need(month, "999999999")
    month.stage.drop("mine.yaml", (month.stage.data / f"{BIG}.yaml").read_text())
    month.let_it_be(datetime.now(UTC), lambda: any(job.name == "mine" for job in month.stage.jobs()), "it is decided")
    (mine,) = [job for job in month.stage.jobs() if job.name == "mine"]
    assert (mine.state, mine.code) == (State.REJECTED, Code.CONFIG_DISK_SPACE)
