"""Promises of ckpt.looking.diff: it finds every difference, says where, and needs no more memory for more bytes."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ckpt import Format, InconsistentError, OutputOptions, merge, open_set
from handlers.ckpt.looking.diff import BLOCK, Difference, diff
from tests.unit.handlers.ckpt.ckpt_writer import Array, Run, Write, ckpt, record

TENSORS: dict[str, Array] = {
    "w": np.arange(12, dtype="float16").reshape(3, 4),
    "b": np.ones(3, "float32"),
    "step": np.array(7, "int32"),
}


def compared(written: Write, a: bytes, b: bytes) -> Difference:
    """Write two checkpoints and compare them."""
    return diff([written(a, "a.ckpt")], [written(b, "b.ckpt")])


def test_equal_files_do_not_differ(written: Write) -> None:
    """Every parameter is compared, nothing is found."""
    found = compared(written, ckpt(TENSORS), ckpt(TENSORS))
    assert found.same
    assert found.compared == 3


def test_names_in_one_only_are_told(written: Write) -> None:
    """Each side's own, in its order."""
    found = compared(written, ckpt(TENSORS), ckpt({"w": TENSORS["w"], "x": TENSORS["b"]}))
    assert (found.only_a, found.only_b, found.same) == (("b", "step"), ("x",), False)


def test_another_shape_or_type_is_told(written: Write) -> None:
    """With both descriptions; contents that cannot be compared are not."""
    found = compared(
        written, ckpt(TENSORS), ckpt(TENSORS | {"w": np.zeros((4, 3), "float16"), "b": np.ones(3, "int32")})
    )
    assert [(each.name, each.a, each.b) for each in found.described] == [
        ("w", "Float16[3, 4]", "Float16[4, 3]"),
        ("b", "Float32[3]", "Int32[3]"),
    ]
    assert (found.compared, found.contents) == (1, ())


def test_another_order_is_told(written: Write) -> None:
    """By the first parameter that stands elsewhere; what is in one only does not count as order."""
    found = compared(written, ckpt(TENSORS), ckpt(dict(reversed(TENSORS.items()))))
    assert (found.reordered, found.contents, found.same) == ("w", (), False)
    assert compared(written, ckpt(TENSORS), ckpt({"new": TENSORS["w"]} | TENSORS)).reordered is None


