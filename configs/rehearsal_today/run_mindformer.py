"""The rehearsal's run_mindformer.py: goes the way of a MindFormers 1.9 checkout's, on CPU ranks.

MindFormers' wheel has none, so this one builds configuration, context and Trainer of the installed package. What
stands in for what a CPU cannot do is in cpu_shim.py and cpu_layouts.py; and the ranks train data parallel, since
MindSpore cuts networks on Ascend only. Training, optimizer, file formats, names and log are MindFormers' own.

At the end rank 0 writes OUTPUT/rehearsal/trained_loss.json: the loss of each rank's network on a fixed batch, for
check_loss.py.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mindformers.tools.register import MindFormerConfig


def command_line(words: list[str] | None = None) -> tuple[Path, dict[str, str]]:
    """Return the YAML to run, and what the command line sets in it, by dotted key.

    Of the options that a checkout's has, those that bear the name of a key are settings like any other.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Any other --KEY=VALUE is a setting of the YAML.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, required=True, help="a MindFormers YAML")
    parser.add_argument("--output_dir", help="where to write")
    options, rest = parser.parse_known_args(words)
    pairs = (word[2:].partition("=") for word in rest if word.startswith("--") and "=" in word)
    settings = {key: value for key, _, value in pairs}
    return options.config, settings | ({"output_dir": options.output_dir} if options.output_dir else {})


def train(path: Path, settings: dict[str, str]) -> None:
    """Train as the YAML at `path`, changed by `settings`, says; save, and write trained_loss.json."""
    import cpu_layouts  # noqa: PLC0415 - imports MindFormers, which takes seconds
    import cpu_shim  # noqa: F401, PLC0415
    from fixed_batch import ROWS, loss_on_fixed_batch  # noqa: PLC0415
    from mindformers.core.context import build_context  # noqa: PLC0415
    from mindformers.tools.register import MindFormerConfig  # noqa: PLC0415
    from mindformers.trainer import Trainer  # noqa: PLC0415
    from mindformers.utils import set_output_path  # noqa: PLC0415

    config = MindFormerConfig(str(path))
    for key, value in settings.items():
        change(config, key, value)
    set_output_path(config.output_dir)
    build_context(config)
    trainer = Trainer(config)
    trainer.train()
    loss = loss_on_fixed_batch(trainer.trainer.network, config)
    losses = [{"rank": rank, "loss": value, "hex": value.hex()} for rank, value in enumerate(cpu_layouts.gather(loss))]
    if cpu_layouts.RANK == 0:
        path = Path(config.output_dir, "rehearsal", "trained_loss.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"rows": ROWS, "loss": loss, "ranks": losses}, indent=2) + "\n")


def change(config: MindFormerConfig, key: str, text: str) -> None:
    """Set what `key`, with dots between its parts, names; raises KeyError or IndexError where its parents are not."""
    from mindformers.tools.utils import parse_value  # noqa: PLC0415

    *way, last = key.split(".")
    place = config
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = parse_value(text)


def main() -> None:
    """Train as the command line says."""
    train(*command_line())


if __name__ == "__main__":
    main()
