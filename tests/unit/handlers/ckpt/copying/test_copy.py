"""Promises of handlers.ckpt.copying.copy: the same output with any number of threads, and an end to all of them."""

import errno
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import (
    CopyOptions,
    Format,
    InconsistentError,
    Manifest,
    OutputOptions,
    Plan,
    merge,
    plan_merge,
    read_strategies,
    walk,
)
from handlers.ckpt.copying import copy as copying
from handlers.ckpt.copying.copy import Progress
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, ckpt

WORKERS = (1, 2, 4, 7)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """However a merge ends, its threads have ended before."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write a run of dp 2, mp 2 that several threads share: 25 parameters of a few pages each."""
    monkeypatch.setattr(copying, "BUFFER", 1 << 13)
    monkeypatch.setattr(copying, "SHARE", 1 << 15)
    generator = np.random.default_rng(1)
    run = Run(tmp_path / "output", 4)
    for index in range(25):
        cut = index % 3 - 1
        dims = (int(generator.integers(1, 40)) * 2, int(generator.integers(1, 300)) * 2)
        run.tensors[f"w{index}"] = generator.standard_normal(dims).astype("float32")
        run.layouts[f"w{index}"] = Lay((2, 2), [0 if axis == cut else -1 for axis in range(2)])
    return run.write()


def planned(run: Run, *, transformed: bool = False) -> Plan:
    """Plan the merge of a written run."""
    shards = {rank: walk(run.shard(rank)) for rank in range(run.ranks)}
    return plan_merge(shards, read_strategies([run.strategy]), transformed=transformed)


def merged(run: Run, copy_options: CopyOptions, progress: Progress | None = None, **options: object) -> Manifest:
    """Merge a written run into a new directory beside it."""
    destination = run.source.parent / "merged"
    destination.mkdir()
    return merge(planned(run), destination, OutputOptions(**options), copy_options=copy_options, progress=progress)


@pytest.mark.parametrize("workers", WORKERS)
def test_any_number_of_threads_gives_the_same_file(run: Run, workers: int) -> None:
    """And the same hashes, in the file's order."""
    manifest = merged(run, CopyOptions(workers=workers))
    assert (run.source.parent / "merged" / "filtered_transformed.ckpt").read_bytes() == run.merged()
    assert [each.name for each in manifest.parameters] == list(run.tensors)
    alone = merge(planned(run), run.source, copy_options=CopyOptions(workers=1))
    assert [each.hash for each in manifest.parameters] == [each.hash for each in alone.parameters]


@pytest.mark.parametrize("workers", WORKERS)
def test_any_number_of_threads_gives_the_same_safetensors(run: Run, workers: int) -> None:
    """What stands before the tensors is there, and each of several files is whole."""
    merged(run, CopyOptions(workers=workers), format=Format.SAFETENSORS, max_shard_size=200_000)
    files = sorted((run.source.parent / "merged").glob("*.safetensors"))
    assert len(files) > 2
    found = {}
    for path in files:
        content = path.read_bytes()
        for name, entry in walk(path).entries.items():
            (extent,) = entry.extents
            found[name] = content[extent.offset : extent.offset + extent.length]
    assert found == {name: tensor.tobytes() for name, tensor in run.tensors.items()}


def test_without_hashing(run: Run) -> None:
    """The file is the same, and the manifest says that there are no hashes."""
    manifest = merged(run, CopyOptions(hashed=False))
    assert (run.source.parent / "merged" / "filtered_transformed.ckpt").read_bytes() == run.merged()
    assert manifest.hash is None
    assert {each.hash for each in manifest.parameters} == {None}


@pytest.mark.parametrize("hashed", (False, True))
def test_replicas_are_compared_or_trusted(run: Run, *, hashed: bool) -> None:
    """With or without hashing a difference is refused, unless replicas are trusted."""
    slices = run.slices(3)
    slices["w7"] = slices["w7"] + 1
    run.write_shard(3, ckpt(slices))
    with pytest.raises(InconsistentError, match="w7: it differs"):
        merge(planned(run), run.source, copy_options=CopyOptions(hashed=hashed))
    merge(planned(run), run.source, copy_options=CopyOptions(hashed=hashed, compared=False))
    assert (run.source / "filtered_transformed.ckpt").read_bytes() == run.merged()


def test_progress_is_told_in_one_thread(run: Run) -> None:
    """In the one that merges, so that a caller needs no locks; the bytes never become fewer and end with all."""
    reports, callers = list[tuple[int, int]](), set[threading.Thread]()

    def progress(done: int, of: int) -> None:
        reports.append((done, of))
        callers.add(threading.current_thread())

    merged(run, CopyOptions(workers=4), progress)
    assert reports == sorted(reports)
    assert len(reports) > 10
    assert reports[-1] == (len(run.merged()),) * 2
    assert callers == {threading.current_thread()}


@pytest.mark.parametrize("workers", WORKERS)
def test_the_error_of_one_thread_is_raised(run: Run, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """A disk that fails at the tenth write: nothing is left, neither files nor threads."""
    pwrite, writes = os.pwrite, list[int]()

    def failing(descriptor: int, view: memoryview, offset: int) -> int:
        writes.append(offset)
        if len(writes) == 10:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pwrite(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(OSError, match="Input/output error"):
        merged(run, CopyOptions(workers=workers))
    assert list((run.source.parent / "merged").iterdir()) == []


def test_a_shard_that_cannot_be_read_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's error tells no file."""

    def failing(_descriptor: int, _views: Sequence[memoryview], _offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(OSError, match=r"Input/output error: .*rank_\d-31_4\.ckpt"):
        merged(run, CopyOptions())


def test_an_interrupt_leaves_nothing(run: Run) -> None:
    """Ctrl-C in the middle: no thread, no file, and the interrupt is what the caller sees."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell script's background ignores it

    def interrupt(_done: int, _all: int) -> None:
        signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            merged(run, CopyOptions(workers=4), interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert list((run.source.parent / "merged").iterdir()) == []


def test_what_two_files_have_is_compared_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformed.ckpt holds every parameter too; replicas are read for one of both."""
    preadv, count = os.preadv, list[int]()

    def counting(descriptor: int, views: Sequence[memoryview], offset: int) -> int:
        count.append(preadv(descriptor, views, offset))
        return count[-1]

    monkeypatch.setattr(os, "preadv", counting)
    plan = planned(run, transformed=True)
    merge(plan, run.source)
    size = sum(tensor.nbytes for tensor in run.tensors.values())
    replicas = sum((max(map(len, each.tiling.holders.values())) - 1) * each.nbytes for each in plan.parameters)
    assert sum(count) == 2 * size + replicas
    assert (run.source / "transformed.ckpt").read_bytes() == run.merged()
