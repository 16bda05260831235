"""Promises of handlers.ckpt.output: every parameter has its place before a byte is written."""

from pathlib import Path

import numpy as np

from handlers.ckpt import CkptFile, Fingerprint, OutputOptions, plan_merge
from handlers.ckpt.entry import Entry, Extent
from handlers.ckpt.output import lay_out


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
