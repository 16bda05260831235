"""What two trainings have in common whose losses can be compared with each other: all that shapes the loss."""

import hashlib
import json
from collections.abc import Mapping

_LEFT_OUT = frozenset(
    {
        # Where things lie, what is printed and saved when, and what only another run mode reads.
        "output_dir",
        "load_checkpoint",
        "resume_training",
        "src_strategy_path_or_dir",
        "auto_trans_ckpt",
        "callbacks",
        "auto_tune",
        "autotune_per_step",
        "filepath_prefix",
        "remote_save_url",
        "profile",
        "metric",
        "eval_callbacks",
        "eval_dataset",
        "eval_dataset_task",
        "do_eval",
        "eval_step_interval",
        "eval_epoch_interval",
    }
)
"""Keys of the whole file."""
_NAMES = frozenset({"checkpoint_name_or_path"})
"""Keys anywhere, of names."""


def configuration(config: Mapping[str, object], ranks: int) -> str:
    """Return a digest of what shapes the loss of a training on so many ranks; `config` is its YAML, as data.

    Paths do not count: of the data it is what they hold that does, and a night's may have a date in their names.
    """
    shaping = {str(key): _without_places(value) for key, value in config.items() if key not in _LEFT_OUT}
    text = json.dumps({"ranks": ranks, "config": shaping}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_places(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _without_places(inner) for key, inner in value.items() if key not in _NAMES}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    return "/" if isinstance(value, str) and value.startswith("/") else value
