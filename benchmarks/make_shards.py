"""GLM-shaped shards of any size, as a run of MindFormers' GLM leaves them, written directly and in bounded memory.

    python benchmarks/make_shards.py DIRECTORY [--hidden 4096 --layers 28 --vocabulary 130528 --mp 8 --dp 1 --pp 1]
        [--optimizer-shards] [--tied] [--sparse] [--writer mindspore --training-python PYTHON]

Weights are Float16 (embedding and norms Float32, as in real runs), Adam's moments Float32, scalars the seven of GLM-6B;
the layout is that of real strategy files, and a strategy file a pipeline stage is written too. `--sparse` leaves the
moments as holes: nothing reads them, so that a full GLM-6B of 63 GB takes 13 GB of disk. `--writer mindspore` has the
real `mindspore.save_checkpoint` write the same shards, which takes a shard's size of memory, and its time.
"""

import argparse
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from handlers.ckpt.formats.record import frame
from handlers.ckpt.formats.wire import varint

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

    def slice_dims(self, mp: int, shards: int = 1) -> tuple[int, ...]:
        """Return the shape of a slice; `shards` ranks divide it further where the optimizer is sharded."""
        dims = [size // mp if axis == self.cut else size for axis, size in enumerate(self.dims)]
        if self.sharded:
            dims[0] //= shards
        return tuple(dims)

    @property
    def sharded(self) -> bool:
        """Whether a sharded optimizer (threshold 0) divides it: every matrix but the embedding."""
        return len(self.dims) > 1 and "word_embeddings" not in self.name

    def stages(self, layers: int, pp: int, *, tied: bool) -> range:
        """Return the pipeline stages that have it; a tied embedding is in the first and in the last."""
        name = self.name.removeprefix("adam_m.").removeprefix("adam_v.")
        if name.startswith("transformer.layers."):
            stage = int(name.split(".")[2]) * pp // layers
        elif "word_embeddings" in name:
            return range(0, pp, max(1, pp - 1)) if tied else range(1)
        else:
            stage = pp - 1
        return range(stage, stage + 1)


def network(hidden: int, layers: int, vocabulary: int, *, tied: bool = False) -> Iterator[Parameter]:
    """Yield GLM's weights, in the order of its checkpoints; if `tied`, the embedding serves as head too."""
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
    if not tied:
        yield Parameter("lm_head.weight", (vocabulary, hidden), "Float16", 0)


def write_shard(
    path: Path,
    parameters: list[Parameter],
    mp: int,
    slice_number: int,
    *,
    sparse: bool,
    shards: int = 1,
    shard_number: int = 0,
) -> None:
    """Write one rank's shard; replicas, having one slice number, get the same bytes but for what is sharded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("wb") as stream:
        for parameter in parameters:
            dims = parameter.slice_dims(mp, shards)
            left = ITEM_SIZES[parameter.type]
            for size in dims:
                left *= size
            part = slice_number if parameter.cut is not None else 0
            if parameter.sharded:
                part = part * shards + shard_number
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


def strategy(parameters: list[Parameter], mp: int, dp: int, *, stage: int = 0, optimizer_shards: bool = False) -> bytes:
    """Encode a pipeline stage's strategy file."""

    def blob(number: int, content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    def numbers(values: list[int]) -> bytes:
        return b"".join(b"\x08" + varint(value & (1 << 64) - 1) for value in values)

    content = b"\x08\x01" + blob(2, blob(1, b"MatMul-op0") + blob(2, b"\x08" + varint(stage)))
    for parameter in parameters:
        tensor_map = [0 if axis == parameter.cut else -1 for axis in range(len(parameter.dims))]
        layouts = blob(1, numbers([dp, mp] if dp > 1 else [mp])) + blob(2, numbers(tensor_map))
        layouts += blob(3, b"") + blob(4, b"") + b"\x28\x00"
        sharded = optimizer_shards and parameter.sharded
        # opt_weight_shard_step and _size: all replicas, which are mp (or, of what is not cut, one) ranks apart.
        step = (mp if parameter.cut is not None else 1) if sharded else 0
        layouts += b"\x30" + varint(step) + b"\x38" + varint((1 << 64) - 1 if sharded else 0)
        content += blob(3, blob(1, parameter.name.encode()) + blob(2, layouts))
    return content


def make(  # noqa: PLR0913 - the options of the command line
    directory: Path,
    *,
    hidden: int,
    layers: int,
    vocabulary: int,
    mp: int,
    dp: int = 1,
    pp: int = 1,
    optimizer_shards: bool = False,
    tied: bool = False,
    sparse: bool = False,
) -> list[Path]:
    """Write all shards of tag 31_4, and a strategy file a stage; return the shards."""
    weights = list(network(hidden, layers, vocabulary, tied=tied))
    moments = [
        Parameter(f"adam_{which}.{each.name}", each.dims, "Float32", each.cut) for which in "mv" for each in weights
    ]
    sharded = optimizer_shards and dp > 1
    (directory / "strategy").mkdir(parents=True, exist_ok=True)
    shards = []
    for stage in range(pp):
        parameters = [each for each in weights + moments if stage in each.stages(layers, pp, tied=tied)]
        first = stage * mp * dp
        for place in range(mp * dp):
            rank, (replica, slice_number) = first + place, divmod(place, mp)
            path = directory / "checkpoint" / f"rank_{rank}" / f"glm-6b_rank_{rank}-31_4.ckpt"
            parts = {"shards": dp, "shard_number": replica} if sharded else {}
            write_shard(path, parameters, mp, slice_number, sparse=sparse, **parts)
            shards.append(path)
        content = strategy(parameters, mp, dp, stage=stage, optimizer_shards=sharded)
        (directory / "strategy" / f"ckpt_strategy_rank_{first}.ckpt").write_bytes(content)
    return shards


REWRITE = """
import os, sys
import mindspore as ms
for path in sys.argv[1:]:
    loaded = ms.load_checkpoint(path)
    ms.save_checkpoint([{"name": name, "data": value} for name, value in loaded.items()], path + ".new.ckpt")
    os.replace(path + ".new.ckpt", path)
"""


def rewrite(shards: list[Path], training_python: Path) -> None:
    """Have MindSpore load and save each shard."""
    subprocess.run([training_python, "-c", REWRITE, *shards], check=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    add_sizes(parser)
    parser.add_argument("--writer", choices=("glmd", "mindspore"), default="glmd")
    add_training_python(parser)
    given = vars(parser.parse_args())
    writer, training_python = given.pop("writer"), given.pop("training_python")
    shards = make(**given)
    if writer == "mindspore":
        if training_python is None:
            sys.exit("--writer mindspore needs --training-python, or GLMD_TRAINING_PYTHON")
        rewrite(shards, training_python)


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how large the network is; the defaults give 2.7 GB of shards, 0.6 GB of weights."""
    parser.add_argument("--hidden", type=int, default=1280)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=12800)
    parser.add_argument("--mp", type=int, default=8, help="model parallel")
    parser.add_argument("--dp", type=int, default=1, help="data parallel: replicas of each slice")
    parser.add_argument("--pp", type=int, default=1, help="pipeline stages")
    parser.add_argument("--optimizer-shards", action="store_true", help="the replicas each hold a part of a slice")
    parser.add_argument("--tied", action="store_true", help="no head: the embedding, in the last stage too")
    parser.add_argument("--sparse", action="store_true", help="leave Adam's moments as holes")


def add_training_python(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where MindSpore is."""
    default = os.environ.get("GLMD_TRAINING_PYTHON")
    parser.add_argument(
        "--training-python", type=Path, default=Path(default) if default else None, help="one that has MindSpore"
    )


if __name__ == "__main__":
    main()
