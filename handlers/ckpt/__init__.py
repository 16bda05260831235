"""MindSpore's checkpoint files, and merging a run's shards into one: a library that needs nothing else of glmd.

    from pathlib import Path
    from handlers.ckpt import merge, open_set, verify
    shards = [f"output/checkpoint/rank_{rank}/glm-6b_rank_{rank}-31_4.ckpt" for rank in range(2)]
    merge(open_set(shards, ["output/strategy/ckpt_strategy_rank_0.ckpt"]).plan(), Path("merged"))
    assert verify(Path("merged")).ok

`open_set` reads only headers, `plan` refuses whatever does not fit together, `merge` writes the output's files front to
back, all or none, with a manifest beside them, and `verify` reads them again. Errors are CkptError and OSError.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handlers.ckpt.copying.copy import CopyOptions
    from handlers.ckpt.entry import CkptFile, Entry, Family, Fingerprint, Format, NotFinite, OutputFormat
    from handlers.ckpt.errors import (
        CkptError,
        DamagedFileError,
        InconsistentError,
        NoSpaceError,
        NotFiniteError,
        OutputExistsError,
        UnsupportedLayoutError,
    )
    from handlers.ckpt.formats.crc import check_crc
    from handlers.ckpt.formats.strategy import Strategy, read_strategies, read_strategy
    from handlers.ckpt.formats.twins import walk_all
    from handlers.ckpt.formats.walk import walk
    from handlers.ckpt.layout import Layout
    from handlers.ckpt.looking.diff import Difference, diff
    from handlers.ckpt.looking.inspect import Inspection, inspect
    from handlers.ckpt.looking.verify import Problem, Verification, verify
    from handlers.ckpt.planning.agreement import check_names
    from handlers.ckpt.planning.checkpoint_set import CheckpointSet, open_set
    from handlers.ckpt.planning.hf_base import BaseModel, read_base
    from handlers.ckpt.planning.hugging_face import HuggingFace
    from handlers.ckpt.planning.iteration import IterationSet, open_iteration
    from handlers.ckpt.planning.lora import Lora, LoraScale, with_adapters
    from handlers.ckpt.planning.network import Names, Network
    from handlers.ckpt.planning.output import OutputOptions
    from handlers.ckpt.planning.plan import Plan, plan_merge
    from handlers.ckpt.publishing.manifest import Manifest, read_manifest
    from handlers.ckpt.publishing.merge import merge

__all__ = [
    "BaseModel",
    "CheckpointSet",
    "CkptError",
    "CkptFile",
    "CopyOptions",
    "DamagedFileError",
    "Difference",
    "Entry",
    "Family",
    "Fingerprint",
    "Format",
    "HuggingFace",
    "InconsistentError",
    "Inspection",
    "IterationSet",
    "Layout",
    "Lora",
    "LoraScale",
    "Manifest",
    "Names",
    "Network",
    "NoSpaceError",
    "NotFinite",
    "NotFiniteError",
    "OutputExistsError",
    "OutputFormat",
    "OutputOptions",
    "Plan",
    "Problem",
    "Strategy",
    "UnsupportedLayoutError",
    "Verification",
    "check_crc",
    "check_names",
    "diff",
    "inspect",
    "merge",
    "open_iteration",
    "open_set",
    "plan_merge",
    "read_base",
    "read_manifest",
    "read_strategies",
    "read_strategy",
    "verify",
    "walk",
    "walk_all",
    "with_adapters",
]

_MODULES = {
    "BaseModel": "planning.hf_base",
    "CheckpointSet": "planning.checkpoint_set",
    "CkptError": "errors",
    "CkptFile": "entry",
    "DamagedFileError": "errors",
    "Difference": "looking.diff",
    "CopyOptions": "copying.copy",
    "Entry": "entry",
    "Family": "entry",
    "Fingerprint": "entry",
    "Format": "entry",
    "HuggingFace": "planning.hugging_face",
    "InconsistentError": "errors",
    "Inspection": "looking.inspect",
    "IterationSet": "planning.iteration",
    "Layout": "layout",
    "Lora": "planning.lora",
    "LoraScale": "planning.lora",
    "Manifest": "publishing.manifest",
    "Names": "planning.network",
    "Network": "planning.network",
    "NoSpaceError": "errors",
    "NotFinite": "entry",
    "NotFiniteError": "errors",
    "OutputExistsError": "errors",
    "OutputFormat": "entry",
    "OutputOptions": "planning.output",
    "Plan": "planning.plan",
    "Problem": "looking.verify",
    "Strategy": "formats.strategy",
    "UnsupportedLayoutError": "errors",
    "Verification": "looking.verify",
    "check_crc": "formats.crc",
    "check_names": "planning.agreement",
    "diff": "looking.diff",
    "inspect": "looking.inspect",
    "merge": "publishing.merge",
    "open_iteration": "planning.iteration",
    "open_set": "planning.checkpoint_set",
    "plan_merge": "planning.plan",
    "read_base": "planning.hf_base",
    "read_manifest": "publishing.manifest",
    "read_strategies": "formats.strategy",
    "read_strategy": "formats.strategy",
    "verify": "looking.verify",
    "walk": "formats.walk",
    "walk_all": "formats.twins",
    "with_adapters": "planning.lora",
}
"""Where each of them is. Imported when it is asked for: a shim that needs `durable` does not wait for the others."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found
