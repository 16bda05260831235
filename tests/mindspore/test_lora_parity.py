"""LoRA adapters are merged into their weights as MindSpore computes it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt.planning.lora import Lora
from tests.mindspore.cases import SCALARS, Case, Layout, Parameter, glm
from tests.mindspore.merging import merged
from tests.mindspore.worker_process import Loaded, Worker

pytestmark = pytest.mark.mindspore

ALPHA, RANK = 32, 8
"""GLM-6B's."""
WITH_ADAPTER = "query_key_value.weight"


def with_adapters(weights: tuple[Parameter, ...], kind: str, name: str) -> tuple[Parameter, ...]:
    """Add what a LoRA run has beside `weights`, cut as MindFormers cuts it."""
    adapters = []
    for weight in weights:
        if weight.name.endswith(WITH_ADAPTER) and "adam" not in weight.name and weight.layout is not None:
            layer, (rows, columns), grid = weight.name.removesuffix("weight"), weight.dims, weight.layout.dev_matrix
            a = Parameter(f"{layer}{name}_delta_lora_a", (RANK, columns), kind, Layout.of(grid, (-1, -1)))
            adapters += [a, replace(a, name=f"{a.name[:-1]}b", dims=(rows, RANK), layout=Layout.of(grid, (0, -1)))]
    return (*weights, *adapters)


def units_apart(one: Loaded, two: Loaded) -> int:
    """Return how many floating-point numbers lie between two tensors where they differ most."""
    kind = np.dtype(f"i{np.dtype(one.type.lower()).itemsize}")
    distances = []
    for each in (one, two):
        bits = np.frombuffer(each.content, kind).astype(np.int64)
        distances.append(np.where(bits < 0, np.iinfo(kind).min - bits, bits))
    return int(np.abs(distances[0] - distances[1]).max())


@pytest.mark.parametrize(("kind", "name"), (("Float16", "mindpet"), ("Float32", "tk")))
@pytest.mark.parametrize("grid", ((1,), (4,), (2, 2)))
def test_equal_to_mindspore(kind: str, name: str, grid: tuple[int, ...], worker: Worker, directory: Path) -> None:
    """Every parameter is what MindSpore makes of it, but for the last bit: its CPU kernels are not all alike."""
    case = Case(with_adapters(glm(grid, kind, hidden=32), "Float32", name) + SCALARS, int(np.prod(grid)))
    assert worker.make(case, directory / "source") is None
    kept = merged(case, directory / "source", directory / "kept")
    worker.ask("add_adapters", path=kept, to=directory / "expected.ckpt", scaling=ALPHA / RANK)
    output = merged(case, directory / "source", directory / "merged", lora=Lora.MERGE, lora_alpha=ALPHA, lora_rank=RANK)
    before = {each.name: each for each in worker.load(kept)}
    expected, found = worker.load(directory / "expected.ckpt"), worker.load(output)
    assert [(each.name, each.dims, each.type) for each in found] == [(e.name, e.dims, e.type) for e in expected]
    for ours, theirs in zip(found, expected, strict=True):
        if ours.name.endswith(WITH_ADAPTER):
            assert units_apart(ours, theirs) <= 1
            assert ours.content != before[ours.name].content
        else:
            assert ours.content == theirs.content


def test_frozen_weights_take_another_runs_layout(worker: Worker, directory: Path) -> None:
    """A LoRA run's strategy names the adapters only; a full run's, of the same network, lays out the frozen weights."""
    full = Case(with_adapters(glm((4,), "Float16"), "Float32", "mindpet"), 4)
    worker.make(full, directory / "full")
    lora = replace(full, parameters=tuple(each for each in full.parameters if "adam" not in each.name))
    worker.make(lora, directory / "lora")
    trainable = tuple(each for each in lora.parameters if "delta" in each.name)
    worker.make(replace(lora, parameters=trainable), directory / "trainable")
    shutil.rmtree(directory / "lora" / "strategy")
    shutil.move(directory / "trainable" / "strategy", directory / "lora")
    output = merged(lora, directory / "lora", directory / "merged", layout_from=directory / "full" / "strategy")
    expected = {each.name: each.content for each in worker.load(directory / "lora" / "reference.ckpt")}
    assert {each.name: each.content for each in worker.load(output)} == expected
