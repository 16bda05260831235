"""Run in the training environment: shards by the real MindSpore, and the merge by hand that glmd's must equal.

    python make_reference.py DIRECTORY

DIRECTORY/CASE/case.json is {"parameters": [[name, full dims, type, dev_matrix, tensor_map], …], "ranks": N,
"scalars": {name: [type, value]}}; a parameter in no strategy has null for the last two. Leaves checkpoint/rank_N/,
strategy/ and reference.ckpt beside each. numpy.split does the slicing, so that nothing of glmd's takes part.
"""

import json
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore.train import node_strategy_pb2

generator = np.random.default_rng(7)


def numpy_type(type_name: str) -> np.dtype:
    """Return the numpy type of a MindSpore type's name."""
    return np.dtype("bool_" if type_name == "Bool" else type_name.lower())


def content(dims: list, type_name: str) -> np.ndarray:
    """Return random values; no NaN, whose bits conversions may change."""
    kind = numpy_type(type_name)
    if kind.kind == "f":
        return generator.standard_normal(dims, dtype="float32").astype(kind)
    return generator.integers(0, 2 if kind.kind == "b" else 100, dims).astype(kind)


def slice_of(tensor: np.ndarray, rank: int, dev_matrix: list, tensor_map: list) -> np.ndarray:
    """Return the slice that a rank holds."""
    where = list(reversed(np.unravel_index(rank, dev_matrix)))
    for axis, device_axis in enumerate(tensor_map):
        if device_axis >= 0:
            parts = np.split(tensor, dev_matrix[len(dev_matrix) - 1 - device_axis], axis)
            tensor = parts[where[device_axis]]
    return np.ascontiguousarray(tensor)


def strategy_of(parameters: list) -> node_strategy_pb2.ParallelStrategyMap:
    """Return what a strategy file says, by MindSpore's own classes."""
    strategy = node_strategy_pb2.ParallelStrategyMap(current_stage=1)
    item = strategy.parallel_strategy_item.add(node_name="MatMul")
    item.parallel_strategys.stage = 0
    for name, _, _, dev_matrix, tensor_map in parameters:
        if dev_matrix is None:
            continue
        layouts = strategy.parallel_layout_item.add(param_name=name).parallel_layouts
        layouts.field, layouts.opt_weight_shard_step, layouts.opt_weight_shard_size = 0, 0, 0
        layouts.dev_matrix.add().dim.extend(dev_matrix)
        layouts.tensor_map.add().dim.extend(tensor_map)
        layouts.param_split_shape.add()
        layouts.indices_offset.add()
    return strategy


def save_shards(directory: Path, case: dict) -> dict:
    """Save each rank's slices; return the files by rank."""
    tensors = {name: content(dims, type_name) for name, dims, type_name, *_ in case["parameters"]}
    files = {}
    for rank in range(case["ranks"]):
        shard = []
        for name, _, _, dev_matrix, tensor_map in case["parameters"]:
            tensor = tensors[name] if dev_matrix is None else slice_of(tensors[name], rank, dev_matrix, tensor_map)
            shard.append({"name": name, "data": ms.Tensor(tensor)})
        for name, (type_name, value) in case["scalars"].items():
            shard.append({"name": name, "data": ms.Tensor(np.array(value, numpy_type(type_name)))})
        path = directory / "checkpoint" / f"rank_{rank}" / f"glm-6b_rank_{rank}-31_4.ckpt"
        path.parent.mkdir(parents=True)
        ms.save_checkpoint(shard, str(path))
        files[rank] = str(path)
    return files


def merge(directory: Path, files: dict, strategy: node_strategy_pb2.ParallelStrategyMap) -> None:
    """Merge and filter as people do by hand."""
    merged = files[0]
    if strategy.parallel_layout_item:
        (directory / "strategy").mkdir()
        for rank in files:
            strategy_file = directory / "strategy" / f"ckpt_strategy_rank_{rank}.ckpt"
            strategy_file.write_bytes(strategy.SerializeToString())
        merged = str(directory / "transformed.ckpt")
        needed = ms.rank_list_for_transform(0, str(strategy_file), None)
        ms.transform_checkpoint_by_rank(0, {rank: files[rank] for rank in needed}, merged, str(strategy_file), None)
    loaded = ms.load_checkpoint(merged)
    kept = [{"name": name, "data": value} for name, value in loaded.items() if "adam" not in name]
    ms.save_checkpoint(kept, str(directory / "reference.ckpt"))


for path in sorted(Path(sys.argv[1]).glob("*/case.json")):
    case = json.loads(path.read_text())
    merge(path.parent, save_shards(path.parent, case), strategy_of(case["parameters"]))
