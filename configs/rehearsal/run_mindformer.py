"""The rehearsal's run_mindformer.py: takes the options of a MindFormers 0.8 checkout's, trains on CPU ranks.

MindFormers' wheel has no run_mindformer.py, so this one builds configuration and trainer from the installed package.
What is not as on Ascend, because a CPU cannot do it:

* semi_auto_parallel refuses a CPU. The ranks train data parallel, for real: each global batch is split over them, their
  gradients are averaged, and all hold the whole model. When a checkpoint is saved, each rank writes the slice that
  model_parallel gives it on Ascend, and a strategy file that says so (model_parallel.py).
* There is no data sinking, so an "epoch" of sink_size steps must be one pass over the data.
* Overflow is looked for in the gradients, since there are no NPU overflow registers.

Training, optimizer, loss scaling, file formats, names and log are MindFormers' and MindSpore's own. At the end rank 0
writes OUTPUT/rehearsal/trained_loss.json: the loss of each rank's network on a fixed batch, for check_loss.py.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

PLACES = {
    "run_mode": "run_mode",
    "use_parallel": "use_parallel",
    "load_checkpoint": "load_checkpoint",
    "output_dir": "output_dir",
    "seed": "seed",
    "mode": "context.mode",
    "device_id": "context.device_id",
    "device_target": "context.device_target",
    "epochs": "runner_config.epochs",
    "batch_size": "runner_config.batch_size",
    "sink_mode": "runner_config.sink_mode",
    "num_samples": "train_dataset.data_loader.num_samples",
    "train_dataset_dir": "train_dataset.data_loader.dataset_dir",
}
"""The options with a name of their own (`--output_dir` came with MindFormers 1.0), and where they go in the YAML."""


def value(text: str) -> object:
    """Return what `text` means on MindFormers' command line: a number, True, False, JSON, or itself."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def command_line(words: list[str] | None = None) -> tuple[Path, dict[str, object]]:
    """Return the YAML to run, and what the command line sets in it, by dotted key."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Any other --KEY=VALUE is a setting of the YAML as well.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, required=True, help="a MindFormers YAML")
    for name, place in PLACES.items():
        parser.add_argument("--" + name, type=value, help=f"{place} in the YAML")
    parser.add_argument("--options", nargs="+", default=[], metavar="KEY=VALUE", help="settings of the YAML")
    options, rest = parser.parse_known_args(words)
    settings = {place: getattr(options, name) for name, place in PLACES.items() if getattr(options, name) is not None}
    for word in [*options.options, *(word[2:] for word in rest if word.startswith("--"))]:
        key, equals, text = word.partition("=")
        if equals:
            settings[key] = value(text)
    return options.config, settings


def main() -> None:
    """Train or evaluate as the command line says."""
    config, settings = command_line()
    if "output_dir" in settings:
        os.environ["LOCAL_DEFAULT_PATH"] = str(settings["output_dir"])  # MindFormers reads it, once, when imported
    if settings.get("run_mode") == "eval":
        from cpu_evaluation import evaluate  # noqa: PLC0415 - as below

        evaluate(config, settings)
        return
    from cpu_training import train  # noqa: PLC0415 - imports MindFormers, which takes seconds

    train(config, settings)


if __name__ == "__main__":
    main()
