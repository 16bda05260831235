"""Promises of handlers.shards.strategy_files: what all files together say, for the reading of what has changed."""

from collections import Counter
from pathlib import Path

import pytest

from handlers.ckpt import DamagedFileError, Fingerprint, InconsistentError, Strategy, read_strategies
from handlers.ckpt.formats.strategy import parse_content, read_content
from handlers.shards import strategy_files
from handlers.shards.strategy_files import StrategyFiles
from tests.unit.handlers.ckpt.ckpt_writer import Lay, strategy

STAGES = [strategy({f"layers.{stage}.weight": Lay((2,), (0, -1))}, stages=(stage,)) for stage in (0, 1)]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is read and what is parsed."""
    counted: Counter[str] = Counter()

    def read(path: Path) -> tuple[bytes, Fingerprint]:
        counted["read"] += 1
        return read_content(path)

    def parse(path: Path, content: bytes, fingerprint: Fingerprint) -> Strategy:
        counted["parsed"] += 1
        return parse_content(path, content, fingerprint)

    monkeypatch.setattr(strategy_files, "read_content", read)
    monkeypatch.setattr(strategy_files, "parse_content", parse)
    return counted


def write(tree: Path, rank: int, content: bytes) -> Path:
    """Write a rank's strategy file."""
    path = tree / "strategy" / f"ckpt_strategy_rank_{rank}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def test_ranks_files_are_read_once_and_parsed_once_a_stage(tmp_path: Path, counts: Counter[str]) -> None:
    """Together they say what `read_strategies` finds, and are one object while nothing changes."""
    files = StrategyFiles(tmp_path, None)
    paths = [write(tmp_path, rank, STAGES[rank // 2]) for rank in range(4)]
    for path in paths:
        files.noticed(path)
    joined = files.joined()
    assert joined.stages == read_strategies(paths).stages
    for path in paths:
        files.noticed(path)
    files.relist()
    assert files.joined() is joined
    assert counts == {"read": 4, "parsed": 2}


def test_what_is_removed_or_replaced_counts_no_more(tmp_path: Path) -> None:
    """Noticed, or found missing when all are listed."""
    paths = [write(tmp_path, rank, STAGES[rank]) for rank in (0, 1)]
    files = StrategyFiles(tmp_path, None)
    files.relist()
    assert set(files.joined().stages) == {0, 1}
    paths[1].unlink()
    files.noticed(paths[1])
    assert set(files.joined().stages) == {0}
    files.noticed(write(tmp_path, 0, STAGES[1]))
    assert set(files.joined().stages) == {1}
    paths[0].unlink()
    files.relist()
    with pytest.raises(InconsistentError, match="has no ckpt_strategy_rank_N"):
        files.joined()


def test_a_bad_file_stands_in_the_way_until_it_is_replaced(tmp_path: Path) -> None:
    """As in a merge."""
    files = StrategyFiles(tmp_path, None)
    files.noticed(write(tmp_path, 0, STAGES[0]))
    files.noticed(write(tmp_path, 1, STAGES[1][:-1]))
    for _ in range(2):
        with pytest.raises(DamagedFileError, match="rank_1"):
            files.joined()
    files.noticed(write(tmp_path, 1, STAGES[1]))
    assert set(files.joined().stages) == {0, 1}


def test_which_paths_concern_it(tmp_path: Path) -> None:
    """The tree's own; or the one file, or the directory, that was given instead."""
    own = write(tmp_path, 0, STAGES[0])
    other = write(tmp_path / "other", 0, STAGES[0])
    for given, concerned in ((None, own), (other, other), (other.parent, other)):
        files = StrategyFiles(tmp_path, given)
        assert {path for path in (own, other, own.with_name("x.ckpt")) if files.concerns(path)} == {concerned}
        files.relist()
        assert files.joined().path == concerned
