"""The whole checkpoint that the slices of a save make up, for ranks that hold the whole model and resume from slices.

On Ascend each rank loads its own slice, DIRECTORY/rank_N/….ckpt. The rehearsal's ranks cut the model only when they
save it, so they put it together again before MindFormers loads it. Runs in the training environment (Python 3.9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mindspore
import numpy as np
from model_parallel import layout

if TYPE_CHECKING:
    from pathlib import Path


def join(directory: Path, slices: int, path: Path) -> None:
    """Write to `path` the checkpoint whose slices are those that MindFormers would load from `directory`."""
    parts = [mindspore.load_checkpoint(str(newest(directory / f"rank_{rank}"))) for rank in range(slices)]
    joined = []
    for name, first in parts[0].items():
        tensor_map = layout(name) or ()
        array = first.asnumpy()
        if 0 in tensor_map:
            array = np.concatenate([part[name].asnumpy() for part in parts], axis=tensor_map.index(0))
        joined.append({"name": name, "data": mindspore.Tensor(array)})
    path.parent.mkdir(parents=True, exist_ok=True)
    mindspore.save_checkpoint(joined, str(path))


def newest(directory: Path) -> Path:
    """Return what MindFormers 0.8 loads of a rank's directory: what was written last (its get_last_checkpoint)."""
    return max(directory.glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
