"""Promises of copying.assembled: rows of parameters come in their order, in any portions, and take little memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import (
    Format,
    HuggingFace,
    Lora,
    LoraScale,
    OutputOptions,
    Plan,
    merge,
    open_set,
    walk,
    with_adapters,
)
from handlers.ckpt.copying.assembled import AssembledContent
from handlers.ckpt.copying.sources import Content, Sources
from handlers.ckpt.planning.assembled import Assembled, Rows
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run
from tests.unit.handlers.ckpt.glm2 import Glm, read, rearranged


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Return a plan of two parameters, one cut by rows over two ranks, one by columns."""
    run = Run(tmp_path_factory.mktemp("run"), 2)
    run.tensors = {
        "a": np.arange(72, dtype="float32").reshape(12, 6),
        "b": -np.arange(24, dtype="float32").reshape(4, 6),
    }
    run.layouts = {"a": Lay((2,), (0, -1)), "b": Lay((2,), (-1, 0))}
    run.write()
    return open_set([run.shard(rank) for rank in range(2)], [run.strategy]).plan()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_rows_come_in_any_portions(plan: Plan, data: st.DataObject) -> None:
    """First byte to last, halves of heads taking turns."""
    a, b = plan.parameters
    arrays = {"a": np.arange(72, dtype="float32").reshape(12, 6), "b": -np.arange(24, dtype="float32").reshape(4, 6)}
    rows, expected = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        source = data.draw(st.sampled_from([a, b]))
        head = data.draw(st.sampled_from([0, 2, 4]))
        first = data.draw(st.integers(0, source.dims[0] - max(head, 1)))
        count = data.draw(st.integers(1, (source.dims[0] - first) // max(head, 1))) * max(head, 1)
        rows.append(Rows(source, first, count, head))
        part = arrays[source.name][first : first + count]
        if head:
            heads = part.reshape(-1, 2, head // 2, 6)
            part = heads.swapaxes(1, 2).reshape(part.shape)
        expected.append(part)
    wanted = np.concatenate(expected).tobytes()
    descriptors = {rank: shard.path.open("rb") for rank, shard in plan.shards.items()}
    try:
        sources = Sources(plan.shards, {rank: stream.fileno() for rank, stream in descriptors.items()})
        content = AssembledContent(Assembled.of("c", tuple(rows)), lambda each: Content(each, sources))
        found = bytearray(len(wanted))
        at = 0
        while at < len(found):
            count = data.draw(st.integers(1, len(found) - at))
            content.fill(memoryview(found)[at : at + count])
            at += count
    finally:
        for stream in descriptors.values():
            stream.close()
    assert bytes(found) == wanted


def test_an_adapter_is_added_before_rows_are_cut(tmp_path: Path) -> None:
    """Of a matrix of queries, keys and values side by side, whose rows were moved."""
    glm = Glm(rearranged=True)
    weights = glm.mindformers()
    name = "transformer.encoder.layers.1.self_attention.query_key_value"
    generator = np.random.default_rng(3)
    a, b = (generator.standard_normal(dims).astype("float32") for dims in ((2, 6), (16, 2)))
    adapters = {f"{name}.mindpet_delta_lora_a": a, f"{name}.mindpet_delta_lora_b": b}
    run = Run(tmp_path / "output", 1, tensors=weights | adapters).write()
    plan = with_adapters(open_set([run.shard(0)]).plan(keep=["weights"]), Lora.MERGE, LoraScale(4, 2))
    (tmp_path / "merged").mkdir()
    merge(
        plan,
        tmp_path / "merged",
        OutputOptions(Format.SAFETENSORS, hugging_face=HuggingFace(networks=(rearranged(glm),))),
    )
    total = weights[f"{name}.weight"] + 2 * (b @ a)
    moved = [total[:8], total[8:12]]
    q, k = (each.reshape(-1, 2, 2, 6).swapaxes(1, 2).reshape(-1, 6) for each in moved)
    found = read(tmp_path / "merged")
    stem = "model.layers.1.self_attn"
    for letter, part in zip("qkv", (q, k, total[12:]), strict=True):
        np.testing.assert_allclose(found[f"{stem}.{letter}_proj.weight"], part, rtol=1e-5, atol=1e-6)
    assert {each for each in found if "lora" in each} == set()


@pytest.mark.parametrize("head", (0, 64))
def test_memory_is_flat(tmp_path: Path, head: int) -> None:
    """Of a parameter of 64 MiB, cut into two tensors."""
    run = Run(tmp_path / "output", 1, tensors={"w": np.zeros((4096, 4096), "float32")}).write()
    (parameter,) = open_set([run.shard(0)]).plan().parameters
    shard = walk(run.shard(0))
    with run.shard(0).open("rb") as stream:
        sources = Sources({0: shard}, {0: stream.fileno()})
        content = AssembledContent(
            Assembled.of("w", (Rows(parameter, 2048, 2048, head),)), lambda each: Content(each, sources)
        )
        view = memoryview(bytearray(1 << 20))
        tracemalloc.start()
        try:
            for _ in range(32):
                content.fill(view)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
