"""GLM-4-shaped safetensors of any size, as today's MindFormers saves them, written directly and in bounded memory.

    python benchmarks/make_safetensors.py DIRECTORY [--hidden 1280 --layers 12 --vocabulary 12800 --mp 8 --dp 1]
        [--form shards|no-replicas|iteration] [--sparse]

Weights are BFloat16, Adam's moments Float32. `shards` are one file a rank with a strategy file; of `no-replicas`
(remove_redundancy: True) each slice is in one rank's file; `iteration` is the new format: a file of weights and one of
moments a rank, and metadata.json. `--sparse` leaves the moments as holes. The defaults give 2.7 GB.
"""

import argparse
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from make_shards import HALF, Parameter, add_sizes, strategy, write_noise

from handlers.ckpt.entry import ITEM_SIZES

CODES = {"BFloat16": "BF16", "Float32": "F32", "Int64": "I64"}
ITERATION = 124


class Form(StrEnum):
    """How a save looks."""

    SHARDS = "shards"
    NO_REPLICAS = "no-replicas"
    ITERATION = "iteration"


@dataclass(frozen=True)
class Grid:
    """How the ranks share the work."""

    mp: int
    dp: int = 1

    @property
    def ranks(self) -> int:
        """How many there are."""
        return self.mp * self.dp

    def number(self, parameter: Parameter, rank: int) -> int:
        """Return which slice of a parameter a rank holds."""
        return rank % self.mp if parameter.cut is not None else 0

    def holders(self, parameter: Parameter, rank: int) -> Sequence[int]:
        """Return the ranks that hold the same slice as `rank`."""
        return range(rank % self.mp, self.ranks, self.mp) if parameter.cut is not None else range(self.ranks)


def network(hidden: int, layers: int, vocabulary: int) -> Iterator[Parameter]:
    """Yield GLM-4's weights: two groups of queries, an MLP of 3.34 times the width with a gate."""
    kind, inner = "BFloat16", math.ceil(hidden * 13696 / 4096 / 64) * 64
    yield Parameter("transformer.embedding.embedding_weight", (vocabulary, hidden), kind, 0)
    for layer in range(layers):
        at = f"transformer.encoder.layers.{layer}"
        yield Parameter(f"{at}.input_layernorm.weight", (hidden,), kind, None)
        yield Parameter(f"{at}.self_attention.query_key_value.weight", (hidden + 512, hidden), kind, 0)
        yield Parameter(f"{at}.self_attention.query_key_value.bias", (hidden + 512,), kind, 0)
        yield Parameter(f"{at}.self_attention.dense.weight", (hidden, hidden), kind, 1)
        yield Parameter(f"{at}.post_attention_layernorm.weight", (hidden,), kind, None)
        yield Parameter(f"{at}.mlp.dense_h_to_4h.weight", (2 * inner, hidden), kind, 0)
        yield Parameter(f"{at}.mlp.dense_4h_to_h.weight", (hidden, inner), kind, 1)
    yield Parameter("transformer.encoder.final_layernorm.weight", (hidden,), kind, None)
    yield Parameter("transformer.output_layer.weight", (vocabulary, hidden), kind, 0)


def make(
    directory: Path,
    *,
    hidden: int,
    layers: int,
    vocabulary: int,
    mp: int,
    dp: int = 1,
    form: Form = Form.SHARDS,
    sparse: bool = False,
) -> list[Path]:
    """Write a save; return its files of tensors."""
    grid = Grid(mp, dp)
    weights = list(network(hidden, layers, vocabulary))
    moments = [
        Parameter(f"adam_{which}.{each.name}", each.dims, "Float32", each.cut) for which in "mv" for each in weights
    ]
    if form is Form.ITERATION:
        return _iteration(directory / "checkpoint" / f"iteration_{ITERATION:08}", weights, moments, grid, sparse=sparse)
    (directory / "strategy").mkdir(parents=True, exist_ok=True)
    (directory / "strategy" / "ckpt_strategy_rank_0.ckpt").write_bytes(strategy(weights + moments, mp, dp))
    paths = []
    for rank in range(grid.ranks):
        held = weights + moments
        if form is Form.NO_REPLICAS:
            held = [each for index, each in enumerate(held) if _saves(grid, each, rank, index)]
        epoch = Parameter("epoch_num", (), "Int64", None)
        path = directory / "checkpoint" / f"rank_{rank}" / f"glm4_rank_{rank}-31_4.safetensors"
        lacks = {"remove_redundancy": str(form is Form.NO_REPLICAS)}
        paths.append(_write(path, [*held, epoch], grid, rank, lacks, sparse=sparse))
    return paths


