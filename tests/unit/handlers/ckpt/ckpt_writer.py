"""MindSpore's two file formats, written by hand for tests; shares nothing with what glmd reads them with."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.generic]
Write = Callable[..., Path]
"""Writes bytes to a file, of a given name or not, and returns its path."""

TYPES = {"float16": "Float16", "float32": "Float32", "int32": "Int32", "int64": "Int64", "bool": "Bool"}
TYPES["uint16"] = "BFloat16"  # which numpy has not


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
    tensor_map: Sequence[int | Sequence[int]]
    shard_step: int = 0
    shard_size: int = 0
    split_shape: Sequence[int] = ()
    field_size: int = 0

    def encode(self, name: str) -> bytes:
        """Encode a ParallelLayoutItem."""
        layouts = (
            blob(1, b"".join(number(1, dim) for dim in self.dev_matrix))
            + self._tensor_maps()
            + blob(3, b"".join(number(1, dim) for dim in self.split_shape))
            + blob(4, b"")
            + number(5, self.field_size)
            + number(6, self.shard_step)
            + number(7, self.shard_size)
        )
        return blob(1, name.encode()) + blob(2, layouts)

    def _tensor_maps(self) -> bytes:
        """Encode the TensorMaps: one, or, where a dimension is cut over several axes, one a dimension."""
        if not any(isinstance(entry, Sequence) for entry in self.tensor_map):
            return blob(2, b"".join(number(1, dim) for dim in self.tensor_map if isinstance(dim, int)))
        maps = [[entry] if isinstance(entry, int) else list(entry) for entry in self.tensor_map]
        return b"".join(blob(2, b"".join(number(1, dim) for dim in each)) for each in maps + [[]] * (len(maps) == 1))

    def as_json(self) -> dict[str, object]:
        """Return an item of parallel_layout_item in the JSON form."""
        item: dict[str, object] = {
            "dev_matrix": list(self.dev_matrix),
            "tensor_map": [entry if isinstance(entry, int) else list(entry) for entry in self.tensor_map],
            "field": self.field_size,
            "opt_weight_shard_step": self.shard_step,
            "opt_weight_shard_size": self.shard_size,
        }
        if self.split_shape:
            item |= {"param_split_shape": list(self.split_shape), "indices_offset": list(self.split_shape)}
        return item

    def sharded(self, size: int) -> "Lay":
        """Return this layout under an optimizer that cuts each slice for `size` ranks, -1 for all that have it."""
        replicas = self._replicas(0)
        step = (replicas[-1] - replicas[0]) // (len(replicas) - 1) if len(replicas) > 1 else 0
        return Lay(self.dev_matrix, self.tensor_map, step, size)

    def _replicas(self, rank: int) -> list[int]:
        """Return the ranks that hold the same slice as `rank`, the optimizer's shards apart."""
        grid = np.arange(int(np.prod(self.dev_matrix))).reshape(tuple(self.dev_matrix))
        used = {axis for entry in self.tensor_map for axis in ([entry] if isinstance(entry, int) else entry)} - {-1}
        where = np.unravel_index(rank, grid.shape)
        place = tuple(where[axis] if grid.ndim - 1 - axis in used else slice(None) for axis in range(grid.ndim))
        return sorted(np.atleast_1d(grid[place]).flatten().tolist())

    def slice_of(self, rank: int, tensor: Array) -> Array:
        """Cut out the slice that `rank` holds, with numpy alone."""
        where = list(reversed(np.unravel_index(rank, tuple(self.dev_matrix))))
        for axis, entry in enumerate(self.tensor_map):
            for device_axis in [entry] if isinstance(entry, int) else entry:
                if device_axis >= 0:
                    parts = np.split(tensor, self.dev_matrix[len(self.dev_matrix) - 1 - device_axis], axis)
                    tensor = parts[int(where[device_axis])]
        if self.shard_size:
            replicas = self._replicas(rank)
            size = len(replicas) if self.shard_size == -1 else self.shard_size
            tensor = np.split(tensor, size)[replicas.index(rank) % size]
        return tensor


def strategy(layouts: Mapping[str, Lay], *, stages: Sequence[int] = (0,)) -> bytes:
    """Encode a whole strategy file."""
    items = b"".join(blob(2, blob(1, f"MatMul-{s}".encode()) + blob(2, number(1, s))) for s in stages)
    return number(1, 1) + items + b"".join(blob(3, lay.encode(name)) for name, lay in layouts.items())