def test_differing_elements_are_counted_and_the_first_is_named(written: Write) -> None:
    """Where the first is, how many, and how far apart the furthest are."""
    other = TENSORS["w"].copy()
    other[1, 2] += 0.5
    other[2, 3] -= 3
    (found,) = compared(written, ckpt(TENSORS), ckpt(TENSORS | {"w": other})).contents
    assert (found.name, found.first, found.index, found.count, found.elements) == ("w", 6, (1, 2), 2, 12)
    assert (found.max_abs, found.not_finite) == (3.0, 0)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_numpy_agrees(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever the type and wherever they differ, blocks' edges included: what numpy says of the whole tensors."""
    kind = data.draw(st.sampled_from(("float16", "float32", "int32", "int64", "bool")))
    size = data.draw(st.sampled_from((1, 5, BLOCK // 4, BLOCK + 3)))
    one = np.random.default_rng(size).integers(0, 2, size).astype(kind)
    two = one.copy()
    for at in data.draw(st.lists(st.integers(0, size - 1), max_size=5)):
        two[at] = not two[at]
    directory = tmp_path_factory.mktemp("diff")
    (directory / "a").write_bytes(ckpt({"first": TENSORS["b"], "t": one}))
    (directory / "b").write_bytes(ckpt({"first": TENSORS["b"], "t": two}))
    found = diff([directory / "a"], [directory / "b"])
    where = np.flatnonzero(one != two)
    assert found.same == (where.size == 0)
    for each in found.contents:
        assert (each.first, each.count) == (where[0], where.size)
        assert each.max_abs == (1.0 if kind.startswith("float") else None)


@pytest.mark.parametrize(
    ("a", "b", "max_abs", "not_finite"),
    (
        ([1.0, np.nan], [1.0, np.nan], "same", 0),
        ([0.0, 1.0], [-0.0, 1.0], 0.0, 0),
        ([1.0, np.nan], [2.0, 3.0], 1.0, 1),
        ([1.0, np.inf], [1.0, 2.0], None, 1),
    ),
)
def test_elements_are_compared_by_their_bits(
    written: Write, a: list[float], b: list[float], max_abs: float | str | None, not_finite: int
) -> None:
    """A NaN equals itself, the two zeros differ, and what is not finite is counted apart."""
    found = compared(written, ckpt({"t": np.array(a, "float32")}), ckpt({"t": np.array(b, "float32")}))
    if max_abs == "same":
        assert found.same
    else:
        assert [(each.max_abs, each.not_finite) for each in found.contents] == [(max_abs, not_finite)]


@pytest.mark.parametrize(
    ("kind", "a", "b", "max_abs"),
    (
        ("BFloat16", b"\x80\x3f\x00\x40", b"\x80\x3f\x80\x3f", 1.0),  # 1, 2 and 1, 1
        ("Complex64", np.array([3 + 4j], "<c8").tobytes(), np.array([0j], "<c8").tobytes(), 5.0),
        ("Complex128", np.array([3 + 4j], "<c16").tobytes(), np.array([0j], "<c16").tobytes(), 5.0),
        ("Float64", np.array([1e308], "<f8").tobytes(), np.array([-1e308], "<f8").tobytes(), np.inf),
        ("UInt8", b"\x01", b"\x02", None),
    ),
)
def test_every_type_has_its_distance(written: Write, kind: str, a: bytes, b: bytes, max_abs: float | None) -> None:
    """Floating types do, also those that numpy lacks; others have none."""
    dims = [2] if kind == "BFloat16" else [1]
    (found,) = compared(written, record("t", dims, kind, a), record("t", dims, kind, b)).contents
    assert found.max_abs == max_abs


def test_scalars_and_texts_are_compared(written: Write) -> None:
    """A scalar of shape () has no index; texts of unequal lengths differ in what they are."""
    (found,) = compared(written, ckpt(TENSORS), ckpt(TENSORS | {"step": np.array(8, "int32")})).contents
    assert (found.dims, found.index, found.count) == ((), (), 1)
    short, long = (record("t", [0], "str", text.encode("utf-32-le")) for text in ("ab", "abc"))
    (described,) = compared(written, short, long).described
    assert (described.a, described.b) == ("str[] of 8 bytes", "str[] of 12 bytes")


def test_chunks_do_not_matter(written: Write) -> None:
    """A tensor in two records equals the same tensor in one."""
    whole = TENSORS["w"].tobytes()
    cut = b"".join(record("w", [3, 4], "Float16", part) for part in (whole[:10], whole[10:]))
    assert compared(written, cut, record("w", [3, 4], "Float16", whole)).same


def test_one_side_may_be_several_files(written: Write) -> None:
    """As a large model's are; a name in two of them is refused."""
    parts = [written(ckpt({name: tensor}), f"{name}.ckpt") for name, tensor in TENSORS.items()]
    whole = written(ckpt(TENSORS))
    assert diff(parts, [whole]).same
    with pytest.raises(InconsistentError, match=r"w\.ckpt: w: it is in .*shard\.ckpt too"):
        diff([whole, parts[0]], [whole])


def test_formats_may_differ(run: Run, tmp_path: Path) -> None:
    """A .ckpt equals its safetensors, several and in another order; between safetensors the metadata counts."""
    plan = open_set([run.shard(rank) for rank in range(4)], [run.strategy]).plan()
    paths = {}
    for name, options in (
        ("ckpt", OutputOptions()),
        ("one", OutputOptions(Format.SAFETENSORS)),
        ("several", OutputOptions(Format.SAFETENSORS, max_shard_size=500)),
    ):
        (tmp_path / name).mkdir()
        paths[name] = [tmp_path / name / file.name for file in merge(plan, tmp_path / name, options).files]
    assert diff(paths["ckpt"], paths["several"]).same
    assert diff(paths["one"], paths["ckpt"]).same
    (other,) = paths["one"]
    other.chmod(0o600)
    other.write_bytes(other.read_bytes().replace(b'"format":"ms"', b'"format":"pt"'))
    found = diff(paths["one"], paths["several"])
    assert (found.metadata, found.same) == ({"format": ("pt", "ms")}, False)


def test_progress_ends_with_all_bytes(written: Write) -> None:
    """The last report says that everything was compared."""
    reports: list[tuple[int, int]] = []
    diff([written(ckpt(TENSORS))], [written(ckpt(TENSORS), "b")], lambda done, of: reports.append((done, of)))
    assert reports[-1] == (40, 40)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Thirty blocks that all differ take no more than a few at a time."""
    for name, value in (("a", 0), ("b", 1)):
        (tmp_path / name).write_bytes(ckpt({"t": np.full(30 * BLOCK // 2, value, "float16")}))
    diff([tmp_path / "a"], [tmp_path / "b"])  # imports numpy
    tracemalloc.start()
    diff([tmp_path / "a"], [tmp_path / "b"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 28 * BLOCK


def test_a_file_that_changes_while_it_is_compared_is_refused(run: Run) -> None:
    """The verdict would be about neither of its states."""
    other = run.source / "copy.ckpt"
    other.write_bytes(run.shard(0).read_bytes())
    with pytest.raises(InconsistentError, match=r"copy\.ckpt changed while it was read"):
        diff([run.shard(0)], [other], lambda *_: os.utime(other))
