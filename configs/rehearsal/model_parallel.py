"""How GLM-6B's parameters lie on the ranks of a model-parallel run, as MindSpore's own parallel pass lays them out.

`layout()` is the table; it was read in strategy files that MindSpore 2.0 wrote for MindFormers 0.8's GLM with
data_parallel 1, model_parallel N, pipeline_stage 1. Runs in the training environment (Python 3.9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

ROWS = (0, -1)
COLUMNS = (-1, 0)
SPLIT = (0,)
WHOLE = (-1,)

LAYOUTS = {
    "word_embeddings.embedding_table": ROWS,
    "lm_head.weight": ROWS,
    "query_key_value.weight": ROWS,
    "query_key_value.bias": SPLIT,
    "attention.dense.weight": ROWS,
    "attention.dense.bias": WHOLE,
    "dense_h_to_4h.weight": ROWS,
    "dense_h_to_4h.bias": SPLIT,
    "dense_4h_to_h.weight": COLUMNS,
    "dense_4h_to_h.bias": WHOLE,
    "layernorm.gamma": WHOLE,
    "layernorm.beta": WHOLE,
}
"""Tensor maps by the end of the name: one entry a dimension; 0 is split over the ranks, -1 is not split."""


def layout(name: str) -> tuple[int, ...] | None:
    """Return the tensor map of parameter `name`, or None for the scalars, which no strategy file knows.

    The moments `adam_m.*` and `adam_v.*` lie as their parameters do.
    """
    for ending, tensor_map in LAYOUTS.items():
        if name.endswith(ending):
            return tensor_map
    return None


def own_slice(name: str, whole: NDArray[np.generic], rank: int, ranks: int) -> NDArray[np.generic]:
    """Return what `rank` of `ranks` holds of `whole`; raises ValueError where the split does not come out even."""
    if ranks == 1:
        return whole
    tensor_map = layout(name)
    if tensor_map is None:
        if whole.size > 1:
            raise ValueError(f"{name}: a parameter of shape {whole.shape} without a layout: not GLM-6B's architecture")
        return whole
    if len(tensor_map) != whole.ndim:
        raise ValueError(f"{name}: shape {whole.shape} does not fit the layout {tensor_map}")
    if 0 not in tensor_map:
        return whole
    axis = tensor_map.index(0)
    rows, rest = divmod(whole.shape[axis], ranks)
    if rest:
        raise ValueError(f"{name}: dimension {axis} of {whole.shape} cannot be split over {ranks} ranks")
    begin = rank * rows
    return whole[(slice(None),) * axis + (slice(begin, begin + rows),)]


def operators(names: Iterable[str], ranks: int) -> dict[str, list[list[int]]]:
    """Return how each operator's inputs are split, by the operator's name, as strategy files list it."""
    found = {}
    for name in names:
        tensor_map = layout(name)
        if tensor_map is None or name.startswith("adam_") or name.endswith(".beta"):
            continue
        if name.endswith("embedding_table"):
            found["Gather_" + name] = [[ranks, 1], [1, 1]]
        elif name.endswith(".gamma"):
            found["LayerNorm_" + name] = [[1, 1, 1], [1], [1]]
        elif tensor_map == ROWS:
            found["MatMul_" + name] = [[1, 1], [ranks, 1]]
        elif tensor_map == COLUMNS:
            found["MatMul_" + name] = [[1, ranks], [1, ranks]]
        else:
            parts = ranks if tensor_map == SPLIT else 1
            found["Add_" + name] = [[1, parts], [parts]]
    return found


def strategy(names: Iterable[str], ranks: int) -> bytes:
    """Return the strategy file of a run over `ranks` whose checkpoints hold `names`."""
    from mindspore.train.node_strategy_pb2 import ParallelStrategyMap  # noqa: PLC0415 - the table is of use without it

    names = list(names)
    file = ParallelStrategyMap(current_stage=1)
    for operator, inputs in operators(names, ranks).items():
        item = file.parallel_strategy_item.add(node_name=operator)
        item.parallel_strategys.stage = 0
        for dimensions in inputs:
            item.parallel_strategys.parallel_strategy.add(dim=dimensions)
    for name in names:
        tensor_map = layout(name)
        if tensor_map is None:
            continue
        layouts = file.parallel_layout_item.add(param_name=name).parallel_layouts
        layouts.dev_matrix.add(dim=[ranks])
        layouts.tensor_map.add(dim=tensor_map)
        layouts.param_split_shape.add()
        layouts.indices_offset.add()
        layouts.field = 0
        layouts.opt_weight_shard_step = 0
        layouts.opt_weight_shard_size = 0
    content: bytes = file.SerializeToString()
    return content


def write_strategy(path: Path, names: Iterable[str], ranks: int) -> None:
    """Write the strategy file of `names` to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name("." + path.name + ".tmp")
    temporary.write_bytes(strategy(names, ranks))
    temporary.replace(path)