def _saves(grid: Grid, parameter: Parameter, rank: int, index: int) -> bool:
    """Say whether a rank is the one of those with its slice that saves it: in turn, as MindSpore deals them out."""
    holders = grid.holders(parameter, rank)
    return holders[index % len(holders)] == rank


def _iteration(
    directory: Path, weights: list[Parameter], moments: list[Parameter], grid: Grid, *, sparse: bool
) -> list[Path]:
    described, stored, paths = {}, {}, []
    for kind, parameters in (("model", weights), ("opt", moments)):
        for rank in range(grid.ranks):
            path = directory / f"glm4-{kind}-{rank:07}-{grid.ranks:07}.safetensors"
            paths.append(_write(path, parameters, grid, rank, {}, sparse=sparse))
        for each in parameters:
            described[each.name] = _described(each, grid)
            for rank in range(grid.ranks):
                place = {
                    "file_name": f"glm4-{kind}-{rank:07}-{grid.ranks:07}.safetensors",
                    "storage_rank": rank,
                    "rank_group": [*grid.holders(each, rank)],
                }
                stored.setdefault(str((each.name, (grid.number(each, rank),))), []).append(place)
    (directory / "metadata.json").write_text(json.dumps({"state_dict_metadata": described, "storage_data": stored}))
    common = {"epoch_num": 31, "step_num": 4, "global_step": ITERATION, "loss_scale": 1.0, "ckpt_status": None}
    (directory / "common.json").write_text(json.dumps(common))
    (directory.parent / "latest_checkpointed_iteration.txt").write_text(str(ITERATION))
    return paths


def _described(parameter: Parameter, grid: Grid) -> Mapping[str, object]:
    local = parameter.slice_dims(grid.mp)
    numbers = range(grid.mp if parameter.cut is not None else 1)
    return {
        "properties": {"dtype": parameter.type, "replica_id": [0], "allow_to_save": True},
        "global_shape": parameter.dims,
        "axis_fragmentations": [whole // part for whole, part in zip(parameter.dims, local, strict=True)],
        "layout": {
            "device_matrix": [grid.dp, grid.mp],
            "tensor_map": [0 if axis == parameter.cut else -1 for axis in range(len(parameter.dims))],
            "interleaved_parallel": False,
            "alias_name": ["dp", "mp"],
            "rank_list": [*range(grid.ranks)],
        },
        "chunk": [{"global_offset": [number], "local_shape": local} for number in numbers],
    }


def _write(
    path: Path, parameters: Sequence[Parameter], grid: Grid, rank: int, metadata: Mapping[str, str], *, sparse: bool
) -> Path:
    """Write a rank's file as the library orders it: by size of an element, then by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    header: dict[str, object] = {"__metadata__": {"format": "ms", **metadata}}
    ordered = sorted(parameters, key=lambda each: (-ITEM_SIZES[each.type], each.name))
    lengths, at = [], 0
    for each in ordered:
        dims = each.slice_dims(grid.mp) if each.dims else ()
        lengths.append(math.prod(dims) * ITEM_SIZES[each.type])
        header[each.name] = {"dtype": CODES[each.type], "shape": dims, "data_offsets": [at, at := at + lengths[-1]]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for each, length in zip(ordered, lengths, strict=True):
            if sparse and each.name.startswith("adam_"):
                stream.seek(length, os.SEEK_CUR)
            else:
                start = zlib.crc32(f"{each.name} {grid.number(each, rank)}".encode()) % HALF & ~7
                write_noise(stream, start, length)
        stream.truncate()
    path.chmod(0o400)
    return path


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--form", type=Form, choices=Form, default=Form.SHARDS)
    add_sizes(parser)
    given = vars(parser.parse_args())
    for of_others in ("pp", "optimizer_shards", "tied"):
        del given[of_others]
    make(**given)


if __name__ == "__main__":
    main()
