"""The merged file equals, byte for byte, what the real MindSpore makes of the same shards by the merge by hand."""

import filecmp
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.mindspore.cases import (
    BFLOAT16,
    GROUPS_REFUSED,
    MIXED,
    SCALARS,
    STEP_REFUSED,
    TYPES,
    Axes,
    Case,
    Layout,
    Parameter,
    cases,
    glm,
    in_stages,
    mindspore_fault,
)
from tests.mindspore.merging import differences, merged
from tests.mindspore.worker_process import Worker

pytestmark = pytest.mark.mindspore

EXAMPLES = 150
"""Random cases a version of MindSpore."""


def split_twice(kind: str) -> tuple[Parameter, ...]:
    """Tensors cut along several dimensions, and some along none."""
    grid = (3, 2, 2)
    return (
        Parameter("blocks", (6, 8), kind, Layout.of(grid, (2, 0))),
        Parameter("experts", (4, 5, 6), kind, Layout.of(grid, (1, -1, 2))),
        Parameter("deep", (2, 3, 4, 5), kind, Layout.of(grid, (-1, 2, 0, -1))),
        Parameter("between", (2, 4, 3), kind, Layout.of(grid, (-1, 1, -1))),
        Parameter("whole", (3, 3), kind, Layout.of(grid, (-1, -1))),
    )


def sharded(grid: tuple[int, ...], size: int) -> tuple[Parameter, ...]:
    """GLM with its two-dimensional weights sharded by the optimizer, as a low threshold does."""
    return tuple(
        replace(each, layout=each.layout.sharded(size)) if each.layout and len(each.dims) == 2 else each
        for each in glm(grid, "Float16", layers=1)
    )


def staged(stages: int, *, sharing: int = 0) -> tuple[Parameter, ...]:
    """GLM dealt out over pipeline stages, with accumulated gradients, and the embedding in the first and last stage."""
    weights = [each for each in glm((2, 2), "Float16", layers=4) if "adam" not in each.name]
    if sharing:
        weights = [
            replace(each, layout=each.layout.sharded(sharing)) if each.layout and len(each.dims) == 2 else each
            for each in weights
        ]
    weights += [replace(each, name=f"accu_grads.{each.name}", type="Float32") for each in weights]
    dealt = in_stages(weights, stages, tied="word_embeddings.embedding_table")
    return (*dealt, *(replace(each, stages=tuple(range(stages))) for each in SCALARS))


ODD = tuple(
    Parameter(f"{shape}_{kind}", dims, kind)
    for kind in TYPES
    for shape, dims in (("scalar", ()), ("one", (1,)), ("table", (3, 3)))
)
"""Of every type, in no strategy."""

CASES = {
    "mp2_fp16": Case(glm((2,), "Float16") + SCALARS + ODD, 2),
    "mp4_fp32": Case(glm((4,), "Float32") + SCALARS, 4),
    "mp8_fp16": Case(glm((8,), "Float16") + SCALARS, 8),
    "dp2_mp2_fp16": Case(glm((2, 2), "Float16") + SCALARS, 4),
    "dp2_mp4_fp16": Case(glm((2, 4), "Float16") + SCALARS, 8),
    "data_parallel": Case(tuple(replace(each, layout=None) for each in glm((1,), "Float16") + SCALARS + ODD), 2),
    "one_rank": Case(glm((1,), "Float16") + SCALARS, 1),
    "json": Case(glm((2, 2), "Float16") + SCALARS, 4, strategy="json"),
    "split_twice": Case(tuple(replace(p, name=f"{p.name}_{kind}") for kind in TYPES for p in split_twice(kind)), 12),
    "unlaid_first": Case((Parameter("table", (3, 3), "Int64"), *glm((2,), "Float16")), 2),
    "optimizer_shards_2_of_4": Case(sharded((4, 2), 2) + SCALARS, 8),
    "optimizer_shards_all": Case(sharded((2, 4), -1) + SCALARS, 8),
    "stages_2": Case(staged(2), 4, 2),
    "stages_3": Case(staged(3), 4, 3),
    "stages_2_json": Case(staged(2), 4, 2, strategy="json"),
    "stages_2_optimizer_shards": Case(staged(2, sharing=-1), 4, 2),
}


def check(case: Case, worker: Worker, directory: Path) -> None:
    """Compare glmd's output with MindSpore's and, through MindSpore's eyes, with the whole tensors."""
    source = directory / "source"
    failure = worker.make(case, source)
    output = merged(case, source, directory / "merged")
    assert not differences(worker.load(output), case)
    if mindspore_fault(case, worker.version()) is None:
        assert failure is None
        assert output.read_bytes() == (source / "reference.ckpt").read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_equal_to_mindspore_byte_for_byte(name: str, worker: Worker, directory: Path) -> None:
    """Names, order, shapes, types, framing, contents: there is no difference."""
    assert mindspore_fault(CASES[name], worker.version()) is None
    check(CASES[name], worker, directory)


