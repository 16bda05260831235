"""Runs whose ranks leave out replicas, written by hand: nothing of glmd writes here."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from handlers.ckpt import Format, Manifest, OutputOptions, merge, plan_merge, read_strategies, walk
from tests.unit.handlers.ckpt.ckpt_writer import Array, Run

WHO = Callable[[str, tuple[int, ...]], int]
"""Which of the ranks that hold the same slice of a parameter writes it."""


def shard(run: Run, rank: int, tag: str = "31_4") -> Path:
    """Where a rank's safetensors lies."""
    return run.shard(rank, tag).with_suffix(".safetensors")


DTYPES = {"float64": "F64", "int64": "I64", "float32": "F32", "int32": "I32", "uint16": "BF16", "float16": "F16"}
"""As the library orders them; numpy has no bfloat16, for which uint16 stands."""


def encode(tensors: Mapping[str, Array], *, lacks: bool) -> bytes:
    """Encode a file as the library does: by dtype, then by name."""
    kinds = [*DTYPES]
    ordered = sorted(tensors.items(), key=lambda item: (kinds.index(str(item[1].dtype)), item[0]))
    header: dict[str, object] = {"__metadata__": {"format": "ms", "remove_redundancy": str(lacks)}}
    at = 0
    for name, tensor in ordered:
        offsets = [at, at := at + tensor.nbytes]
        header[name] = {"dtype": DTYPES[str(tensor.dtype)], "shape": tensor.shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(tensor.tobytes() for _, tensor in ordered)


def write_shard(run: Run, rank: int, tensors: Mapping[str, Array], *, lacks: bool = True, tag: str = "31_4") -> Path:
    """Write, or overwrite, one shard."""
    path = shard(run, rank, tag)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(encode(tensors, lacks=lacks))
    path.chmod(0o400)
    return path


def held(run: Run, who: WHO) -> dict[int, dict[str, Array]]:
    """Return what each rank writes: `who` chooses among the ranks with the same slice; unlaid names all write.

    In a run without layouts, data parallel, each name is written by one of all ranks, but for scalars.
    """
    slices = {rank: run.slices(rank) for rank in range(run.ranks)}
    size = run.ranks // run.stages
    kept: dict[int, dict[str, Array]] = {rank: {} for rank in slices}
    for rank, tensors in slices.items():
        first = rank - rank % size
        for name, tensor in tensors.items():
            group = _group(run, name, rank, first, size)
            if rank == group[who(name, group) % len(group)] or len(group) == 1:
                kept[rank][name] = tensor
    return kept


def _group(run: Run, name: str, rank: int, first: int, size: int) -> tuple[int, ...]:
    """Return the ranks of the stage that hold the same slice; a rank by itself where all write."""
    if name not in run.layouts:
        return tuple(range(first, first + size)) if not run.layouts and run.tensors[name].ndim else (rank,)
    lay = run.layouts[name]
    numbers = np.arange(run.tensors[name].size).reshape(run.tensors[name].shape)
    own = lay.slice_of(rank - first, numbers).tobytes()
    return tuple(first + each for each in range(size) if lay.slice_of(each, numbers).tobytes() == own)


def write(run: Run, who: WHO = lambda name, group: sum(name.encode()) % len(group), tag: str = "31_4") -> Run:
    """Write the strategy files, as `Run.write` does, and shards without replicas instead of its own."""
    run.write(tag)
    for rank, tensors in held(run, who).items():
        run.shard(rank, tag).unlink()
        write_shard(run, rank, tensors, tag=tag)
    return run


def merge_run(run: Run, destination: Path, form: Format = Format.CKPT) -> Manifest:
    """Merge it into the directory `destination`."""
    shards = {rank: walk(shard(run, rank)) for rank in range(run.ranks)}
    plan = plan_merge(shards, read_strategies(run.strategies) if run.layouts else None)
    destination.mkdir(exist_ok=True)
    return merge(plan, destination, OutputOptions(form), prefix=run.prefix, tag="31_4", force=True)
