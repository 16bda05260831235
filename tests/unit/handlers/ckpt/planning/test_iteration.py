"""Promises of handlers.ckpt.planning.iteration: slices come together as metadata.json says, or are refused by name."""

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
    DamagedFileError,
    Family,
    Format,
    InconsistentError,
    NotFiniteError,
    OutputOptions,
    UnsupportedLayoutError,
    diff,
    merge,
    verify,
)
from handlers.ckpt.planning.iteration import open_iteration
from handlers.ckpt.planning.output import FILTERED
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run
from tests.unit.handlers.ckpt.iterations import Json, contents, write, write_file
from tests.unit.handlers.ckpt.redundancy import DTYPES, WHO

MODERN = Path(__file__).parents[4] / "fixtures" / "modern"
REAL = MODERN / "new-format-dp2-remove-redundancy" / "iteration_00000008"
WHOLE = MODERN / "whole" / "glm4_rank_0-2_4.safetensors"
MODEL = "model.safetensors"
ROWS = "layers.0.weight"


def by_lot(seed: int) -> WHO:
    """Draw who of a group writes."""
    return lambda name, group: crc32(repr((seed, name, group)).encode())


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Draw any layouts over any grid: replicas, dimensions that several axes cut, tensors of any rank."""
    dev_matrix = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    run = Run(Path(), int(np.prod(dev_matrix)), prefix="glm4")
    for index in range(draw(st.integers(1, 4))):
        axes = draw(st.permutations(range(len(dev_matrix))))
        tensor_map: list[int | list[int]] = []
        dims = []
        for _ in range(draw(st.integers(1, 3))):
            count = draw(st.sampled_from([0, 0, 1, 1, 2]))
            here, axes = axes[:count], axes[count:]
            tensor_map.append(here if len(here) > 1 else here[0] if here else -1)
            dims.append(draw(st.integers(1, 3)) * int(np.prod([dev_matrix[-1 - axis] for axis in here])))
        kind = draw(st.sampled_from(["uint16", "float16", "float32", "int64"]))
        name = draw(st.sampled_from([f"p{index}", f"adam_m.p{index}"]))
        tensor = np.arange(index * 100, index * 100 + int(np.prod(dims))).astype(kind).reshape(dims)
        run.tensors[name], run.layouts[name] = tensor, Lay(dev_matrix, tensor_map)
    return run


def merged(directory: Path, destination: Path, form: Format = Format.SAFETENSORS) -> Path:
    """Merge all of a save; return the file."""
    destination.mkdir()
    merge(open_iteration(directory).plan(keep=tuple(Family)), destination, OutputOptions(form))
    return destination / (MODEL if form is Format.SAFETENSORS else FILTERED)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs(), seed=st.integers(0, 1 << 20), alone=st.booleans())
def test_any_layout_is_put_together(
    tmp_path_factory: pytest.TempPathFactory, run: Run, seed: int, *, alone: bool
) -> None:
    """With each slice in one file or in all replicas', mixed dimensions too: every byte is there, in both formats."""
    run.source = tmp_path_factory.mktemp("run")
    directory = write(run, who=by_lot(seed) if alone else None)
    output = merged(directory, run.source / "merged")
    assert {
        name: (each["dtype"], tuple(each["shape"]), bytes(each["data"]))
        for name, each in safetensors.deserialize(output.read_bytes())
    } == {name: (DTYPES[str(each.dtype)], each.shape, each.tobytes()) for name, each in run.tensors.items()}
    assert diff([output], [merged(directory, run.source / "ckpt", Format.CKPT)]).same
    assert verify(run.source / "ckpt").ok


