"""Promises of handlers.ckpt.planning.output: every parameter has its place before a byte is written."""

import json
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import CkptFile, Fingerprint, Format, OutputOptions, Plan, plan_merge
from handlers.ckpt.entry import Entry, Extent
from handlers.ckpt.planning.output import lay_out


def test_a_tensor_over_512_mib_is_cut_like_numpy_array_split() -> None:
    """Chunks are as equal as elements allow, the first ones longer, and each has the full dims."""
    elements = (3 << 28) + 5  # 1.5 GiB of Float16 and ten bytes
    entry = Entry("big", (elements,), "Float16", (Extent(0, 2 * elements),))
    file = CkptFile(Path("rank_0.ckpt"), Fingerprint(0, 0, 0), {"big": entry})
    (placed,) = lay_out(plan_merge({0: file}, None), OutputOptions()).files[0].placed
    lengths = [extent.length // 2 for extent in placed.extents]
    assert lengths == [len(part) for part in np.array_split(np.empty(elements, "int8"), 4)]
    ends = [extent.offset + extent.length for extent in placed.extents]
    starts = [extent.offset - len(head) for extent, head in zip(placed.extents, placed.heads, strict=True)]
    assert starts == [0, *ends[:-1]]


def plan_of(*sizes: int) -> Plan:
    """Plan one rank's tensors a, b, c… of so many bytes."""
    entries = {
        name: Entry(name, (size,), "Int8", (Extent(0, size),)) for name, size in zip("abcde", sizes, strict=False)
    }
    return plan_merge({0: CkptFile(Path("rank_0.ckpt"), Fingerprint(0, 0, 0), entries)}, None)


@pytest.mark.parametrize(
    ("sizes", "names"),
    (
        ((40, 60, 1), ["ab", "c"]),
        ((40, 61, 40), ["a", "b", "c"]),
        ((500, 1, 2), ["a", "bc"]),
        ((1, 2, 500), ["ab", "c"]),
    ),
)
def test_files_are_filled_up_to_their_limit(sizes: tuple[int, ...], names: list[str]) -> None:
    """In order, no file over 100 bytes of content but for a tensor that is larger by itself."""
    output = lay_out(plan_of(*sizes), OutputOptions(Format.SAFETENSORS, 100))
    assert ["".join(each.parameter.name for each in file.placed) for file in output.files] == names
    assert output.files[0].name == f"model-00001-of-0000{len(names)}.safetensors"
    assert output.index is not None
    assert json.loads(output.index)["weight_map"]["c"] == output.files[-1].name
    assert output.size == sum(file.size for file in output.files) + len(output.index)


def test_what_fits_is_one_file_without_an_index() -> None:
    """The name then has no number, as Hugging Face's libraries want it."""
    output = lay_out(plan_of(40, 60), OutputOptions(Format.SAFETENSORS, 100))
    assert (output.names, output.index) == (("model.safetensors",), None)


def test_a_ckpt_is_never_cut_into_files() -> None:
    """A limit that would not be kept is refused."""
    with pytest.raises(ValueError, match="only safetensors"):
        lay_out(plan_of(1), OutputOptions(Format.CKPT, 100))
