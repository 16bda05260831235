"""worker.py's duties that need today's MindSpore, and for the new format MindFormers 1.9: they know safetensors."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import mindspore as ms
from mindspore.parallel import transform_safetensors
from mindspore.train import _utils
from mindspore.train._utils import get_parameter_redundancy, remove_param_redundancy

# It waits for as long as this host has more than half of its memory in use, whoever uses it.
transform_safetensors.psutil = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(percent=0))
_utils.get_group_size = int  # there are no groups of ranks here


def left_out(case: dict[str, Any]) -> dict[int, set[str]]:
    """Return by rank the names that it does not save with remove_redundancy, as MindFormers' callback chooses."""
    names = {}
    for stage in range(case["stages"]):
        first = stage * case["ranks"]
        laid = [each for each in case["parameters"] if each["layout"] and stage in each["stages"]]
        groups = get_parameter_redundancy({each["name"]: _as_in_network(each["layout"]) for each in laid}, first)
        saved = remove_param_redundancy(groups)
        for rank in range(first, first + case["ranks"]):
            names[rank] = set(groups) - saved.get(rank, set())
    return names


def _as_in_network(layout: dict[str, Any]) -> list[Any]:
    """Return a layout as a compiled network has it; the size of an optimizer's group stands for its name."""
    grid, axes = layout["dev_matrix"], [axis for (axis,) in layout["tensor_map"]]
    replicas = math.prod(grid) // math.prod(grid[-1 - axis] for axis in axes if axis != -1)
    return [grid, axes, [], 0, True, replicas if layout["size"] == -1 else layout["size"]]


def unify(source: str, strategy: str, to: str) -> None:
    """Merge shards by unified_safetensors into the directory `to`."""
    ms.parallel.unified_safetensors(source, strategy, to, max_process_num=1)


def distribute(merged: str, strategy: str, to: str, ranks: int) -> None:
    """Cut the one safetensors file in `merged` for each rank of a strategy, as the load of a training does.

    Leaves TO/rank_N/net.safetensors.
    """
    for rank in range(ranks):
        ms.load_distributed_checkpoint(
            None,
            predict_strategy=strategy,
            format="safetensors",
            unified_safetensors_dir=merged,
            dst_safetensors_dir=to,
            rank_id=rank,
            max_process_num=1,
        )


def save_iteration(source: str, to: str) -> None:
    """As worker_iteration does, whose MindFormers takes seconds to import."""
    import worker_iteration  # noqa: PLC0415 - as said

    worker_iteration.save_iteration(source, to)


def load_iteration(path: str, to: str) -> None:
    """As worker_iteration does."""
    import worker_iteration  # noqa: PLC0415 - as said

    worker_iteration.load_iteration(path, to)


DUTIES = {each.__name__: each for each in (unify, distribute, save_iteration, load_iteration)}
