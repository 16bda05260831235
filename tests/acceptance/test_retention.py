"""Nights without a hand: what nobody could want goes by itself, what somebody could want stays, and says why."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.control import Request, RequestRefusedError, ask_for
from daemon.core.retention import plan
from daemon.core.settings import load_settings
from daemon.face.audit import check_state
from handlers.retention.part import Part
from handlers.retention.trash import NAME as TRASH
from handlers.shards.names import find_shards
from tests.acceptance.month import CYCLES, Month, known_month

NIGHTS = 5
BEFORE = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
"""The day before the first night: files say by the host's clock when they were made, and that is before."""
KEEP = {"last": 1, "daily": 2, "weekly": 0, "monthly": 0, "best": 0, "rollback": 1}


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    """Return a root with two cycles that keeps little, and no night yet."""
    with known_month(tmp_path, BEFORE, {"retention": {"keep": KEEP}}) as month:
        yield month


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
    assert {item.part for item in left.items if not item.goes} == {Part.SHARDS, Part.MERGED}
    assert not left.going


def test_what_people_drop_goes_only_when_somebody_asks(month: Month) -> None:
    """By itself glmd leaves their jobs alone; `glmd prune` takes what the rules do not keep, and says so."""
    for number in (1, 2, 3):
        text = (month.stage.data / "small.yaml").read_text()
        month.stage.drop(f"run{number}.yaml", f"{text}# {number}\n")
        month.let_it_be(month.at(0, 3), lambda number=number: month.are_done(number), f"{number} jobs are done")
    month.let_it_be(month.at(2, 1), lambda: month.are_over(1), "the next day has come")
    before = with_shards(month)
    month.until_pruned()
    dropped = [job for job in month.stage.jobs() if not job.cycle]
    assert {job.label for job in dropped} <= before & with_shards(month)
    assert "is being removed" in (month.stage.ask("prune") or "")
    month.let_it_be(month.at(2, 1), lambda: len(with_shards(month) & {job.label for job in dropped}) == 1, "it is done")
    month.until_pruned()
    first = dropped[0]
    assert not first.directory(month.root.path).merged.exists()
    with pytest.raises(RequestRefusedError, match="is gone: removed on"):
        ask_for(month.root.path, Request("promote", first.id))
    assert month.stage.stop()
    assert month.stage.faults == []
    assert check_state(month.root) == ()
