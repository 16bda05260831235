"""What a file must say of the strategy files so that the merge finds them, and whether they name every weight."""

import posixpath

from handlers.codes import Code
from handlers.mindformers.dialect import Dialect
from handlers.validate.document import Place
from handlers.validate.problem import Findings, quoted

_STRATEGY_FILE = "ckpt_strategy.ckpt"
_CONFIG_KEYS = ("load_file", "save_file", "only_trainable_params")
"""All that MindSpore takes in strategy_ckpt_config, from 2.0 on."""


def check_strategy_files(root: Place, dialect: Dialect, findings: Findings) -> None:
    """Find what would put strategy files where the merge does not look, and what ends MindSpore as it is set up."""
    config = root.get("parallel", "strategy_ckpt_config")
    places = (root.get("parallel", "strategy_ckpt_save_file"), config and config.get("save_file"))
    for place in filter(None, places):
        if not isinstance(place.data, str) or posixpath.normpath(place.data) != _STRATEGY_FILE:
            hint = f"leave it at ./{_STRATEGY_FILE}: the merge looks for these files in output/strategy"
            findings.problems.append(
                place.problem(Code.CONFIG_STRATEGY_FILES, f"{quoted(place.data)} would not be found", hint)
            )
    if config is None:
        return
    if not isinstance(config.data, dict):
        hint = "as `{only_trainable_params: False}`"
        findings.problems.append(
            config.problem(Code.CONFIG_NOT_A_MAPPING, f"{quoted(config.data)} is not a mapping", hint)
        )
        return
    if (only := config.get("only_trainable_params")) and not isinstance(only.data, bool):
        findings.problems.append(only.problem(Code.CONFIG_VALUE, f"{quoted(only.data)} is neither True nor False"))
    for place in config:
        if place.name not in _CONFIG_KEYS:
            findings.problems.append(
                place.key_problem(Code.CONFIG_UNKNOWN_KEY, "MindSpore does not know it", f"it takes {_CONFIG_KEYS}")
            )
    _check_order(root["parallel"], dialect, findings)


def _check_order(parallel: Place, dialect: Dialect, findings: Findings) -> None:
    """Find a save_file behind the other setting: MindSpore takes the last one, which only the other's path is put in.

    Tried with MindSpore 2.0.
    """
    keys = [place.name for place in parallel]
    save_file = parallel.get("strategy_ckpt_config", "save_file")
    if dialect.sets_strategy_path or save_file is None or "strategy_ckpt_save_file" not in keys:
        return
    if keys.index("strategy_ckpt_save_file") < keys.index("strategy_ckpt_config"):
        hint = "MindSpore uses the later of the two settings, relative to the directory of each rank: remove it"
        findings.problems.append(
            save_file.problem(
                Code.CONFIG_STRATEGY_FILES, "would not be found, because of strategy_ckpt_save_file", hint
            )
        )


def names_frozen_weights(root: Place) -> bool:
    """Return whether strategy files will name weights that are not trained, too."""
    only = root.get("parallel", "strategy_ckpt_config", "only_trainable_params")
    return only is not None and only.data is False
