"""What a run says of the health of its saves, in health_ckpts.json beside its checkpoint/.

    [{"is_health": 0, "ckpt_name": "glm4_rank_0-2_4.safetensors"}, …]

With use_checkpoint_health_monitor rank 0 adds a line before it saves; anything but 0 says that an embedding's norm was
over embedding_local_norm_threshold on some rank of the first stage. Written by CheckpointMonitor in MindFormers 1.5 to
1.9, core/callback/callback.py; its checkpoint_health_monitor in tools/resume_ckpt.py reads it when it resumes, but as
of 1.9 leaves no unhealthy save out, so that glmd does.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from handlers.ckpt import DamagedFileError, InconsistentError
from handlers.ckpt import codes as ckpt
from handlers.ckpt.files.bounded import read_bounded
from handlers.shards.names import DIRECTORIES, Part, Shard, Tag

RECORD = "health_ckpts.json"
MOST_BYTES = 16 << 20
"""Of a record: a save has some hundred."""

_Save = tuple[str, int, Tag]
"""A prefix, a bump and a tag, by which rank 0's name tells saves apart."""


@dataclass(frozen=True)
class Health:
    """What the record of a tree says."""

    path: Path
    unhealthy: frozenset[_Save]

    def objection(self, shards: Iterable[Shard]) -> str:
        """Return why the save that consists of `shards` is not to be used, for people; empty where nothing speaks so.

        Of the weights alone it is the save of the same epoch and step that counts.
        """
        for shard in shards:
            if shard.rank == 0 and self._is_unhealthy(shard):
                return (
                    f"{shard.path}: {self.path} says that this save is unhealthy (is_health is not 0: an embedding's "
                    "norm was over embedding_local_norm_threshold): take an earlier save, or name this one by its tag"
                )
        return ""

    def _is_unhealthy(self, shard: Shard) -> bool:
        if shard.tag.part is Part.ALL:
            return (shard.prefix, shard.bump, shard.tag) in self.unhealthy
        whole = replace(shard.tag, part=Part.ALL)
        return any((prefix, tag) == (shard.prefix, whole) for prefix, _, tag in self.unhealthy)


def read_health(source: Path) -> Health:
    """Read the record of an output tree, or of the tree that has this checkpoint/; without one all is healthy.

    Of a name that stands there twice, the last line counts. Raises DamagedFileError for what is no record, as for a
    moment while rank 0 writes it, and OSError.
    """
    tree = source.parent if source.name in DIRECTORIES.values() else source
    path = tree / RECORD
    try:
        lines = json.loads(read_bounded(path, MOST_BYTES))
    except FileNotFoundError:
        return Health(path, frozenset())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is no JSON ({error})") from error
    saves: dict[_Save, bool] = {}
    for line in lines if isinstance(lines, list) else [None]:
        if not isinstance(line, dict) or not isinstance(line.get("ckpt_name"), str):
            raise _damaged(path, "it is no list of saves with ckpt_name and is_health")
        name = Shard.named(Path(Path(line["ckpt_name"]).name))
        if name is not None:
            saves[name.prefix, name.bump, name.tag] = line.get("is_health") == 0
    return Health(path, frozenset(save for save, is_healthy in saves.items() if not is_healthy))


def refuse_unhealthy(source: Path, shards: Iterable[Shard]) -> None:
    """Raise InconsistentError where the record in `source` says so of this save, and the errors of `read_health`."""
    if objection := read_health(source).objection(shards):
        raise InconsistentError(objection, ckpt.Code.UNHEALTHY)


def _damaged(path: Path, why: str) -> DamagedFileError:
    return DamagedFileError(
        f"{path}: {why}: which saves are healthy is not known. Is a training still writing it? Name the save by its "
        "tag, or move the file away",
        ckpt.Code.UNHEALTHY,
    )
