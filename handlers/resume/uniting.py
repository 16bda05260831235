"""Shards without replicas of ranks that hold the whole network, united into one file that has everything.

MindFormers 1.9 does not load what a rank of a data parallel run has saved with `remove_redundancy: True`: it compiles
cut networks alone before it loads, and MindSpore 2.9 refuses others ("the network should be compiled"). It does load
what such a run saves without that option: the whole network and its optimizer, the same for each rank.
"""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from handlers.ckpt import CopyOptions, Format, NoSpaceError, OutputOptions, Plan, merge, plan_merge, walk_all
from handlers.ckpt.files.durable import make_directory
from handlers.shards.names import Shard

CopyProgress = Callable[[int, int], None]
"""Gets the bytes that are written so far, and in all."""
_OPTIONS = OutputOptions(Format.SAFETENSORS, allow_not_finite=("*",), redundancy=False)
"""A training resumes from what it has saved, whatever that holds; the metadata is MindSpore's of a whole save."""


def planned(shards: tuple[Shard, ...]) -> Plan:
    """Plan the one file of all that `shards` hold, one a rank, by rank. Raises CkptError where they do not fit."""
    plan = plan_merge(walk_all({shard.rank: shard.path for shard in shards}), None, transformed=True)
    return replace(plan, parameters=plan.transformed, transformed=(), left=())


def unite(shards: tuple[Shard, ...], directory: Path, progress: CopyProgress | None = None) -> Path:
    """Write that file into the new `directory`, and return its path; what all ranks have is compared.

    Raises CkptError where the shards do not fit, or are damaged, and OSError.
    """
    make_directory(directory)
    try:
        manifest = merge(
            planned(shards), directory, _OPTIONS, progress=progress, copy_options=CopyOptions(hashed=False)
        )
    except NoSpaceError as error:  # which passes when somebody frees some, as it does for all else that is prepared
        raise OSError(errno.ENOSPC, f"the ranks' shards cannot be united: {error}") from error
    (file,) = manifest.files
    path = directory / file.name
    path.chmod(0o440)  # a shard that can be written to may be unfinished
    return path
