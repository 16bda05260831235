"""Compares what the rehearsal writes with what MindSpore itself makes; runs in the training environment (Python 3.9).

    python mindspore_agrees.py FIXTURE_DIRECTORY SCRATCH_DIRECTORY

Exits 0 when a strategy file for the fixture's parameters says what MindSpore's own does, and the slices of a checkpoint
are those that MindSpore's transform_checkpoint_by_rank cuts for it.
"""

import json
import sys
from pathlib import Path

import mindspore
import numpy as np
from mindspore.train.node_strategy_pb2 import ParallelStrategyMap

sys.path.insert(0, str(Path(__file__).parents[2] / "configs" / "rehearsal"))
from model_parallel import own_slice, write_strategy

RANKS = 8


def parts(path: Path) -> tuple[int, list[bytes]]:
    """Return the messages of a strategy file in a fixed order: MindSpore writes them in that of a hash table."""
    content = ParallelStrategyMap.FromString(path.read_bytes())
    repeated = [*content.parallel_strategy_item, *content.parallel_layout_item]
    return content.current_stage, sorted(part.SerializeToString() for part in repeated)


fixture, scratch = Path(sys.argv[1]), Path(sys.argv[2])
parameters = json.loads((fixture / "parameters.json").read_text())
strategy = scratch / "ckpt_strategy_rank_0.ckpt"
write_strategy(strategy, [name for name, *_ in parameters], RANKS)
assert parts(strategy) == parts(fixture / "ckpt_strategy_rank_0.ckpt"), "strategy files differ"

chance = np.random.default_rng(0)
whole = {name: chance.standard_normal(shape).astype(np.float32) for name, shape, *_ in parameters if shape}
checkpoint = scratch / "whole.ckpt"
mindspore.save_checkpoint([{"name": n, "data": mindspore.Tensor(array)} for n, array in whole.items()], str(checkpoint))
for rank in range(RANKS):
    cut = scratch / f"rank_{rank}.ckpt"
    mindspore.transform_checkpoint_by_rank(rank, {0: str(checkpoint)}, str(cut), None, str(strategy))
    theirs = mindspore.load_checkpoint(str(cut))
    assert set(theirs) == set(whole)
    for name, array in whole.items():
        np.testing.assert_array_equal(theirs[name].asnumpy(), own_slice(name, array, rank, RANKS), name)
