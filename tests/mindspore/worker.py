"""Runs inside a MindSpore environment (2.0.0 on Python 3.9 or 2.9 on 3.11), and serves many cases from one process.

    python worker.py < requests > answers

A request is a line of JSON, {"do": NAME, …arguments}, as is its answer, {"ok": …} or {"error": "TypeError: …"}; the
names are those in DUTIES. numpy alone does the slicing, so that nothing of glmd's takes part.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # MindSpore prints its warnings to standard output

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
from mindspore.train import node_strategy_pb2  # noqa: E402

if not ms.__version__.startswith("2.0"):
    import worker_today as today

Case = dict[str, Any]
Parameter = dict[str, Any]
Layout = dict[str, Any]
"""As in cases.py, by way of JSON."""
BFLOAT16 = "BFloat16"
"""numpy has no such type: its bits travel as UInt16."""


def numpy_type(type_name: str) -> np.dtype:
    """Return the numpy type in which a MindSpore type's values travel."""
    return np.dtype({"Bool": "bool_", BFLOAT16: "uint16"}.get(type_name, type_name.lower()))


def tensor_of(array: np.ndarray, type_name: str) -> ms.Tensor:
    """Return a MindSpore tensor."""
    if type_name == BFLOAT16:
        bits = np.left_shift(array, 16, dtype=np.uint32)
        return ms.Tensor(bits.view(np.float32), dtype=ms.bfloat16)
    return ms.Tensor(array)


def shard_position(rank: int, layout: Layout) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return where the rank's slice lies: per dimension (which slice, of how many), and the same of optimizer shards.

    Ranks that hold the same slice share it: in their order, every `size` of them hold its parts along dimension 0.
    """
    dev_matrix, tensor_map, size = layout["dev_matrix"], layout["tensor_map"], layout["size"]

    def slices(of_rank: int) -> list[tuple[int, int]]:
        where = np.unravel_index(of_rank, dev_matrix)[::-1]
        return [
            (
                int(np.ravel_multi_index([where[axis] for axis in axes], [dev_matrix[-1 - axis] for axis in axes])),
                int(np.prod([dev_matrix[-1 - axis] for axis in axes])),
            )
            if axes
            else (0, 1)
            for axes in ([axis for axis in one if axis != -1] for one in tensor_map)
        ]

    own = slices(rank)
    if not size:
        return own, (0, 1)
    sharing = [each for each in range(np.prod(dev_matrix)) if slices(each) == own]
    parts = len(sharing) if size == -1 else size
    return own, (sharing.index(rank) % parts, parts)


def slice_of(tensor: np.ndarray, rank: int, layout: Layout) -> np.ndarray:
    """Return the slice that a rank of a stage holds."""
    own, shard = shard_position(rank, layout)
    for axis, (index, parts) in enumerate(own):
        tensor = np.split(tensor, parts, axis)[index]
    if shard[1] > 1:
        tensor = np.split(tensor, shard[1], 0)[shard[0]]
    return np.ascontiguousarray(tensor)


def protobuf_strategy(stage: int, parameters: list[Parameter]) -> bytes:
    """Return the content of a strategy file, by MindSpore's own classes."""
    strategy = node_strategy_pb2.ParallelStrategyMap(current_stage=1)
    item = strategy.parallel_strategy_item.add(node_name="MatMul")
    item.parallel_strategys.stage = stage
    for parameter in parameters:
        layout = parameter["layout"]
        line = strategy.parallel_layout_item.add(param_name=parameter["name"]).parallel_layouts
        line.field, line.opt_weight_shard_step, line.opt_weight_shard_size = 0, layout["step"], layout["size"]
        line.dev_matrix.add().dim.extend(layout["dev_matrix"])
        if all(len(axes) == 1 for axes in layout["tensor_map"]):
            line.tensor_map.add().dim.extend([axes[0] for axes in layout["tensor_map"]])
        else:
            for axes in layout["tensor_map"]:
                line.tensor_map.add().dim.extend(axes)
            if len(layout["tensor_map"]) == 1:
                line.tensor_map.add()
        line.param_split_shape.add()
        line.indices_offset.add()
    return strategy.SerializeToString()


def json_strategy(stage: int, parameters: list[Parameter]) -> bytes:
    """Return the same as JSON; one device axis a dimension is all that MindSpore reads there."""
    layouts = {
        parameter["name"]: {
            "dev_matrix": parameter["layout"]["dev_matrix"],
            "tensor_map": [axis for (axis,) in parameter["layout"]["tensor_map"]],
            "tensor_shape": parameter["dims"],
            "field": 0,
            "opt_weight_shard_step": parameter["layout"]["step"],
            "opt_weight_shard_size": parameter["layout"]["size"],
        }
        for parameter in parameters
    }
    items = {f"MatMul_{stage}": {"stage": stage, "parallel_strategy": [[1, 1]]}}
    return json.dumps({"current_stage": 1, "parallel_strategy_item": items, "parallel_layout_item": layouts}).encode()


def write_strategies(directory: Path, case: Case) -> str:
    """Write strategy files as a run leaves them; return the one that MindSpore's merge is to be given."""
    form, ranks = case["strategy"], case["ranks"]
    suffix, content_of = (".json", json_strategy) if form == "json" else (".ckpt", protobuf_strategy)
    (directory / "strategy").mkdir()
    for stage in range(case["stages"]):
        laid = [each for each in case["parameters"] if each["layout"] and stage in each["stages"]]
        content = content_of(stage, laid)
        for rank in range(stage * ranks, (stage + 1) * ranks):
            (directory / "strategy" / f"ckpt_strategy_rank_{rank}{suffix}").write_bytes(content)
    if case["stages"] == 1:
        return str(directory / "strategy" / ("ckpt_strategy_rank_0" + suffix))
    joined = str(directory / ("joined" + suffix))
    ms.merge_pipeline_strategys(str(directory / "strategy"), joined)
    return joined


