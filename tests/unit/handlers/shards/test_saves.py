"""Promises of handlers.shards.saves: the work for a save is that of its own shards."""

from collections import Counter
from pathlib import Path

import pytest

from handlers.ckpt import Fingerprint, Strategy
from handlers.shards import saves, strategy_files
from handlers.shards.contents import Content, Contents
from handlers.shards.names import Tag
from handlers.shards.readiness import NotReady, Ready
from handlers.shards.saves import Saves
from tests.unit.handlers.ckpt.ckpt_writer import Run, small_run

TAGS = [f"{epoch}_4" for epoch in range(1, 9)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four ranks that have saved eight times; the newest three saves lack a rank."""
    run = small_run(tmp_path / "output")
    for tag in TAGS:
        run.write(tag)
    for tag in TAGS[-3:]:
        run.shard(2, tag).unlink()
    return run


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """Count how often each shard is read, and each strategy file parsed."""
    counts: Counter[Path] = Counter()

    class Counted(Contents):
        def of(self, path: Path) -> tuple[Fingerprint, Content]:
            counts[path] += 1
            return super().of(path)

    def parse(path: Path, content: bytes, fingerprint: Fingerprint) -> Strategy:
        counts[path] += 1
        return parse_content(path, content, fingerprint)

    parse_content = strategy_files.parse_content
    monkeypatch.setattr(saves, "Contents", Counted)
    monkeypatch.setattr(strategy_files, "parse_content", parse)
    return counts


def test_looking_for_the_newest_is_linear(run: Run, opened: Counter[Path]) -> None:
    """Each shard of each tag that is asked about is read once, no other, and the strategy once for all."""
    found = Saves(run.source, prefix="glm-6b", ranks=4, needs_strategy=True)
    assert list(map(str, found.tags)) == TAGS[::-1]
    looks = {}
    for tag in found.tags:
        looks[tag] = found.look(tag)
        if isinstance(looks[tag], Ready):
            break
    assert [type(look) for look in looks.values()] == [NotReady, NotReady, NotReady, Ready]
    asked = [run.shard(rank, tag) for tag in TAGS[-4:] for rank in range(4) if run.shard(rank, tag).exists()]
    assert opened == dict.fromkeys([*asked, run.strategy], 1)


def test_a_tree_that_is_not_there_has_no_saves(tmp_path: Path) -> None:
    """Nor has one that has no such tag."""
    found = Saves(tmp_path / "nothing", prefix="glm-6b", ranks=4, needs_strategy=False)
    assert found.tags == []
    assert isinstance(found.look(Tag(1, 4)), NotReady)