@pytest.mark.parametrize("form", Format)
def test_a_real_save_is_the_whole_model(tmp_path: Path, form: Format) -> None:
    """But for five scalars, which are not in it; inference's caches, two thirds of its bytes, are no weights."""
    found = diff([merged(REAL, tmp_path / "merged", form)], [WHOLE])
    assert (found.only_a, found.contents, found.described, found.compared) == ((), (), (), 52)
    assert set(found.only_b) == {"epoch_num", "global_batch_size", "step_num", "loss_scale", "scale_sense"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two replicas of two slices, a whole, a buffer."""
    run = Run(tmp_path / "output", 4, prefix="glm4")
    for name, tensor_map in {
        ROWS: (0, -1),
        "norm.weight": (-1,),
        "x.key_cache": (-1, -1),
        "adam_m.norm.weight": (-1,),
    }.items():
        dims = [4, 3][: len(tensor_map)]
        run.tensors[name] = np.arange(np.prod(dims)).astype("float32").reshape(dims)
        run.layouts[name] = Lay((2, 2), tensor_map)
    return run


Change = Callable[[Json], object]


def parameter(metadata: Json) -> Json:
    """Return what metadata.json says of ROWS."""
    found: Json = metadata["state_dict_metadata"][ROWS]
    return found


def places(metadata: Json, number: int = 0) -> list[Json]:
    """Return what it says of the files of a slice."""
    found: list[Json] = metadata["storage_data"][str((ROWS, (number,)))]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    (
        (lambda it: parameter(it).update(global_shape=[8, 3]), "tensor_shape is"),
        (lambda it: parameter(it).update(axis_fragmentations=[1, 2]), r"axis_fragmentations \[1, 2\] are not \[2, 1\]"),
        (lambda it: parameter(it)["layout"].update(tensor_map=[1, 1]), "does not fit dev_matrix"),
        (lambda it: parameter(it)["layout"].update(tensor_map=[-1, 0]), "tensor_shape is"),
        (lambda it: parameter(it)["chunk"].pop(), "it has 2 slices, but other ones are described, or not all"),
        (lambda it: parameter(it)["chunk"][0].update(global_offset=[2]), "it has 2 slices, but other ones"),
        (lambda it: parameter(it)["chunk"][0].update(local_shape=[1, 3]), "its slices have 2 shapes"),
        (lambda it: parameter(it).update(chunk=[]), "its slices have 0 shapes"),
        (lambda it: parameter(it)["properties"].update(dtype="Float16"), r"it is Float32\[2, 3\], but .* says Float16"),
        (lambda it: it["storage_data"].pop(str((ROWS, (1,)))), "no file has slice 1 of it"),
        (lambda it: places(it).clear(), "no file has slice 0 of it"),
        (lambda it: places(it)[0].update(file_name="glm4-model-0000009-0000004.safetensors"), "is not there, though"),
        (lambda it: places(it)[0].update(file_name="glm4-opt-0000000-0000004.safetensors"), "it is missing here"),
        (lambda it: places(it)[0].update(file_name="../a.safetensors"), "is not the name of a safetensors file"),
        (lambda it: places(it)[0].update(file_name="common.json"), "is not the name of a safetensors file"),
        (lambda it: places(it).extend(places(it, 1)), "has two slices of it there"),
        (lambda it: places(it).pop(), "does not say that it is there"),
        (lambda it: it["state_dict_metadata"].pop(ROWS), "it has files, but is no slice of a parameter"),
        (lambda it: it["storage_data"].update({"x": []}), "x: it has files, but is no slice"),
        (lambda it: it["state_dict_metadata"].update({"a\nb": parameter(it)}), "it is no parameter's name"),
    ),
)
def test_metadata_that_contradicts_itself_or_the_tensors_is_refused(run: Run, change: Change, message: str) -> None:
    """With the file's and the parameter's name; nothing is guessed."""
    with pytest.raises(InconsistentError, match=message) as refused:
        open_iteration(write(run, change=change))
    assert "iteration_00000008" in str(refused.value)


def test_slices_whose_numbers_are_exchanged_have_no_other_mark(run: Run) -> None:
    """metadata.json alone says which slice a file has; replicas that it puts together differ, and are refused."""

    def change(metadata: Json) -> None:
        first, second = places(metadata), places(metadata, 1)
        first[0], second[0] = second[0], first[0]

    directory = write(run, change=change)
    with pytest.raises(
        InconsistentError, match=rf"glm4-model-\d+-0000004\.safetensors: {ROWS}: it differs from that of"
    ):
        merged(directory, run.source / "merged")


@pytest.mark.parametrize(
    "content",
    ("", "{", "[]", "{}", '{"state_dict_metadata": {}}', '{"state_dict_metadata": {"a": 1}, "storage_data": {}}', "\0"),
)
def test_what_is_no_metadata_is_refused(run: Run, content: str) -> None:
    """Cut off, or something else."""
    directory = write(run)
    (directory / "metadata.json").write_text(content)
    with pytest.raises(DamagedFileError, match=r"metadata\.json.*: .*; it is no metadata\.json"):
        open_iteration(directory)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs(), data=st.data())
def test_any_damage_of_a_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, run: Run, data: st.DataObject
) -> None:
    """A file that is cut, gone, or lacks or exceeds what is said of it."""
    run.source = tmp_path_factory.mktemp("run")
    directory = write(run, who=by_lot(0))
    files = contents(run, by_lot(0))[1]
    name = data.draw(st.sampled_from(sorted(files)))
    path, tensors = directory / name, files[name]
    entry = data.draw(st.sampled_from(sorted(tensors)))
    match data.draw(st.sampled_from(["cut", "gone", "less", "more", "shape", "type", "stray"])):
        case "cut":
            content = path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size - 1))]
            path.unlink()
            path.write_bytes(content)
        case "gone":
            path.unlink()
        case "less":
            write_file(
                path, {each: tensors[each] for each in tensors if each != entry} | {"else": np.zeros(2, "int64")}
            )
        case "more":
            write_file(path, tensors | {"more": np.zeros(2, "int64")})
        case "shape":
            write_file(path, tensors | {entry: np.concatenate([tensors[entry]] * 2)})
        case "type":
            write_file(path, tensors | {entry: tensors[entry].astype("int32")})
        case _:
            write_file(directory / "glm4-model-0000077-0000077.safetensors", tensors)
    with pytest.raises(CkptError, match=r"\.safetensors"):
        merged(directory, run.source / "merged")


def test_interleaved_slices_are_not_merged(run: Run) -> None:
    """Refused rather than guessed."""
    with pytest.raises(UnsupportedLayoutError, match=f"{ROWS}: its slices are interleaved"):
        open_iteration(write(run, change=lambda it: parameter(it)["layout"].update(interleaved_parallel=True)))


def test_what_was_not_finite_is_named_with_its_file(run: Run) -> None:
    """There are no ranks to name."""
    run.tensors["norm.weight"][1] = np.nan  # type: ignore[call-overload]
    directory = write(run, who=lambda _name, _group: 0)
    with pytest.raises(NotFiniteError, match=r"norm\.weight \(1 NaN, glm4-model-0000000-0000004\.safetensors\)"):
        merged(directory, run.source / "merged")


def test_the_manifest_names_metadata_and_files(run: Run) -> None:
    """So that the same merge again does nothing, and another save's is another."""
    plan = open_iteration(write(run)).plan()
    (run.source / "merged").mkdir()
    manifest = merge(plan, run.source / "merged", OutputOptions(Format.SAFETENSORS))
    assert [Path(file.path).name for file in manifest.strategies] == ["metadata.json"]
    assert [Path(file.path).name for file in manifest.sources.values()] == sorted(contents(run)[1])
    assert (manifest.entries_in, dict(manifest.dropped), manifest.unlaid) == (3, {Family.OPTIMIZER: 1}, ())
    written = (run.source / "merged" / MODEL).stat()
    assert merge(plan, run.source / "merged", OutputOptions(Format.SAFETENSORS)) == manifest
    assert (run.source / "merged" / MODEL).stat().st_mtime_ns == written.st_mtime_ns
    metadata = json.loads((run.source / "checkpoint" / "iteration_00000008" / "metadata.json").read_text())
    assert set(metadata["state_dict_metadata"]) == {*run.tensors}
