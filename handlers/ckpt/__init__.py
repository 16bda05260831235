"""MindSpore's checkpoint files, and merging a run's shards into one: a library that needs nothing else of glmd.

    shards = {rank: walk(path) for rank, path in paths.items()}
    plan = plan_merge(shards, read_strategy(strategy_path))
    manifest = merge(plan, Path("merged"))

`walk` reads only headers, `plan_merge` refuses whatever does not fit together, `merge` writes the output's files front
to back, all or none, with a manifest beside them.
"""

from handlers.ckpt.copy import Effort
from handlers.ckpt.entry import CkptFile, Entry, Family, Fingerprint, Format
from handlers.ckpt.errors import (
    CkptError,
    DamagedFileError,
    InconsistentError,
    NoSpaceError,
    OutputExistsError,
    UnsupportedLayoutError,
)
from handlers.ckpt.inspect import Inspection, inspect
from handlers.ckpt.layout import Layout
from handlers.ckpt.manifest import Manifest, read_manifest
from handlers.ckpt.merge import merge
from handlers.ckpt.output import OutputOptions
from handlers.ckpt.plan import Plan, check_names, plan_merge
from handlers.ckpt.record import walk
from handlers.ckpt.strategy import Strategy, read_strategies, read_strategy

__all__ = [
    "CkptError",
    "CkptFile",
    "DamagedFileError",
    "Effort",
    "Entry",
    "Family",
    "Fingerprint",
    "Format",
    "InconsistentError",
    "Inspection",
    "Layout",
    "Manifest",
    "NoSpaceError",
    "OutputExistsError",
    "OutputOptions",
    "Plan",
    "Strategy",
    "UnsupportedLayoutError",
    "check_names",
    "inspect",
    "merge",
    "plan_merge",
    "read_manifest",
    "read_strategies",
    "read_strategy",
    "walk",
]
