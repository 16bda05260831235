"""What MindFormers' checkpoints ask for besides on a CPU. To be imported before anything of MindFormers.

For the new format it asks MindSpore for the layouts of every rank, which only semi_auto_parallel has; here the ranks
train data parallel and hold everything whole, and that is the answer. And Barrier has no CPU kernel. Runs in the
environment of today's stack (Python 3.11).
"""

from __future__ import annotations

import os

import mindspore
from mindspore import nn, ops
from mindspore.communication import comm_func
from mindspore.parallel import Layout

RANK = int(os.environ.get("RANK_ID", "0"))
RANKS = int(os.environ.get("RANK_SIZE", "1"))


class Sum(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Adds a tensor up over the ranks, which all have to come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.all_reduce = ops.AllReduce()

    def construct(self, x: mindspore.Tensor) -> mindspore.Tensor:
        """Be what MindSpore compiles."""
        return self.all_reduce(x)


def gather(value: float) -> list[float]:
    """Return the float32 `value` of every rank, by rank; exact, since all but one of the terms added are zero."""
    if RANKS == 1:
        return [value]
    table = [value if rank == RANK else 0.0 for rank in range(RANKS)]
    by_rank: list[float] = Sum()(mindspore.Tensor(table, mindspore.float32)).asnumpy().tolist()
    return by_rank


def barrier(_group: str | None = None) -> None:
    """Take the place of mindspore.communication.comm_func.barrier."""
    Sum()(mindspore.Tensor([1.0], mindspore.float32)).asnumpy()


comm_func.barrier = barrier  # before MindFormers' modules take it by name

from mindformers.checkpoint import sharded_tensor  # noqa: E402


def layouts(network: nn.Cell) -> dict[int, dict[str, list[object]]]:
    """Take the place of get_strategy_metadata: rank -> name -> [layout, type, shape]."""
    axes = Layout((RANKS,), ("dp",), rank_list=list(range(RANKS)))
    found = {
        parameter.name: [axes(*["None"] * len(parameter.shape)), parameter.dtype, parameter.shape]
        for _, parameter in network.parameters_and_names()
        if parameter.shape
    }
    return {rank: dict(found) for rank in range(RANKS)}


def own_layouts(network: nn.Cell) -> list[dict[str, list[object]]]:
    """Take the place of get_current_strategy_metadata."""
    return [layouts(network)[RANK]]


sharded_tensor.get_strategy_metadata = layouts
sharded_tensor.get_current_strategy_metadata = own_layouts
