"""MindFormers' new format, for worker_today.py: its own code writes metadata.json, and puts tensors together again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mindspore as ms
from mindformers.checkpoint import metadata
from mindformers.checkpoint.reshard import ReshardLoader
from mindformers.checkpoint.sharded_tensor import build_sharded_tensor, get_sharded_tensor_from_strategy_metadata
from mindformers.checkpoint.utils import FileType, get_checkpoint_name
from mindspore.parallel import Layout


def save_iteration(source: str, to: str) -> None:
    """Save in the directory `to` what the ranks of the case in `source` have saved there, without its scalars."""
    case = json.loads((Path(source) / "case.json").read_text())
    ranks, laid = case["ranks"], {each["name"]: each for each in case["parameters"] if each["dims"]}
    held = {rank: _load(next((Path(source) / "checkpoint" / f"rank_{rank}").iterdir())) for rank in range(ranks)}
    infos = {
        name: [_layout(each, ranks), held[0][name].dtype, tuple(each["dims"])]
        for name, each in laid.items()
        if not name.startswith("accu_grads")
    }
    of_ranks = {rank: get_sharded_tensor_from_strategy_metadata(infos, rank) for rank in range(ranks)}
    metadata.get_group_size = lambda: ranks
    model = [name for name in infos if not name.startswith("adam_")]
    files = metadata.get_total_params_file_mapping_info(of_ranks, "glm4", model)
    Path(to).mkdir(parents=True)
    metadata.save_metadata(of_ranks, files, f"{to}/metadata.json")
    for rank in range(ranks):
        for kind in (FileType.MODEL, FileType.OPTIMIZER):
            names = [name for name in infos if (name in model) == (kind is FileType.MODEL)]
            if names:
                path = get_checkpoint_name(to, "glm4", rank, ranks, kind)
                tensors = [{"name": name, "data": held[rank][name]} for name in names]
                ms.save_checkpoint(tensors, path, format="safetensors")


def _load(path: Path) -> dict[str, ms.Parameter]:
    return ms.load_checkpoint(str(path), format="safetensors")


def _layout(parameter: dict[str, Any], ranks: int) -> Layout:
    """Return a parameter's layout with names for the axes of the grid; whole on all ranks where it has none."""
    layout = parameter["layout"] or {"dev_matrix": [ranks], "tensor_map": [[-1]] * len(parameter["dims"])}
    grid = layout["dev_matrix"]
    names = [f"axis{at}" for at in reversed(range(len(grid)))]
    cut = [tuple(f"axis{axis}" for axis in axes if axis != -1) for axes in layout["tensor_map"]]
    axes = Layout(tuple(grid), tuple(names), rank_list=list(range(ranks)))
    return axes(*[each if len(each) > 1 else each[0] if each else "None" for each in cut])


def load_iteration(path: str, to: str) -> None:
    """Load a save, or a directory of safetensors, as one process that trains the whole does; save that as `to`."""
    source, files = metadata.get_metadata_of_checkpoint(path)
    wanted = {
        name: build_sharded_tensor(name, one.dtype, one.global_shape, one.global_shape, [1] * len(one.global_shape))
        for name, (one, *_) in source.items()
    }
    loaded = ReshardLoader(path, wanted, source, files).load()
    ms.save_checkpoint([{"name": name, "data": value} for name, value in loaded.items()], to, format="safetensors")
