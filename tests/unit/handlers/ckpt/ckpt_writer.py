"""MindSpore's two file formats, written by hand for tests; shares nothing with what glmd reads them with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Write = Callable[..., Path]
"""Writes bytes to a file, of a given name or not, and returns its path."""

TYPES = {"float16": "Float16", "float32": "Float32", "int32": "Int32", "int64": "Int64", "bool": "Bool"}


def varint(value: int) -> bytes:
    """Encode a number; a negative one as 64-bit two's complement, like protobuf."""
    value &= (1 << 64) - 1
    parts = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([part | 0x80 for part in parts[:-1]] + parts[-1:])


def blob(number: int, content: bytes) -> bytes:
    """Encode a field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def number(field_number: int, value: int) -> bytes:
    """Encode a field that is a number."""
    return varint(field_number << 3) + varint(value)


def record(name: str, dims: Sequence[int], type_name: str, content: bytes) -> bytes:
    """Encode one Checkpoint message with one Value."""
    tensor = b"".join(number(1, dim) for dim in dims) + blob(2, type_name.encode()) + blob(3, content)
    return blob(1, blob(1, name.encode()) + blob(2, tensor))


def tensor_record(name: str, tensor: Array) -> bytes:
    """Encode an array as MindSpore does: shape () becomes dims [0]."""
    return record(name, tensor.shape or (0,), TYPES[str(tensor.dtype)], tensor.tobytes())


def ckpt(tensors: Mapping[str, Array]) -> bytes:
    """Encode a whole checkpoint file."""
    return b"".join(tensor_record(name, tensor) for name, tensor in tensors.items())


@dataclass(frozen=True)
class Lay:
    """A parameter's layout, as a strategy file has it."""

    dev_matrix: Sequence[int]
    tensor_map: Sequence[int]
    shard_step: int = 0
    shard_size: int = 0
    split_shape: Sequence[int] = ()
    field_size: int = 0

    def encode(self, name: str) -> bytes:
        """Encode a ParallelLayoutItem."""
        layouts = (
            blob(1, b"".join(number(1, dim) for dim in self.dev_matrix))
            + blob(2, b"".join(number(1, dim) for dim in self.tensor_map))
            + blob(3, b"".join(number(1, dim) for dim in self.split_shape))
            + blob(4, b"")
            + number(5, self.field_size)
            + number(6, self.shard_step)
            + number(7, self.shard_size)
        )
        return blob(1, name.encode()) + blob(2, layouts)

    def slice_of(self, rank: int, tensor: Array) -> Array:
        """Cut out the slice that `rank` holds, with numpy alone."""
        where = list(reversed(np.unravel_index(rank, tuple(self.dev_matrix))))
        for axis, device_axis in enumerate(self.tensor_map):
            if device_axis >= 0:
                parts = np.split(tensor, self.dev_matrix[len(self.dev_matrix) - 1 - device_axis], axis)
                tensor = parts[int(where[device_axis])]
        return tensor


def strategy(layouts: Mapping[str, Lay], *, stages: Sequence[int] = (0,)) -> bytes:
    """Encode a whole strategy file."""
    items = b"".join(blob(2, blob(1, f"MatMul-{s}".encode()) + blob(2, number(1, s))) for s in stages)
    return number(1, 1) + items + b"".join(blob(3, lay.encode(name)) for name, lay in layouts.items())


@dataclass
class Run:
    """An output tree in the making: `write` slices full tensors over the ranks."""

    source: Path
    ranks: int
    tensors: dict[str, Array] = field(default_factory=dict)
    layouts: dict[str, Lay] = field(default_factory=dict)
    prefix: str = "glm-6b"

    def shard(self, rank: int, tag: str = "31_4") -> Path:
        """Where a rank's shard lies."""
        return self.source / "checkpoint" / f"rank_{rank}" / f"{self.prefix}_rank_{rank}-{tag}.ckpt"

    @property
    def strategy(self) -> Path:
        """Where rank 0's strategy file lies."""
        return self.source / "strategy" / "ckpt_strategy_rank_0.ckpt"

    def slices(self, rank: int) -> dict[str, Array]:
        """Return what a rank's shard holds."""
        return {
            name: self.layouts[name].slice_of(rank, tensor) if name in self.layouts else tensor
            for name, tensor in self.tensors.items()
        }

    def write(self, tag: str = "31_4") -> "Run":
        """Write all ranks' shards of `tag`, closed as MindSpore leaves them, and the strategy file."""
        for rank in range(self.ranks):
            self.write_shard(rank, ckpt(self.slices(rank)), tag)
        if self.layouts:
            self.strategy.parent.mkdir(parents=True, exist_ok=True)
            self.strategy.write_bytes(strategy(self.layouts))
        return self

    def write_shard(self, rank: int, content: bytes, tag: str = "31_4") -> Path:
        """Write, or overwrite, one shard."""
        path = self.shard(rank, tag)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(0o400)
        return path

    def merged(self) -> bytes:
        """Return what the merge must give: laid parameters first, then the others, without optimizer state."""
        kept = [name for name in self.tensors if "adam" not in name and not name.startswith("accu_grads.")]
        ordered = [name for name in kept if name in self.layouts] + [name for name in kept if name not in self.layouts]
        return ckpt({name: self.tensors[name] for name in ordered})


def small_run(source: Path, dev_matrix: Sequence[int] = (4,)) -> Run:
    """Return a run with one parameter of each kind GLM has: rows, columns, biases, norms, moments, scalars."""
    generator = np.random.default_rng(7)

    def random(*dims: int, kind: str = "float16") -> Array:
        return generator.standard_normal(dims).astype(kind)

    run = Run(source, int(np.prod(dev_matrix)))
    run.tensors = {
        "word_embeddings.embedding_table": random(16, 6, kind="float32"),
        "layers.0.query_key_value.weight": random(24, 8),
        "layers.0.dense_4h_to_h.weight": random(8, 32),
        "layers.0.query_key_value.bias": random(24),
        "layers.0.layernorm.gamma": random(8, kind="float32"),
        "adam_m.layers.0.query_key_value.weight": random(24, 8, kind="float32"),
        "adam_v.layers.0.query_key_value.weight": random(24, 8, kind="float32"),
        "scale_sense": np.array(1024, "float32"),
        "global_step": np.array([124], "int32"),
        "epoch_num": np.array(31, "int64"),
    }
    maps = [(0, -1), (0, -1), (-1, 0), (0,), (-1,), (0, -1), (0, -1)]
    run.layouts = {name: Lay(dev_matrix, each) for name, each in zip(run.tensors, maps, strict=False)}
    return run
