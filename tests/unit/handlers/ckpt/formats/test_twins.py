"""Promises of handlers.ckpt.formats.twins: what a walk of each shard finds, for the work of one walk."""

import numpy as np
import pytest

from handlers.ckpt import CkptFile, DamagedFileError, walk, walk_all
from handlers.ckpt.formats import twins as alike_module
from tests.unit.handlers.ckpt.ckpt_writer import Array, Run, ckpt


def walk_each(run: Run) -> dict[int, CkptFile]:
    """Walk all shards of a run, as walk_all must find them."""
    return {rank: walk(run.shard(rank)) for rank in range(run.ranks)}


def walk_together(run: Run) -> dict[int, CkptFile]:
    """Walk them together."""
    return walk_all({rank: run.shard(rank) for rank in range(run.ranks)})


def test_ranks_that_are_alike_are_walked_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All have the entries of the first, each its own path and fingerprint."""
    expected, walked = walk_each(run), []

    def counted(path: object) -> CkptFile:
        walked.append(path)
        return walk(run.shard(0))

    monkeypatch.setattr(alike_module, "walk", counted)
    found = walk_together(run)
    assert found == expected
    assert len(walked) == 1
    assert found[3].entries is found[0].entries


@pytest.mark.parametrize(
    "changed",
    (
        {"layers.0.layernorm.gamma": np.zeros((2, 4), "float32")},
        {"layers.0.layernorm.gamma": np.zeros(8, "int32")},
        {"another": np.zeros(8, "float32")},
    ),
)
def test_a_shard_that_differs_is_seen_as_it_is(run: Run, changed: dict[str, Array]) -> None:
    """Another shape, type or entry, though it may be of the same size."""
    run.write_shard(2, ckpt(run.slices(2) | changed))
    assert walk_together(run) == walk_each(run)


@pytest.mark.parametrize("at", (0, 1, 5, 30))
def test_a_damaged_header_is_refused_though_the_size_is_right(run: Run, at: int) -> None:
    """Likeness is of every byte that is no tensor's."""
    content = bytearray(run.shard(1).read_bytes())
    content[at] ^= 0xFF
    run.write_shard(1, bytes(content))
    with pytest.raises(DamagedFileError, match=r"rank_1-31_4\.ckpt"):
        walk_together(run)
