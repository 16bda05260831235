"""Saves in MindFormers' new format, written by hand: nothing of glmd writes here."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.handlers.ckpt.ckpt_writer import TYPES, Array, Run
from tests.unit.handlers.ckpt.redundancy import WHO, encode

Json = dict[str, Any]


def file_name(run: Run, name: str, rank: int) -> str:
    """Return which of a rank's two files has a parameter."""
    kind = "opt" if name.startswith("adam") or name == "global_step" else "model"
    return f"{run.prefix}-{kind}-{rank:07}-{run.ranks:07}.safetensors"


def number_of(run: Run, name: str, rank: int) -> int:
    """Return the number of a rank's slice, as MindFormers counts: in the flat tensor_map, the last axis fastest."""
    lay, number = run.layouts[name], 0
    where = list(reversed(np.unravel_index(rank, tuple(lay.dev_matrix))))
    for entry in lay.tensor_map:
        for axis in [entry] if isinstance(entry, int) else entry:
            if axis >= 0:
                number = number * lay.dev_matrix[len(lay.dev_matrix) - 1 - axis] + int(where[axis])
    return number


def contents(run: Run, who: WHO | None = None) -> tuple[Json, dict[str, dict[str, Array]]]:
    """Return metadata.json and what is in each file; with `who` only one rank of those with a slice writes it."""
    described: Json = {}
    stored: dict[str, list[Json]] = {}
    files: dict[str, dict[str, Array]] = {}
    for name, tensor in run.tensors.items():
        lay = run.layouts[name]
        numbers = [number_of(run, name, rank) for rank in range(run.ranks)]
        local = lay.slice_of(0, tensor).shape
        described[name] = {
            "properties": {"dtype": TYPES[str(tensor.dtype)], "replica_id": [0], "allow_to_save": True},
            "global_shape": tensor.shape,
            "axis_fragmentations": [whole // part for whole, part in zip(tensor.shape, local, strict=True)],
            "layout": {
                "device_matrix": lay.dev_matrix,
                "tensor_map": lay.tensor_map,
                "interleaved_parallel": False,
                "alias_name": [f"axis{at}" for at in range(len(lay.dev_matrix))],
                "rank_list": [*range(run.ranks)],
            },
            "chunk": [{"global_offset": [number], "local_shape": local} for number in dict.fromkeys(numbers)],
        }
        for number in dict.fromkeys(numbers):
            group = [rank for rank in range(run.ranks) if numbers[rank] == number]
            holders = group if who is None else [group[who(name, tuple(group)) % len(group)]]
            for rank in holders:
                place = {"file_name": file_name(run, name, rank), "storage_rank": rank, "rank_group": group}
                stored.setdefault(str((name, (number,))), []).append(place)
                files.setdefault(place["file_name"], {})[name] = lay.slice_of(rank, tensor)
    return {"state_dict_metadata": described, "storage_data": stored}, files


def write(
    run: Run, iteration: int = 8, who: WHO | None = None, change: Callable[[Json], object] = lambda _: None
) -> Path:
    """Write a save and the tracker that names it; `change` gets metadata.json before. Returns the save's directory."""
    directory = run.source / "checkpoint" / f"iteration_{iteration:08}"
    directory.mkdir(parents=True)
    metadata, files = contents(run, who)
    change(metadata)
    for name, tensors in files.items():
        write_file(directory / name, tensors)
    (directory / "metadata.json").write_text(json.dumps(metadata))
    numbers = {"epoch_num": 2, "step_num": iteration, "global_step": iteration, "global_batch_size": 4}
    common = {**numbers, "loss_scale": 1.0, "ckpt_status": None}
    (directory / "common.json").write_text(json.dumps(common))
    (run.source / "checkpoint" / "latest_checkpointed_iteration.txt").write_text(str(iteration))
    return directory


def write_file(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write, or overwrite, one of its files."""
    path.unlink(missing_ok=True)
    path.write_bytes(encode(tensors, lacks=False).replace(b', "remove_redundancy": "False"', b" " * 30, 1))
    path.chmod(0o400)
