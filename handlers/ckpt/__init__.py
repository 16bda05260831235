"""MindSpore's checkpoint files, and merging a run's shards into one: a library that needs nothing else of glmd.

    from pathlib import Path
    from handlers.ckpt import merge, open_set, verify
    shards = [f"output/checkpoint/rank_{rank}/glm-6b_rank_{rank}-31_4.ckpt" for rank in range(2)]
    merge(open_set(shards, ["output/strategy/ckpt_strategy_rank_0.ckpt"]).plan(), Path("merged"))
    assert verify(Path("merged")).ok

`open_set` reads only headers, `plan` refuses whatever does not fit together, `merge` writes the output's files front to
back, all or none, with a manifest beside them, and `verify` reads them again. Errors are CkptError and OSError.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

# ruff: noqa: TC004 - they are imported when they are asked for, by _Library
if TYPE_CHECKING:
    from handlers.ckpt.agreement import check_names
    from handlers.ckpt.alike import walk_all
    from handlers.ckpt.checkpoint_set import CheckpointSet, open_set
    from handlers.ckpt.copy import Effort
    from handlers.ckpt.crc import check_crc
    from handlers.ckpt.diff import Difference, diff
    from handlers.ckpt.entry import CkptFile, Entry, Family, Fingerprint, Format
    from handlers.ckpt.errors import (
        CkptError,
        DamagedFileError,
        InconsistentError,
        NoSpaceError,
        NotFiniteError,
        OutputExistsError,
        UnsupportedLayoutError,
    )
    from handlers.ckpt.finite import NotFinite
    from handlers.ckpt.inspect import Inspection, inspect
    from handlers.ckpt.layout import Layout
    from handlers.ckpt.lora import Lora, LoraScale, with_adapters
    from handlers.ckpt.manifest import Manifest, read_manifest
    from handlers.ckpt.merge import merge
    from handlers.ckpt.output import OutputOptions
    from handlers.ckpt.plan import Plan, plan_merge
    from handlers.ckpt.strategy import Strategy, read_strategies, read_strategy
    from handlers.ckpt.verify import Problem, Verification, verify
    from handlers.ckpt.walk import walk

__all__ = [
    "CheckpointSet",
    "CkptError",
    "CkptFile",
    "DamagedFileError",
    "Difference",
    "Effort",
    "Entry",
    "Family",
    "Fingerprint",
    "Format",
    "InconsistentError",
    "Inspection",
    "Layout",
    "Lora",
    "LoraScale",
    "Manifest",
    "NoSpaceError",
    "NotFinite",
    "NotFiniteError",
    "OutputExistsError",
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
    "open_set",
    "plan_merge",
    "read_manifest",
    "read_strategies",
    "read_strategy",
    "verify",
    "walk",
    "walk_all",
    "with_adapters",
]

_MODULES = {
    "CheckpointSet": "checkpoint_set",
    "CkptError": "errors",
    "CkptFile": "entry",
    "DamagedFileError": "errors",
    "Difference": "diff",
    "Effort": "copy",
    "Entry": "entry",
    "Family": "entry",
    "Fingerprint": "entry",
    "Format": "entry",
    "InconsistentError": "errors",
    "Inspection": "inspect",
    "Layout": "layout",
    "Lora": "lora",
    "LoraScale": "lora",
    "Manifest": "manifest",
    "NoSpaceError": "errors",
    "NotFinite": "finite",
    "NotFiniteError": "errors",
    "OutputExistsError": "errors",
    "OutputOptions": "output",
    "Plan": "plan",
    "Problem": "verify",
    "Strategy": "strategy",
    "UnsupportedLayoutError": "errors",
    "Verification": "verify",
    "check_crc": "crc",
    "check_names": "agreement",
    "diff": "diff",
    "inspect": "inspect",
    "merge": "merge",
    "open_set": "checkpoint_set",
    "plan_merge": "plan",
    "read_manifest": "manifest",
    "read_strategies": "strategy",
    "read_strategy": "strategy",
    "verify": "verify",
    "walk": "walk",
    "walk_all": "alike",
    "with_adapters": "lora",
}
"""Where each of them is. Imported when it is asked for: a shim that needs `durable` does not wait for the others."""


class _Library(ModuleType):
    """Lets names mean what is listed above, also those that are names of modules, too: `merge` is the function."""

    def __getattr__(self, name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _MODULES or not isinstance(value, ModuleType):  # a module that was imported just now
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Library
