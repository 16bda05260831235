"""Prove merges: the loss of a network that MindFormers loads from a merged file is the trained ranks'.

    python check_loss.py JOB/merged/FILE …

Prints one JSON object a line for each file. Exit code 1 when losses differ in any bit, 2 when a file does not hold the
network. Adapters (LoRA) must have been merged into their weights; the sums are then rounded in another order, and
`digits` says to how many digits the losses agree. Runs in the environment of today's stack (Python 3.11).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mindformers.tools.register import MindFormerConfig

DIGITS = 17
"""A float is told from all others by so many significant decimal digits."""

CACHE = ".paged_attention_mgr."
"""In the names of what only predicting needs, which no rank saves."""


def loss_of(file: Path, yaml: Path) -> float:
    """Return the loss on the fixed batch of `yaml`'s network, without adapters, with the weights in `file`.

    Raises ValueError if a weight is missing there or is of another shape or type.
    """
    import mindspore  # noqa: PLC0415
    from fixed_batch import loss_on_fixed_batch  # noqa: PLC0415
    from mindformers.models import build_network  # noqa: PLC0415
    from mindformers.trainer.utils import transform_and_load_checkpoint  # noqa: PLC0415

    config = one_process(yaml, file)
    network = build_network(config.model)
    found = mindspore.load_checkpoint(str(file), format=config.load_ckpt_format)
    for parameter in network.get_parameters():
        if CACHE in parameter.name:
            continue
        stored = found.get(parameter.name)
        if stored is None or stored.shape != parameter.shape or stored.dtype != parameter.dtype:
            is_there = "is missing" if stored is None else f"is {stored.dtype} {stored.shape}"
            raise ValueError(f"{file}: {parameter.name} {is_there}, wanted {parameter.dtype} {parameter.shape}")
    transform_and_load_checkpoint(config, mindspore.Model(network), network, None)
    return loss_on_fixed_batch(network, config)


def one_process(yaml: Path, file: Path) -> MindFormerConfig:
    """Return the configuration of `yaml` for a process that loads all of `file` into a plain network."""
    from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415
    from mindformers.trainer.utils import convert_checkpoint_config  # noqa: PLC0415

    config = MindFormerConfig(str(yaml))
    config.update(use_parallel=False, use_legacy_format=True, resume_training=False, auto_trans_ckpt=False)
    config.update(load_checkpoint=str(file), load_ckpt_format=file.suffix[1:], remove_redundancy=False)
    config.model.model_config.pop("pet_config", None)
    config.checkpoint = None
    convert_checkpoint_config(config)
    return config


def compare(file: Path, yaml: Path, trained: Path) -> dict[str, object]:
    """Return the losses of what the YAML names, if any, of `file` and of the trained ranks, and how far they agree."""
    from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415

    began_with = MindFormerConfig(str(yaml)).load_checkpoint
    before = loss_of(Path(began_with, file.name), yaml) if began_with else None
    loss = loss_of(file, yaml)
    wanted = json.loads(trained.read_text())
    return {
        "loss": loss,
        "hex": loss.hex(),
        "trained": wanted["loss"],
        "before": before,
        "equal": {record["hex"] for record in wanted["ranks"]} == {loss.hex()},
        "digits": digits(loss, wanted["loss"]),
    }


def digits(one: float, other: float) -> int:
    """Return to how many significant decimal digits two losses agree."""
    agree = 0
    while agree < DIGITS and f"{one:.{agree}e}" == f"{other:.{agree}e}":
        agree += 1
    return agree


def main() -> int:
    """Compare as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+", help="JOB/merged/FILE, of jobs that have trained")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # as the ranks: the number of threads is part of how a sum is rounded
    sys.stdout = sys.stderr  # MindFormers logs to stdout
    import cpu_shim  # noqa: F401, PLC0415 - imports MindFormers
    import mindspore  # noqa: PLC0415

    mindspore.set_context(device_target="CPU")
    is_equal = True
    for file in options.files:
        job = file.absolute().parents[1]
        try:
            found = compare(file, job / "config.yaml", job / "output" / "rehearsal" / "trained_loss.json")
        except ValueError as problem:
            print(problem)
            return 2
        print(json.dumps(found), file=sys.__stdout__)
        is_equal = is_equal and bool(found["equal"])
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
