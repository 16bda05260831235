"""Make what the rehearsal trains on: rows and initial weights. Always the same values.

    python make_data.py DIRECTORY       # train.mindrecord, initial/

The weights are there once more for each rank, since data parallel ranks load no other safetensors than their own. The
columns are those that GLM-4's stock YAML reads: input_ids and labels. Runs in the environment of today's stack
(Python 3.11).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from mindspore.mindrecord import FileWriter

RANKS = 2
ROWS = 16
LENGTH = 32
"""Tokens of a row: the model's seq_length."""
VOCABULARY = 512
UNCOUNTED = -100
"""The label of a token that has no part in the loss."""


def write_rows(path: Path) -> None:
    """Write rows that count upwards, so that there is something to learn."""
    writer = FileWriter(str(path), overwrite=True)
    writer.add_schema({name: {"type": "int32", "shape": [LENGTH]} for name in ("input_ids", "labels")}, "tiny")
    chance = np.random.default_rng(7)
    for _ in range(ROWS):
        start = int(chance.integers(3, VOCABULARY - LENGTH - 1))
        ids = np.arange(start, start + LENGTH, dtype=np.int32)
        labels = ids + 1  # shifted here: this model compares its logits with the labels place by place
        labels[: LENGTH // 4] = UNCOUNTED
        writer.write_raw_data([{"input_ids": ids, "labels": labels}])
    writer.commit()


def write_initial_weights(path: Path, yaml: Path) -> None:
    """Write the untrained network of `yaml`, so that the rehearsal is a fine-tune like any other."""
    import cpu_shim  # noqa: F401, PLC0415 - imports MindFormers, which takes seconds
    import mindspore  # noqa: PLC0415
    from mindformers.models import build_network  # noqa: PLC0415
    from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415

    mindspore.set_context(device_target="CPU")
    mindspore.set_seed(0)
    network = build_network(MindFormerConfig(str(yaml)).model)
    mindspore.save_checkpoint(network, str(path), format="safetensors")


def main() -> None:
    """Fill the directory that the command line names."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    write_rows(directory / "train.mindrecord")
    weights = directory / "initial" / "model.safetensors"
    weights.parent.mkdir()
    write_initial_weights(weights, Path(__file__).with_name("rehearsal.yaml"))
    for rank in range(RANKS):
        own = weights.parent / f"rank_{rank}"
        own.mkdir()
        os.link(weights, own / weights.name)


if __name__ == "__main__":
    main()