def strategy_json(layouts: Mapping[str, Lay], *, stages: Sequence[int] = (0,)) -> bytes:
    """Encode a whole strategy file in the JSON form."""
    operators = {f"MatMul-{stage}": {"stage": stage, "parallel_strategy": [[1, 2], [2, 1]]} for stage in stages}
    items = {name: lay.as_json() for name, lay in layouts.items()}
    whole = {"current_stage": 1, "parallel_strategy_item": operators, "parallel_layout_item": items}
    return json.dumps(whole).encode()


def joined(stages: Mapping[int, Mapping[str, Lay]]) -> bytes:
    """Encode what MindSpore's merge_pipeline_strategys makes of the strategy files of stages."""
    named = {f"{stage}-{name}": lay for stage, layouts in stages.items() for name, lay in layouts.items()}
    return strategy(named, stages=tuple(stages))


@dataclass
class Run:
    """An output tree in the making: `write` slices full tensors over the ranks.

    `ranks` are all ranks of the run. With pipeline stages each has an equal part of them, and `stages_of` says which
    stages have a tensor; one that it does not name is in every stage.
    """

    source: Path
    ranks: int
    tensors: dict[str, Array] = field(default_factory=dict)
    layouts: dict[str, Lay] = field(default_factory=dict)
    prefix: str = "glm-6b"
    stages: int = 1
    stages_of: dict[str, Sequence[int]] = field(default_factory=dict)

    def shard(self, rank: int, tag: str = "31_4") -> Path:
        """Where a rank's shard lies."""
        return self.source / "checkpoint" / f"rank_{rank}" / f"{self.prefix}_rank_{rank}-{tag}.ckpt"

    @property
    def strategy(self) -> Path:
        """Where rank 0's strategy file lies."""
        return self.source / "strategy" / "ckpt_strategy_rank_0.ckpt"

    @property
    def strategies(self) -> list[Path]:
        """Where each stage's strategy file lies: its first rank's."""
        step = self.ranks // self.stages
        return [self.strategy.with_name(f"ckpt_strategy_rank_{rank}.ckpt") for rank in range(0, self.ranks, step)]

    def of_stage(self, stage: int) -> list[str]:
        """Return the names of a stage's tensors."""
        return [name for name in self.tensors if stage in self.stages_of.get(name, range(self.stages))]

    def layouts_of(self, stage: int) -> dict[str, Lay]:
        """Return what a stage's strategy file says."""
        names = set(self.of_stage(stage))
        return {name: lay for name, lay in self.layouts.items() if name in names or name not in self.tensors}

    def slices(self, rank: int) -> dict[str, Array]:
        """Return what a rank's shard holds."""
        stage, rank = divmod(rank, self.ranks // self.stages)
        return {
            name: self.layouts[name].slice_of(rank, self.tensors[name]) if name in self.layouts else self.tensors[name]
            for name in self.of_stage(stage)
        }

    def write(self, tag: str = "31_4") -> "Run":
        """Write all ranks' shards of `tag`, closed as MindSpore leaves them, and a strategy file a stage."""
        for rank in range(self.ranks):
            self.write_shard(rank, ckpt(self.slices(rank)), tag)
        if self.layouts:
            self.strategy.parent.mkdir(parents=True, exist_ok=True)
            for stage, path in enumerate(self.strategies):
                path.write_bytes(strategy(self.layouts_of(stage), stages=(stage,)))
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
        names = [name for name in self.transformed() if "adam" not in name and not name.startswith("accu_grads.")]
        return ckpt({name: self.tensors[name] for name in names})

    def transformed(self) -> list[str]:
        """Return all names in the order of the merge; the last stage's come first."""
        found = list(dict.fromkeys(name for stage in reversed(range(self.stages)) for name in self.of_stage(stage)))
        return [name for name in found if name in self.layouts] + [name for name in found if name not in self.layouts]


@st.composite
def layout_cases(draw: st.DrawFn, dev_matrix: Sequence[int] | None = None) -> tuple[Lay, tuple[int, ...]]:
    """Draw any layout over any grid of ranks, the optimizer's shards too, and the shape of a slice."""
    if dev_matrix is None:
        dev_matrix = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axes = draw(st.permutations(range(len(dev_matrix))))
    tensor_map: list[int | list[int]] = []
    for _ in range(draw(st.integers(0, 4))):
        count = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 3]))
        here, axes = axes[:count], axes[count:]
        tensor_map.append(here if len(here) > 1 else here[0] if here else -1)
    lay = Lay(dev_matrix, tensor_map)
    if tensor_map and draw(st.booleans()):
        replicas = int(np.prod([dev_matrix[-1 - axis] for axis in range(len(dev_matrix)) if axis in axes]))
        lay = lay.sharded(draw(st.sampled_from([-1, *(n for n in range(1, replicas + 1) if replicas % n == 0)])))
    return lay, tuple(draw(st.integers(1, 3)) for _ in tensor_map)


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
