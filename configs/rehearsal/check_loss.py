"""Prove a merge: the loss of a fresh network with the merged, filtered weights is the trained ranks'.

    python check_loss.py JOB/merged/filtered_transformed.ckpt

Prints one JSON object. Exit code 1 when the losses differ in any bit, 2 when the checkpoint does not hold the network.
Runs in the training environment (Python 3.9).
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


def loss_of(checkpoint: Path, config: MindFormerConfig) -> float:
    """Return the loss on the fixed batch of `config`'s network with the weights of `checkpoint`.

    Raises ValueError if a weight is missing there or is of another shape or type.
    """
    import mindspore  # noqa: PLC0415
    from fixed_batch import loss_on_fixed_batch  # noqa: PLC0415
    from mindformers.models import build_model  # noqa: PLC0415

    network = build_model(config.model)
    found = mindspore.load_checkpoint(str(checkpoint))
    for parameter in network.get_parameters():
        stored = found.get(parameter.name)
        if stored is None or stored.shape != parameter.shape or stored.dtype != parameter.dtype:
            is_there = "is missing" if stored is None else f"is {stored.dtype} {stored.shape}"
            raise ValueError(f"{checkpoint}: {parameter.name} {is_there}, wanted {parameter.dtype} {parameter.shape}")
    mindspore.load_param_into_net(network, found, strict_load=True)
    return loss_on_fixed_batch(network, config)


def compare(checkpoint: Path, yaml: Path, trained: Path) -> dict[str, object]:
    """Return the losses before the training, after it, and of `checkpoint`, and whether the last two are the same."""
    import mindspore  # noqa: PLC0415
    from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415

    mindspore.set_context(device_target="CPU")
    config = MindFormerConfig(str(yaml))
    config.model.model_config.checkpoint_name_or_path = ""
    config.model.model_config.pop("pet_config", None)  # adapters are merged into the weights by now
    before, loss = loss_of(Path(config.load_checkpoint), config), loss_of(checkpoint, config)
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
    parser.add_argument("checkpoint", type=Path, help="filtered_transformed.ckpt")
    parser.add_argument("--config", type=Path, help="the YAML that was trained; default: JOB/config.yaml")
    parser.add_argument("--trained", type=Path, help="default: JOB/output/rehearsal/trained_loss.json")
    options = parser.parse_args()
    job = options.checkpoint.absolute().parents[1]
    os.environ["OMP_NUM_THREADS"] = "1"  # as the ranks: the number of threads is part of how a sum is rounded
    sys.stdout = sys.stderr  # MindFormers logs to stdout
    try:
        found = compare(
            options.checkpoint,
            options.config or job / "config.yaml",
            options.trained or job / "output" / "rehearsal" / "trained_loss.json",
        )
    except ValueError as problem:
        print(problem)
        return 2
    print(json.dumps(found), file=sys.__stdout__)
    return 0 if found["equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
