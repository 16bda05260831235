"""Promises of handlers.ckpt.planning.redundancy: what ranks leave to each other is put together."""

import json
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt import (
    CkptError,
    Family,
    Format,
    InconsistentError,
    OutputOptions,
    diff,
    merge,
    open_set,
    plan_merge,
    read_strategies,
    verify,
    walk,
)
from handlers.ckpt.looking.inspect import inspect_set
from handlers.ckpt.planning.output import FILTERED
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run, small_run
from tests.unit.handlers.ckpt.redundancy import DTYPES, WHO, encode, held, merge_run, shard, write, write_shard

MODERN = Path(__file__).parents[4] / "fixtures" / "modern"
CUT = MODERN / "dp2-mp2-remove-redundancy"
WHOLE = MODERN / "whole" / "glm4_rank_0-2_4.safetensors"
ROWS = "layers.0.query_key_value.weight"
MODEL = "model.safetensors"
Header = dict[str, dict[str, object]]


@st.composite
def runs(draw: st.DrawFn, *, least_ranks: int = 1) -> Run:
    """Draw any layouts over any grid, replicas, optimizer shards and stages among them."""
    grids = st.lists(st.integers(1, 3), min_size=1, max_size=3)
    dev_matrix = draw(grids.filter(lambda grid: int(np.prod(grid)) >= least_ranks))
    stages = draw(st.sampled_from([1, 1, 2]))
    run = Run(Path(), int(np.prod(dev_matrix)) * stages, stages=stages)
    for index in range(draw(st.integers(1, 4))):
        axes = draw(st.permutations([*range(len(dev_matrix)), *[-1] * 3]))[: draw(st.integers(1, 3))]
        lay = Lay(dev_matrix, axes)
        free = int(np.prod([size for at, size in enumerate(reversed(dev_matrix)) if at not in axes]))
        shards = draw(st.sampled_from([1, 1, free]))
        dims = [draw(st.integers(1, 3)) * (1 if axis < 0 else dev_matrix[-1 - axis]) for axis in axes]
        dims[0] *= shards
        first, count = index * 100, int(np.prod(dims))
        tensor = (
            np.arange(first, first + count)
            .astype(draw(st.sampled_from(["uint16", "float16", "float32", "int64"])))
            .reshape(dims)
        )
        run.tensors[f"p{index}"] = tensor
        run.layouts[f"p{index}"] = lay.sharded(free) if shards > 1 else lay
        if stages > 1:
            run.stages_of[f"p{index}"] = draw(st.sampled_from([(0,), (1,), (0, 1)])) if index else (0, 1)
    run.tensors["step_num"] = np.array(4, "int64")
    return run


def by_lot(seed: int) -> WHO:
    """Draw who of a group writes."""
    return lambda name, group: crc32(repr((seed, name, group)).encode())


def whole(run: Run) -> dict[str, tuple[str, list[int], bytes]]:
    """Return what a merge of all must hold, by name."""
    return {name: (DTYPES[str(each.dtype)], list(each.shape), each.tobytes()) for name, each in run.tensors.items()}


def loaded(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """Read a file with the library of safetensors."""
    return {
        name: (each["dtype"], list(each["shape"]), bytes(each["data"]))
        for name, each in safetensors.deserialize(path.read_bytes())
    }


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs(), seed=st.integers(0, 1 << 20))
def test_any_layout_whose_replicas_are_left_out_is_put_together(
    tmp_path_factory: pytest.TempPathFactory, run: Run, seed: int
) -> None:
    """Whoever writes a slice: every byte is there, bfloat16 too, and both formats are as with all replicas."""
    run.source = tmp_path_factory.mktemp("run")
    write(run, by_lot(seed))
    for form in Format:
        merge_run(run, run.source / form, form)
        assert verify(run.source / form).ok
    assert loaded(run.source / Format.SAFETENSORS / MODEL) == whole(run)
    for rank in range(run.ranks):
        write_shard(run, rank, run.slices(rank), lacks=False)
    for form, name in ((Format.SAFETENSORS, MODEL), (Format.CKPT, FILTERED)):
        merge_run(run, run.source / "all", form)
        assert (run.source / "all" / name).read_bytes() == (run.source / form / name).read_bytes()


