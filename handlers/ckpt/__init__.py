"""MindSpore's checkpoint files, and merging a run's shards into one: a library that needs nothing else of glmd.

    shards = {rank: walk(path) for rank, path in paths.items()}
    plan = plan_merge(shards, read_strategy(strategy_path))
    manifest = merge(plan, Path("merged/filtered_transformed.ckpt"))

`walk` reads only headers, `plan_merge` refuses whatever does not fit together, `merge` writes the output front to back,
whole or not at all, with a manifest beside it.
"""

from handlers.ckpt.entry import CkptFile, Entry, Family, Fingerprint
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
from handlers.ckpt.plan import Plan, check_names, plan_merge
from handlers.ckpt.record import walk
from handlers.ckpt.strategy import Strategy, read_strategies, read_strategy

__all__ = [
    "CkptError",
    "CkptFile",
    "DamagedFileError",
    "Entry",
    "Family",
    "Fingerprint",
    "InconsistentError",
    "Inspection",
    "Layout",
    "Manifest",
    "NoSpaceError",
    "OutputExistsError",
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
