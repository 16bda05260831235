"""Promises of handlers.ckpt.copying.replicas: one bit is noticed, its rank is named, and every holder is read once."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from handlers.ckpt import InconsistentError, Plan, plan_merge, read_strategies, walk
from handlers.ckpt.copying import replicas as comparing
from handlers.ckpt.copying.replicas import ComparedContent
from handlers.ckpt.copying.sources import Sources
from tests.unit.handlers.ckpt.ckpt_writer import Run, ckpt, small_run

ROWS, COLUMNS, NORM = "layers.0.query_key_value.weight", "layers.0.dense_4h_to_h.weight", "layers.0.layernorm.gamma"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Write a run of dp 3, mp 2."""
    return small_run(tmp_path / "output", (3, 2)).write()


def read(run: Run, name: str, *, portion: int = 50) -> bytes:
    """Read a parameter of a written run and compare its replicas."""
    plan: Plan = plan_merge({rank: walk(run.shard(rank)) for rank in range(6)}, read_strategies([run.strategy]))
    parameter = next(each for each in plan.parameters if each.name == name)
    descriptors = {rank: os.open(shard.path, os.O_RDONLY) for rank, shard in plan.shards.items()}
    try:
        content = ComparedContent(parameter, Sources(plan.shards, descriptors), strategy=True)
        whole = memoryview(bytearray(parameter.nbytes))
        for at in range(0, len(whole), portion):
            content.fill(whole[at : at + portion])
        return bytes(whole)
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


@pytest.mark.parametrize("name", (ROWS, COLUMNS, NORM, "global_step"))
@pytest.mark.parametrize("buffer", (7, 1 << 20))
def test_equal_replicas_are_the_content(run: Run, monkeypatch: pytest.MonkeyPatch, name: str, buffer: int) -> None:
    """The whole tensor, be the portions larger or smaller than what is compared at once."""
    monkeypatch.setattr(comparing, "BUFFER", buffer)
    assert read(run, name) == run.tensors[name].tobytes()


@pytest.mark.parametrize(("rank", "against"), ((2, 0), (3, 1), (5, 1)))
@pytest.mark.parametrize("name", (ROWS, COLUMNS))
def test_one_bit_of_any_holder_is_noticed(run: Run, name: str, rank: int, against: int) -> None:
    """Be it of the second or the third replica; the message names both files."""
    slices = run.slices(rank)
    slices[name] = slices[name].copy()
    slices[name].view("uint16")[-1, -1] ^= 1
    run.write_shard(rank, ckpt(slices))
    with pytest.raises(InconsistentError, match=rf"rank_{rank}-31_4\.ckpt: {name}: it differs .*rank_{against}-31_4"):
        read(run, name)


def test_every_holder_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """To compare costs no second reading of what is copied."""
    preadv, count = os.preadv, list[int]()

    def counting(descriptor: int, views: Sequence[memoryview], offset: int) -> int:
        count.append(preadv(descriptor, views, offset))
        return count[-1]

    monkeypatch.setattr(os, "preadv", counting)
    read(run, COLUMNS)
    assert sum(count) == 3 * run.tensors[COLUMNS].nbytes