def with_header(path: Path, change: Callable[[Header], object]) -> bytes:
    """Return a file's bytes with its header changed."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


def moved(name: str, begin: int, end: int) -> Callable[[Header], object]:
    """Change where a tensor lies by its header."""

    def change(header: Header) -> None:
        offsets = header[name]["data_offsets"]
        assert isinstance(offsets, list)
        header[name]["data_offsets"] = [max(0, offsets[0] + begin), offsets[1] + end]

    return change


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs(least_ranks=2), seed=st.integers(0, 1 << 20), data=st.data())
def test_any_single_damage_is_refused(
    tmp_path_factory: pytest.TempPathFactory, run: Run, seed: int, data: st.DataObject
) -> None:
    """A slice in no file, a file cut, a header that lies, one of another run: by our error, with a file's name."""
    run.source = tmp_path_factory.mktemp("run")
    parts = held(write(run, by_lot(seed)), by_lot(seed))
    # What two stages share may be missing in one of them: it is taken from the other.
    laid = {name for name in run.layouts if len(run.stages_of.get(name, (0,))) == 1}
    places = [(rank, name) for rank, tensors in parts.items() for name in tensors if name in laid]
    if not places:
        return
    rank, name = data.draw(st.sampled_from(places))
    path, tensors = shard(run, rank), parts[rank]
    damages: dict[str, Callable[[], bytes]] = {
        "dropped": lambda: encode({each: tensors[each] for each in tensors if each != name}, lacks=True),
        "cut": lambda: path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size - 1))],
        "longer": lambda: path.read_bytes() + b"x",
        "overlap or hole": lambda: with_header(path, moved(name, 8, 8)),
        "beyond the end": lambda: with_header(path, moved(name, 1 << 20, 1 << 20)),
        "stretched": lambda: with_header(path, moved(name, 0, 4)),
        "another dtype": lambda: with_header(path, lambda header: header[name].update(dtype="BOOL")),
        "another shape": lambda: with_header(path, lambda header: header[name].update(shape=[7, 5, 3, 11])),
        "of another run": lambda: encode(tensors, lacks=False),
    }
    if any(name in parts[other] for other in parts if other != rank):
        twice = np.repeat(tensors[name], 2, axis=0)
        damages["another shape than the other slices"] = lambda: encode(tensors | {name: twice}, lacks=True)
        other = tensors[name].astype("float64")
        damages["another type than the other slices"] = lambda: encode(tensors | {name: other}, lacks=True)
    content = damages[data.draw(st.sampled_from(sorted(damages)))]()
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(CkptError, match=r"rank_\d+-31_4\.safetensors"):
        merge_run(run, run.source / "merged")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs(least_ranks=2), data=st.data())
def test_a_slice_in_two_files_that_differ_is_refused(
    tmp_path_factory: pytest.TempPathFactory, run: Run, data: st.DataObject
) -> None:
    """A replica that is there all the same is compared, byte by byte; one that agrees is merged."""
    run.source = tmp_path_factory.mktemp("run")
    write(run, lambda _name, _group: 0)
    slices = {rank: run.slices(rank) for rank in range(run.ranks)}
    first, second = held(run, lambda _name, _group: 0), held(run, lambda _name, _group: 1)
    twice = [(rank, name) for rank in slices for name in second[rank] if name not in first[rank]]
    if not twice:
        return
    rank, name = data.draw(st.sampled_from(twice))
    write_shard(run, rank, first[rank] | {name: slices[rank][name]})
    merge_run(run, run.source / "merged", Format.SAFETENSORS)
    assert loaded(run.source / "merged" / MODEL) == whole(run)
    other = slices[rank][name].copy()
    other.reshape(-1).view("u1")[data.draw(st.integers(0, other.nbytes - 1))] ^= 1
    write_shard(run, rank, first[rank] | {name: other})
    with pytest.raises(InconsistentError, match=rf"rank_\d+-31_4\.safetensors: {name}: it differs from that of"):
        merge_run(run, run.source / "merged")


@pytest.mark.parametrize("form", Format)
def test_a_real_runs_shards_are_the_whole_model(tmp_path: Path, form: Format) -> None:
    """MindSpore decided who leaves out what; the merge is what one rank of a data parallel run holds."""
    shards = [CUT / "checkpoint" / f"rank_{rank}" / f"glm4_rank_{rank}-2_4.safetensors" for rank in range(4)]
    opened = open_set(shards, sorted((CUT / "strategy").iterdir()))
    merge(opened.plan(keep=tuple(Family)), tmp_path, OutputOptions(form))
    (output,) = (path for path in tmp_path.iterdir() if path.suffix in {".ckpt", ".safetensors"})
    assert diff([output], [WHOLE]).same
    assert verify(tmp_path).ok
    found = inspect_set(opened)
    assert (len(found.rows), found.missing, found.absent) == (57, {}, ())


