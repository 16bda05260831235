"""Half a month of nights on a disk for a few of them, with kills; more of it is run by benchmarks/chaos.py --nights."""

from pathlib import Path

import pytest

from tests.acceptance.room_month import DISK, OFTEN, RoomMonth
from tests.loop_disk import loop_disk

SEED = 13
NIGHTS = 14


@pytest.mark.root  # mounts a small disk
def test_nights_go_on_though_the_disk_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each night is accounted for, `latest` is never bad, nothing that a rule keeps is removed, and all else goes."""
    monkeypatch.setattr("daemon.serve.jobs.pruning.EVERY", OFTEN)
    with loop_disk(tmp_path / "root", DISK):
        month = RoomMonth(tmp_path, SEED, NIGHTS)
        try:
            figures = month.play_all()
        finally:
            month.gate.touch()
            month.stage.close()
    assert figures.faults == []
    assert figures.written_mib > 2 * DISK, "all of it would have fitted"
    assert figures.pruned["shards"] > NIGHTS // 2
    assert figures.pruned["merged"]
    assert figures.acts["daemon killed"]
