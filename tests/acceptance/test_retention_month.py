"""Some nights on a disk that is too small for them, with kills; benchmarks/chaos.py --nights plays more of them."""

from pathlib import Path

import pytest

from tests.acceptance.room_month import DISK, play_month

SEED = 13
NIGHTS = 14


@pytest.mark.root  # mounts a small disk
def test_nights_go_on_though_the_disk_is_small(tmp_path: Path) -> None:
    """Each night is accounted for, `latest` is never bad, nothing that a rule keeps is removed, and all else goes."""
    figures = play_month(tmp_path, SEED, NIGHTS)
    assert figures.faults == []
    assert figures.written_mib > DISK * 3 // 2, "all of it would have fitted"
    assert figures.pruned["shards"] > NIGHTS // 2
    assert figures.pruned["merged"]
    assert figures.acts["daemon killed"]
