"""The configuration of a training that begins with other weights than its YAML names: a few keys are changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt import Format
from handlers.codes import Code
from handlers.errors import HandlerError
from handlers.mindformers.dialect import Dialect, NewFormat
from handlers.validate.document import parse
from handlers.validate.yaml_nodes import Data
from handlers.validate.yaml_scalars import Scalar

_SECTION = "checkpoint"


class UnresumableError(HandlerError):
    """The configuration cannot be made into one that resumes."""

    code = Code.CONFIG_NOT_RESUMABLE


@dataclass(frozen=True)
class Beginning:
    """What a training is to begin with, and what MindFormers has to be told of it."""

    weights: Path
    """A file, or a directory."""
    format: Format = Format.CKPT
    resume: bool | str = True
    """Whether to go on where the weights were saved; the name of rank 0's file where the version takes it."""
    cuts: bool = False
    """Whether MindFormers is to cut them for the ranks: not those of this training's own layout."""
    is_shared_out: bool = False
    """Whether each rank's file leaves out what others have (remove_redundancy)."""
    is_iteration: bool = False
    """Whether they lie, and are loaded, in MindFormers' new format."""

    def keys(self, dialect: Dialect, config: Mapping[Scalar, Data]) -> dict[Scalar, Data]:
        """Return the top-level keys of the YAML that say so, in a version that has them.

        Read in MindFormers 1.9: `load_checkpoint` stands beside the section's `load_path` since `resume_training` is
        taken back where it is empty; with .ckpt as the format it is handed to MindIO.
        """
        keys: dict[Scalar, Data] = {
            "load_checkpoint": str(self.weights),
            "resume_training": bool(self.resume) if self.is_iteration else self.resume,
            "auto_trans_ckpt": self.cuts,
        }
        if dialect.loads_safetensors:
            keys |= {"load_ckpt_format": str(self.format), "remove_redundancy": self.is_shared_out}
        section = config.get(_SECTION)
        if self.is_iteration and dialect.new_format is NewFormat.BY_SECTION and isinstance(section, dict) and section:
            keys[_SECTION] = {**section, "load_path": str(self.weights), "no_load_optim": not self.resume}
        return keys


def beginning_with(config: bytes, beginning: Beginning, dialect: Dialect) -> bytes:
    """Return `config` (the bytes of a config.yaml) with what makes MindFormers begin with `beginning`.

    All else stays byte for byte. Raises UnresumableError, or ConfigError where a key cannot be cut out of the file.
    """
    before = parse(config, "config.yaml", len(config)).root.data
    if not isinstance(before, dict):
        raise UnresumableError("config.yaml: it is no mapping")
    keys = beginning.keys(dialect, before)
    for key in keys:
        config = parse(config, "config.yaml", len(config)).without(str(key))
    try:
        lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    except TypeError as error:
        raise UnresumableError(f"config.yaml: {_SECTION} holds what cannot be written again: {error}") from error
    what = "resumes this training" if beginning.resume else "lets this training continue from a published output"
    added = "\n".join(["", f"# Set by glmd, which {what}:", *lines, ""])
    changed = config.rstrip(b"\n") + b"\n" + added.encode()
    after = parse(changed, "config.yaml", len(changed)).root.data
    if not isinstance(after, dict) or after != {**before, **keys}:
        raise UnresumableError("config.yaml: keys for resuming cannot be added at its end: is there a `...` line?")
    return changed
