"""A published output in the form in which MindFormers loads it: one that is cut for the ranks, or whole for each.

MindFormers 1.5 and newer is told the form; read in 1.9 (utils/load_checkpoint_utils.py, checkpoint/checkpoint.py) and
MindSpore 2.9 (parallel/transform_safetensors.py):

* `.ckpt`: the file for ranks that hold the whole network; else rank 0's of a directory, with auto_trans_ckpt;
* safetensors for a cut network: a directory with nothing else, auto_trans_ckpt, and where there are several files
  param_name_map.json, which reads as Hugging Face's index does;
* safetensors for ranks that hold the whole network: auto_trans_ckpt would ask for strategy files, which they do not
  write, so each rank has a directory of its own, with one file in it;
* in the new format a directory with nothing else; an index there, or the name model.safetensors, would make it one of
  Hugging Face's, which it loads into few models (checkpoint/utils.py: is_hf_checkpoint).
"""

import json
import shutil
from pathlib import Path

from handlers.ckpt import Format
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import make_directory, publish_symlink
from handlers.ckpt.planning.output import INDEX
from handlers.codes import Code
from handlers.resume.config import Beginning
from handlers.validate.initial_weights import NoBaseError
from handlers.validate.published_form import Loader, format_of, why_not_loaded

_NAME_MAP = "param_name_map.json"
_UNSUSPICIOUS = "merged-"
_MOST_BYTES = 64 << 20
"""Of an index."""


def begin_with(weights: Path, loader: Loader, ranks: int, directory: Path) -> Beginning:
    """Lay `weights`, a published output's file or index, out in `directory`, and return what MindFormers is told.

    What lies in `directory` is made again, with links. Raises NoBaseError where it cannot be loaded, and OSError.
    """
    if why := why_not_loaded(weights, loader):
        raise NoBaseError(f"{weights} cannot be loaded", why, Code.CONFIG_WEIGHTS_FORM)
    if directory.exists():
        shutil.rmtree(directory)
    if format_of(weights) is Format.CKPT:
        if not loader.is_cut:
            return Beginning(weights, resume=False)
        _link(weights, directory / "rank_0")
        return Beginning(directory, resume=False, cuts=True)
    if not (loader.is_cut or loader.is_iteration):
        for rank in range(ranks):
            _link(weights, directory / f"rank_{rank}")
        return Beginning(directory, Format.SAFETENSORS, resume=False)
    for file in _files(weights):
        _link(file, directory, _UNSUSPICIOUS if loader.is_iteration else "")
    if loader.is_iteration:
        return Beginning(directory, Format.SAFETENSORS, resume=False, is_iteration=True)
    if weights.name == INDEX:
        publish_symlink(directory / _NAME_MAP, weights)
    return Beginning(directory, Format.SAFETENSORS, resume=False, cuts=True)


def _files(weights: Path) -> list[Path]:
    """Return the safetensors of an output. Raises NoBaseError for an index that is none."""
    if weights.name != INDEX:
        return [weights]
    try:
        names = set(json.loads(read_bounded(weights, _MOST_BYTES))["weight_map"].values())
        return sorted(weights.with_name(str(name)) for name in names)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        hint = "is it cut off? `glmd verify` says more"
        raise NoBaseError(f"{weights} is no index of safetensors", hint, Code.PROMOTION_GONE) from error


def _link(path: Path, directory: Path, before_name: str = "") -> None:
    make_directory(directory)
    publish_symlink(directory / (before_name + path.name), path)
