"""Nights without a hand: what nobody could want goes by itself, what somebody could want stays, and says why."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.retention import plan
from daemon.core.settings import load_settings
from daemon.face.audit import check_state
from handlers.retention.rules import Part
from handlers.retention.trash import NAME as TRASH
from handlers.shards.names import find_shards
from tests.acceptance.month import CYCLES, Month

NIGHTS = 5
BEFORE = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
"""The day before the first night: files say by the host's clock when they were made, and that is before."""
KEEP = {"last": 1, "daily": 2, "weekly": 0, "monthly": 0, "best": 0, "rollback": 1}


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    """Return a root with two cycles that keeps little, and no night yet."""
    month = Month(tmp_path, BEFORE, {"retention": {"keep": KEEP}})
    try:
        month.play()
        month.let_it_be(month.at(0), lambda: month.are_counted(0), "the cycles are known")
        yield month
    finally:
        month.gate.touch()
        month.stage.close()


def with_shards(month: Month) -> set[str]:
    """Return the jobs that have shards."""
    return {job.label for job in month.stage.jobs() if find_shards(job.directory(month.root.path).output)}


def test_nights_leave_room_for_the_next_ones(month: Month) -> None:
    """Of each cycle the newest shards and the outputs that are kept stay, and `latest` is whole all the time."""
    for night in range(1, NIGHTS + 1):
        month.let_it_be(month.at(night), lambda night=night: month.are_over(night), "the night is over")
        assert len(month.latest()) == len(CYCLES)
    month.let_it_be(month.at(NIGHTS, 12), lambda: len(with_shards(month)) == len(CYCLES), "shards of before are gone")
    month.until_pruned()
    jobs = month.stage.jobs()
    newest = {job.label for job in jobs[-len(CYCLES) :]}
    assert with_shards(month) == newest
    merged = {job.label for job in jobs if job.directory(month.root.path).merged.exists()}
    assert merged == {job.label for job in jobs[-2 * len(CYCLES) :]}
    for job in jobs[: -2 * len(CYCLES)]:
        assert job.directory(month.root.path).manifest.exists()
        assert job.directory(month.root.path).events.exists()
    assert not (month.root.jobs / TRASH).exists()
    assert month.stage.stop()
    assert month.stage.faults == []
    assert check_state(month.root) == ()
    settings = load_settings(month.root.path / "glmd.yaml", month.root.path)
    left = plan(month.root, settings, month.at(NIGHTS, 12), is_asked=True)
    assert {item.part for item in left.items if not item.goes} == set(Part) - {Part.RECORDS, Part.OLDER_SHARDS}
    assert not left.going
