"""The configuration that a resumed training runs: the job's own, but for the few keys that make MindFormers resume."""

import json
from pathlib import Path

from handlers.codes import Code
from handlers.errors import HandlerError
from handlers.validate.document import parse


class UnresumableError(HandlerError):
    """The configuration cannot be made into one that resumes."""

    code = Code.CONFIG_NOT_RESUMABLE


def resuming(config: bytes, weights: Path) -> bytes:
    """Return `config` (the bytes of a config.yaml) with what makes MindFormers resume from `weights`.

    All else stays byte for byte. `auto_trans_ckpt` is for weights that are cut otherwise: a run's own fit as they are.
    Raises UnresumableError, or ConfigError where a key cannot be cut out of the file.
    """
    keys = {"load_checkpoint": str(weights), "resume_training": True, "auto_trans_ckpt": False}
    for key in keys:
        config = parse(config, "config.yaml", len(config)).without(key)
    lines = [
        "",
        "# Set by glmd, which resumes this training:",
        f"load_checkpoint: {json.dumps(str(weights), ensure_ascii=False)}",
        "resume_training: True",
        "auto_trans_ckpt: False",
        "",
    ]
    before = parse(config, "config.yaml", len(config)).root.data
    resumed = config.rstrip(b"\n") + b"\n" + "\n".join(lines).encode()
    after = parse(resumed, "config.yaml", len(resumed)).root.data
    if not isinstance(before, dict) or after != before | keys:
        raise UnresumableError("config.yaml: keys for resuming cannot be added at its end: is there a `...` line?")
    return resumed