def save_shards(directory: Path, case: Case, whole: dict[str, np.ndarray]) -> dict[int, str]:
    """Save each rank's slices as a training would; return the files by global rank."""
    files = {}
    left_out = today.left_out(case) if case["remove_redundancy"] else {}
    for rank in range(case["stages"] * case["ranks"]):
        stage, rank_of_stage = divmod(rank, case["ranks"])
        shard = []
        for parameter in case["parameters"]:
            if stage in parameter["stages"] and parameter["name"] not in left_out.get(rank, ()):
                array = whole[parameter["name"]]
                if parameter["layout"]:
                    array = slice_of(array, rank_of_stage, parameter["layout"])
                shard.append({"name": parameter["name"], "data": tensor_of(array, parameter["type"])})
        name = f"{case['prefix']}_rank_{rank}-{case['tag']}.{case['format']}"
        path = directory / "checkpoint" / f"rank_{rank}" / name
        path.parent.mkdir(parents=True)
        options = {"append_dict": dict(case["append"])} if case["append"] else {}
        if case["crc_check"]:
            options["crc_check"] = True
        if case["remove_redundancy"]:
            options["remove_redundancy"] = True
        if case["format"] != "ckpt":
            options["format"] = case["format"]
        ms.save_checkpoint(shard, str(path), **options)
        files[rank] = str(path)
    return files


def merge(directory: str) -> str | None:
    """Make a case's shards and strategy files, then the reference: the merge and filter as people do them by hand.

    Leaves checkpoint/, strategy/ and, unless MindSpore's own merge fails, reference.ckpt and transformed.ckpt.
    Returns its failure, or None.
    """
    directory = Path(directory)
    case = json.loads((directory / "case.json").read_text())
    with np.load(str(directory / "whole.npz")) as arrays:
        files = save_shards(directory, case, {name: arrays[name] for name in arrays.files})
    strategy = write_strategies(directory, case) if any(each["layout"] for each in case["parameters"]) else None
    if case["format"] != "ckpt":
        return None
    try:
        reference(directory, files, strategy)
    except Exception as error:  # noqa: BLE001 - whatever MindSpore raises is what a user sees
        return f"{type(error).__name__}: {error}"
    return None


def reference(directory: Path, files: dict[int, str], strategy: str | None) -> None:
    """Merge, load again, filter and save, as merge_ckpt.py does."""
    merged = files[0]
    if strategy:
        merged = str(directory / "transformed.ckpt")
        needed = ms.rank_list_for_transform(0, strategy, None)
        ms.transform_checkpoint_by_rank(0, {rank: files[rank] for rank in needed}, merged, strategy, None)
    loaded = ms.load_checkpoint(merged)
    kept = [
        {"name": name, "data": value}
        for name, value in loaded.items()
        if "adam" not in name and not name.startswith("accu_grads.")
    ]
    ms.save_checkpoint(kept, str(directory / "reference.ckpt"))


def load(path: str, to: str) -> list[tuple[str, list[int], str]]:
    """Load a checkpoint by MindSpore, and put its contents into the .npz file `to`, by index, as bytes.

    Returns [name, dims, type] of each parameter in order.
    """
    options = {"format": "safetensors"} if path.endswith(".safetensors") else {}
    entries, contents = [], {}
    for index, (name, value) in enumerate(ms.load_checkpoint(path, **options).items()):
        if isinstance(value, str):
            entries.append((name, [], "str"))
            contents[str(index)] = np.frombuffer(value.encode("utf-32-le"), np.uint8)
            continue
        entries.append((name, list(value.shape), str(value.dtype)))
        content = value.get_bytes() if str(value.dtype) == BFLOAT16 else value.asnumpy().tobytes()
        contents[str(index)] = np.frombuffer(content, np.uint8)
    np.savez(to, **contents)
    return entries


def save_again(path: str, to: str, options: dict[str, Any]) -> None:
    """Load a checkpoint and save it as `to`."""
    kept = [{"name": name, "data": value} for name, value in ms.load_checkpoint(path).items()]
    ms.save_checkpoint(kept, to, **options)


def encrypt(path: str) -> None:
    """Replace a checkpoint by an encrypted one."""
    kept = [{"name": name, "data": value} for name, value in ms.load_checkpoint(path).items()]
    ms.save_checkpoint(kept, path, enc_key=b"0123456789abcdef")


def add_adapters(path: str, to: str, scaling: float) -> None:
    """Load a checkpoint, add its LoRA adapters to their weights, and save it without them."""
    loaded = ms.load_checkpoint(path)
    for name in [name for name in loaded if name.endswith("delta_lora_a")]:
        a, b = loaded.pop(name), loaded.pop(name[:-1] + "b")
        layer = name[: name.rindex(".")]
        weight = loaded[layer + ".weight"]
        total = weight.astype(ms.float32) + ms.ops.matmul(b, a) * scaling
        loaded[layer + ".weight"] = ms.Parameter(total.astype(weight.dtype), layer + ".weight")
    ms.save_checkpoint([{"name": name, "data": value} for name, value in loaded.items()], to)


def version() -> str:
    """Say what runs here."""
    return ms.__version__


DUTIES = {each.__name__: each for each in (merge, load, save_again, encrypt, add_adapters, version)}
if not ms.__version__.startswith("2.0"):
    DUTIES |= today.DUTIES

if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": DUTIES[request.pop("do")](**request)}
        except Exception as error:  # noqa: BLE001 - the test is told
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
