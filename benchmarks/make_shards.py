"""GLM-shaped shards of any size, as a run of MindFormers' GLM leaves them, written directly and in bounded memory.

    python benchmarks/make_shards.py DIRECTORY [--hidden 4096 --layers 28 --vocabulary 130528 --mp 8 --dp 1]

Weights are Float16 (embedding and norms Float32, as in real runs), Adam's moments Float32, scalars the seven of GLM-6B;
the layout is that of real strategy files, and the strategy file is written too. `--sparse` leaves the moments as holes:
nothing reads them, so that a full GLM-6B of 63 GB takes 13 GB of disk.
"""

import argparse
import os
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from handlers.ckpt.record import frame
from handlers.ckpt.wire import varint

CHUNK = 512 << 20
ITEM_SIZES = {"Float16": 2, "Float32": 4}
SCALARS = {
    "scale_sense": ((0,), "Float32", struct.pack("<f", 1024.0)),
    "global_step": ((1,), "Int32", struct.pack("<i", 124)),
    "current_iterator_step": ((0,), "Int32", struct.pack("<i", 124)),
    "last_overflow_iterator_step": ((0,), "Int32", struct.pack("<i", 0)),
    "epoch_num": ((0,), "Int64", struct.pack("<q", 31)),
    "step_num": ((0,), "Int64", struct.pack("<q", 124)),
    "loss_scale": ((0,), "Float32", struct.pack("<f", 1024.0)),
}
# Sixteen-bit numbers below 0x3c00: finite and small as Float16, and in pairs as Float32.
NOISE = memoryview(struct.pack("<524288H", *random.Random(7).choices(range(0x3C00), k=524288)) * 2)  # noqa: S311 - content
HALF = len(NOISE) // 2


@dataclass(frozen=True)
class Parameter:
    """One parameter of the network: its whole shape, and which dimension is cut, or none."""

    name: str
    dims: tuple[int, ...]
    type: str
    cut: int | None

    def slice_dims(self, mp: int) -> tuple[int, ...]:
        """Return the shape of a slice."""
        return tuple(size // mp if axis == self.cut else size for axis, size in enumerate(self.dims))


def network(hidden: int, layers: int, vocabulary: int) -> Iterator[Parameter]:
    """Yield GLM's weights, in the order of its checkpoints."""
    yield Parameter("transformer.word_embeddings.embedding_table", (vocabulary, hidden), "Float32", 0)
    for layer in range(layers):
        at = f"transformer.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield Parameter(f"{at}.{norm}.gamma", (hidden,), "Float32", None)
            yield Parameter(f"{at}.{norm}.beta", (hidden,), "Float32", None)
        yield Parameter(f"{at}.attention.query_key_value.weight", (3 * hidden, hidden), "Float16", 0)
        yield Parameter(f"{at}.attention.query_key_value.bias", (3 * hidden,), "Float16", 0)
        yield Parameter(f"{at}.attention.dense.weight", (hidden, hidden), "Float16", 0)
        yield Parameter(f"{at}.attention.dense.bias", (hidden,), "Float16", None)
        yield Parameter(f"{at}.mlp.dense_h_to_4h.weight", (4 * hidden, hidden), "Float16", 0)
        yield Parameter(f"{at}.mlp.dense_h_to_4h.bias", (4 * hidden,), "Float16", 0)
        yield Parameter(f"{at}.mlp.dense_4h_to_h.weight", (hidden, 4 * hidden), "Float16", 1)
        yield Parameter(f"{at}.mlp.dense_4h_to_h.bias", (hidden,), "Float16", None)
    yield Parameter("transformer.final_layernorm.gamma", (hidden,), "Float32", None)
    yield Parameter("transformer.final_layernorm.beta", (hidden,), "Float32", None)
    yield Parameter("lm_head.weight", (vocabulary, hidden), "Float16", 0)


def write_shard(path: Path, parameters: list[Parameter], mp: int, slice_number: int, *, sparse: bool) -> None:
    """Write one rank's shard; replicas, having one slice number, get the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("wb") as stream:
        for parameter in parameters:
            dims = parameter.slice_dims(mp)
            left = ITEM_SIZES[parameter.type]
            for size in dims:
                left *= size
            part = slice_number if parameter.cut is not None else 0
            start = zlib.crc32(f"{parameter.name} {part}".encode()) % HALF & ~3
            while left:
                length = min(left, CHUNK)
                stream.write(frame(parameter.name, dims, parameter.type, length))
                if sparse and "adam" in parameter.name:
                    stream.seek(length, os.SEEK_CUR)
                else:
                    write_noise(stream, start, length)
                left -= length
        for name, (dims, kind, content) in SCALARS.items():
            stream.write(frame(name, dims, kind, len(content)) + content)
    path.chmod(0o400)


def write_noise(stream: BinaryIO, start: int, length: int) -> None:
    """Write `length` bytes of noise, a mebibyte from `start` on again and again."""
    stream.writelines(NOISE[start : start + min(HALF, length - done)] for done in range(0, length, HALF))


def strategy(parameters: list[Parameter], mp: int, dp: int) -> bytes:
    """Encode the strategy file."""

    def blob(number: int, content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    def numbers(values: list[int]) -> bytes:
        return b"".join(b"\x08" + varint(value & (1 << 64) - 1) for value in values)

    content = b"\x08\x01" + blob(2, blob(1, b"MatMul-op0") + blob(2, b"\x08\x00"))
    for parameter in parameters:
        tensor_map = [0 if axis == parameter.cut else -1 for axis in range(len(parameter.dims))]
        layouts = blob(1, numbers([dp, mp] if dp > 1 else [mp])) + blob(2, numbers(tensor_map))
        layouts += blob(3, b"") + blob(4, b"") + b"\x28\x00\x30\x00\x38\x00"
        content += blob(3, blob(1, parameter.name.encode()) + blob(2, layouts))
    return content


def make(
    directory: Path, *, hidden: int, layers: int, vocabulary: int, mp: int, dp: int = 1, sparse: bool = False
) -> None:
    """Write all shards of tag 31_4, and the strategy file."""
    weights = list(network(hidden, layers, vocabulary))
    moments = [
        Parameter(f"adam_{which}.{each.name}", each.dims, "Float32", each.cut) for which in "mv" for each in weights
    ]
    for rank in range(mp * dp):
        path = directory / "checkpoint" / f"rank_{rank}" / f"glm-6b_rank_{rank}-31_4.ckpt"
        write_shard(path, weights + moments, mp, rank % mp, sparse=sparse)
    (directory / "strategy").mkdir(exist_ok=True)
    (directory / "strategy" / "ckpt_strategy_rank_0.ckpt").write_bytes(strategy(weights + moments, mp, dp))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    add_sizes(parser)
    given = parser.parse_args()
    make(**vars(given))


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how large the network is; the defaults give 2.7 GB of shards, 0.6 GB of weights."""
    parser.add_argument("--hidden", type=int, default=1280)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=12800)
    parser.add_argument("--mp", type=int, default=8, help="model parallel")
    parser.add_argument("--dp", type=int, default=1, help="data parallel: replicas of each slice")
    parser.add_argument("--sparse", action="store_true", help="leave Adam's moments as holes")


if __name__ == "__main__":
    main()