def test_any_run_is_merged_as_by_mindspore(version: str, worker: Worker, tmp_path: Path) -> None:
    """Whatever the grid, the cuts, optimizer shards, pipeline stages, types and tags."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(case=cases(version))
    def compare(case: Case) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
            check(case, worker, Path(directory))

    compare()


GRID = (2, 2, 2)
FAULTS = (
    ("2.0", STEP_REFUSED, Layout.of(GRID, (1, -1)).sharded(-1)),
    ("2.0", MIXED, Layout.of(GRID, (0, 1)).sharded(-1)),
    ("2.9", MIXED, Layout.of(GRID, (0, 1)).sharded(-1)),
    ("2.9", GROUPS_REFUSED, Layout.of((2, 2, 3), (2, -1)).sharded(2)),
)


@pytest.mark.parametrize(("faulty", "fault", "layout"), FAULTS)
def test_right_where_mindspore_is_not(
    faulty: str, fault: str, layout: Layout, workers: dict[str, Worker], directory: Path
) -> None:
    """MindSpore refuses or mixes up the tensor; glmd puts it together as numpy does."""
    case = Case((Parameter("weight", (24, 8), "Float32", layout),), math.prod(layout.dev_matrix))
    worker = workers[faulty]
    assert mindspore_fault(case, worker.version()) == fault
    failure = worker.make(case, directory / "source")
    assert failure or differences(worker.load(directory / "source" / "reference.ckpt"), case), "MindSpore is right"
    output = merged(case, directory / "source", directory / "merged")
    assert not differences(worker.load(output), case)


@pytest.mark.parametrize("axes", ((1, 0), (0, 1), (2, 0)))
def test_one_dimension_over_several_axes(axes: Axes, newest: Worker, directory: Path) -> None:
    """MindSpore's newer layouts cut a dimension over axes in any order, with and without optimizer shards."""
    cut = Layout(GRID, (axes, (-1,)))
    parameters = (
        Parameter("rows", (8, 3), BFLOAT16, cut),
        Parameter("columns", (3, 8), BFLOAT16, Layout(GRID, ((-1,), axes))),
        Parameter("vector", (8,), "Float32", Layout(GRID, (axes,))),
        Parameter("sharded", (16, 3), "Float16", cut.sharded(-1)),
    )
    check(Case(parameters, 8), newest, directory)


@pytest.mark.parametrize("form", ("protobuf", "json"))
def test_strategy_files_of_every_kind(form: str, worker: Worker, directory: Path) -> None:
    """One a rank, one a stage, and the one that MindSpore joins say the same."""
    case, source = replace(CASES["stages_3"], strategy=form), directory / "source"
    worker.make(case, source)
    (joined,) = source.glob("joined.*")
    expected = (source / "reference.ckpt").read_bytes()
    assert merged(case, source, directory / "by_rank").read_bytes() == expected
    assert merged(case, source, directory / "joined", strategy=joined).read_bytes() == expected
    for path in (source / "strategy").iterdir():
        if int(path.stem.rpartition("_")[2]) % case.ranks:
            path.unlink()
    assert merged(case, source, directory / "by_stage").read_bytes() == expected


def test_transformed_too(worker: Worker, directory: Path) -> None:
    """transformed.ckpt, when asked for, is what MindSpore's merge writes before the filter."""
    case = CASES["stages_2"]
    worker.make(case, directory / "source")
    merged(case, directory / "source", directory / "merged", transformed=True)
    for ours, theirs in (("transformed.ckpt", "transformed.ckpt"), ("filtered_transformed.ckpt", "reference.ckpt")):
        assert (directory / "merged" / ours).read_bytes() == (directory / "source" / theirs).read_bytes()


CHUNKED = 538_000_001
"""Bytes of a shard's tensor, a little over the 512 MiB of a chunk."""


@pytest.mark.parametrize(
    ("version", "case"),
    (
        ("2.0", Case((Parameter("table", (2 * CHUNKED,), "Int8", Layout.of((2,), (0,))), *SCALARS), 2)),
        ("2.9", Case((Parameter("table", (CHUNKED // 2,), "Float16"), *SCALARS), 1)),
    ),
)
def test_chunks_equal_mindspore_byte_for_byte(
    version: str, case: Case, workers: dict[str, Worker], directory: Path
) -> None:
    """A tensor over 512 MiB, in shards of two chunks each, is joined and cut again as that version does."""
    source = directory / "source"
    assert workers[version].make(case, source) is None
    output = merged(case, source, directory / "merged")
    assert filecmp.cmp(output, source / "reference.ckpt", shallow=False)