def data_parallel(source: Path) -> Run:
    """Two ranks that hold the same, and write no strategy."""
    run = small_run(source, (2,))
    run.layouts.clear()
    return run


def test_a_data_parallel_runs_shards_are_joined(tmp_path: Path) -> None:
    """Without a strategy each name is in one of the ranks' files, scalars in all."""
    run = write(data_parallel(tmp_path / "output"))
    assert walk(shard(run, 0)).entries.keys() != walk(shard(run, 1)).entries.keys()
    merge_run(run, tmp_path / "merged", Format.SAFETENSORS)
    merged = {name: data for name, (_, _, data) in loaded(tmp_path / "merged" / MODEL).items()}
    assert merged == {name: each.tobytes() for name, each in run.tensors.items() if "adam" not in name}


def test_state_of_a_weight_that_no_rank_has_is_refused(tmp_path: Path) -> None:
    """A rank's shard is missing, and no strategy says so: the moments give it away."""
    run = data_parallel(tmp_path / "output")
    write(run, lambda name, _group: int(name.startswith("layers")))
    message = (
        rf"rank_0-31_4\.safetensors: adam_m\.{ROWS}: it is optimizer state of {ROWS}, but no shard has "
        rf"{ROWS} itself"
    )
    with pytest.raises(InconsistentError, match=message):
        plan_merge({0: walk(shard(run, 0))}, None)


def test_a_slice_that_is_missing_is_named(tmp_path: Path) -> None:
    """Its ranks and the parameter; also in what `inspect` shows."""
    run = write(small_run(tmp_path / "output", (2, 2)), lambda _name, _group: 0)
    tensors = held(run, lambda _name, _group: 0)[1]
    write_shard(run, 1, {name: each for name, each in tensors.items() if name != ROWS})
    message = rf"rank_1-31_4\.safetensors: {ROWS}: no shard of ranks 1,3 has this slice of it"
    with pytest.raises(InconsistentError, match=message):
        merge_run(run, tmp_path / "merged")
    found = inspect_set(open_set([shard(run, rank) for rank in range(4)], run.strategies))
    assert {name: [part.ranks for part in parts] for name, parts in found.missing.items()} == {ROWS: [(1, 3)]}


def test_inspect_says_who_has_a_slice(tmp_path: Path) -> None:
    """Of the ranks that may, the one that wrote it."""
    run = write(small_run(tmp_path / "output", (2, 2)), lambda _name, _group: 1)
    found = inspect_set(open_set([shard(run, rank) for rank in range(4)], run.strategies))
    (row,) = (row for row in found.rows if row.name == ROWS)
    assert str(row.spread) == "ranks 2-3: 12 rows each"


def test_what_no_strategy_names_may_not_be_left_out(tmp_path: Path) -> None:
    """A LoRA run's strategy names what it trains: a frozen weight in some files may be slices of it, the rest lost."""
    run = small_run(tmp_path / "output", (2, 2))
    del run.layouts[ROWS]
    write(run)
    write_shard(run, 2, {name: each for name, each in run.slices(2).items() if name != ROWS})
    with pytest.raises(InconsistentError, match=rf"rank_2-31_4\.safetensors: {ROWS}: other ranks have it, this one"):
        merge_run(run, tmp_path / "merged")


def test_shards_of_two_runs_are_refused(tmp_path: Path) -> None:
    """One leaves out replicas, the other does not."""
    run = write(small_run(tmp_path / "output", (2, 2)))
    write_shard(run, 3, run.slices(3), lacks=False)
    with pytest.raises(InconsistentError, match=r"rank_0-.*leaves out what other ranks save.*rank_3-.*does not"):
        merge_run(run, tmp_path / "merged")


def test_a_missing_rank_is_refused_by_the_strategy(tmp_path: Path) -> None:
    """It says how many there are."""
    run = write(small_run(tmp_path / "output", (2, 2)))
    shards = {rank: walk(shard(run, rank)) for rank in range(3)}
    with pytest.raises(InconsistentError, match="of 4 ranks, these have no shard: 3"):
        plan_merge(shards, read_strategies(run.strategies))


def test_scalars_may_be_in_some_files_only(tmp_path: Path) -> None:
    """scale_sense is a parameter of the net, epoch_num is added to each file; one element cannot be cut."""
    run = write(small_run(tmp_path / "output", (2, 2)), lambda _name, _group: 0)
    tensors = held(run, lambda _name, _group: 0)[3]
    write_shard(run, 3, {name: each for name, each in tensors.items() if name != "scale_sense"})
    assert "scale_sense" in merge_run(run, tmp_path / "merged").unlaid
