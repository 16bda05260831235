"""Saves in MindFormers' new format (a `checkpoint:` section): where they lie, and which of them are complete.

    SOURCE/checkpoint/iteration_00000008/{prefix}-model-0000000-0000002.safetensors     and -opt-, metadata.json
    SOURCE/checkpoint/iteration_00000008/common.json                                    ckpt_status: 0 is healthy
    SOURCE/checkpoint/latest_checkpointed_iteration.txt                                 "8"

The tracker is written last, when all ranks have saved, but not atomically, and not taken back when a save is removed to
be written again. Read in MindFormers 1.9: checkpoint/checkpoint.py, checkpoint/utils.py.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt import DamagedFileError, InconsistentError
from handlers.ckpt import codes as ckpt
from handlers.ckpt.files.bounded import read_bounded
from handlers.shards.names import LAST, TRACKER, Part, Tag, is_iteration, parse_tag, rank_directories

COMMON = "common.json"
NUMBERS = ("epoch_num", "step_num", "global_step", "global_batch_size")
"""In common.json: all that MindFormers 1.9 looks at when it goes on, but for the loss scale, which may be null."""
_MOST_BYTES = 1 << 16
"""Of the tracker, and of common.json."""
_FILE = re.compile(r"(?:(?P<prefix>.+)-)?(?P<kind>model|opt)-\d{7,9}-\d{7,9}\.safetensors", re.ASCII)


@dataclass(frozen=True)
class Iteration:
    """A save that is to be there as a whole; its files are not opened."""

    directory: Path
    prefix: str
    tag: Tag


@dataclass(frozen=True)
class Common:
    """What common.json says of a save. MindFormers goes on from these numbers."""

    path: Path
    numbers: Mapping[str, int]
    """Of NUMBERS, those that are there."""
    is_healthy: bool

    @property
    def missing(self) -> str:
        """The first number without which a training cannot go on; empty where all are there."""
        return next((name for name in NUMBERS if name not in self.numbers), "")


def is_optimizer_file(path: Path) -> bool:
    """Tell by its name whether a file of a save holds the optimizer's state."""
    match = _FILE.fullmatch(path.name)
    return match is not None and match["kind"] == "opt"


def iterations_directory(source: Path) -> Path | None:
    """Return what holds the saves and the tracker: the tree's checkpoint/, or `source` itself; None for none."""
    for directory in (source / "checkpoint", source):
        if directory.is_dir() and ((directory / TRACKER).is_file() or any(map(is_iteration, directory.iterdir()))):
            return directory
    return None


def wants_iteration(source: Path, tag: str = LAST) -> bool:
    """Tell whether `tag` of `source` means a save in the new format.

    Raises InconsistentError where `last` leaves that open, BadInputError for a malformed tag, and OSError.
    """
    wanted = parse_tag(tag)
    if wanted is not None:
        return wanted.part is Part.ITERATION
    if is_iteration(source):
        return True
    directory = iterations_directory(source)
    if directory is None:
        return False
    if rank_directories(directory):
        raise InconsistentError(
            f"{directory} holds both rank_N/ and saves in MindFormers' new format (iteration_N/): which of the "
            "two is meant? Name a tag"
            ", or move what is of another run away",
            ckpt.Code.SHARDS_MIXED,
        )
    return True


def iterations_in(source: Path) -> tuple[Tag, ...]:
    """Return the saves that have a directory in an output tree, complete or not. Raises OSError."""
    directory = iterations_directory(source)
    names = [] if directory is None else [path.name for path in directory.iterdir() if is_iteration(path)]
    return tuple(map(Tag.parse, names))


def choose_iteration(
    source: Path, tag: str = LAST, prefix: str | None = None, *, is_vouched: bool = False
) -> Iteration:
    """Return the save that is meant, if the tracker confirms it, or, with `is_vouched`, somebody else does.

    `source` is an output tree, its checkpoint/, or a save's own directory, which may lie somewhere without a tracker.
    Raises InconsistentError where it is not complete or, as `last`, not healthy, DamagedFileError for a tracker or
    common.json that is none, BadInputError for a malformed tag, and OSError.
    """
    wanted = parse_tag(tag)
    if is_iteration(source):
        directory = source
        if (source.parent / TRACKER).exists():
            _check_tracked(source)
    elif wanted is not None:
        directory = (iterations_directory(source) or source) / str(wanted)
        if not is_vouched:
            _check_tracked(directory)
    else:
        where = iterations_directory(source) or source
        directory = where / str(Tag(0, read_tracker(where), Part.ITERATION))
    if not directory.is_dir():
        raise InconsistentError(
            f"{directory} is not there, though {directory.parent / TRACKER} names it: was the save removed?",
            ckpt.Code.SHARDS_INCOMPLETE,
        )
    if wanted is None:
        _refuse_unhealthy(directory)
    return Iteration(directory, _prefix(directory, prefix), Tag.parse(directory.name))


def read_tracker(directory: Path) -> int:
    """Return the iteration that is complete. Raises InconsistentError where none is, DamagedFileError, and OSError."""
    path = directory / TRACKER
    try:
        content = read_bounded(path, _MOST_BYTES).decode(errors="replace").strip()
    except FileNotFoundError as error:
        raise InconsistentError(
            f"{path} is not there: no save in {directory} is known to be complete; is the first still being written?",
            ckpt.Code.SHARDS_INCOMPLETE,
        ) from error
    if not (content.isascii() and content.isdecimal() and len(content) <= 9):
        raise DamagedFileError(
            f"{path}: it says {content[:20]!r}, which is no iteration: is it being written just now, or cut off?",
            ckpt.Code.SAVE_UNFIT,
        )
    return int(content)


def _check_tracked(directory: Path) -> None:
    """Refuse a save that the tracker has not come to."""
    tracked = Tag(0, read_tracker(directory.parent), Part.ITERATION)
    if tracked < Tag.parse(directory.name):
        raise InconsistentError(
            f"{directory}: {directory.parent / TRACKER} names {tracked} as the last one that all ranks have saved: "
            "this one is still being written, or was never finished",
            ckpt.Code.SHARDS_INCOMPLETE,
        )


def read_common(directory: Path) -> Common:
    """Read the common.json of a save. Raises InconsistentError where it is not there, DamagedFileError, and OSError."""
    path = directory / COMMON
    try:
        common = json.loads(read_bounded(path, _MOST_BYTES))
    except FileNotFoundError as error:
        raise InconsistentError(
            f"{path} is not there: is the save still being written, or removed?", ckpt.Code.SHARDS_INCOMPLETE
        ) from error
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: it is no JSON ({error}); is it cut off?") from error
    if not isinstance(common, dict):
        raise DamagedFileError(f"{path}: it is no {COMMON} of a save")
    numbers = {name: common.get(name) for name in NUMBERS}
    found = {
        name: number for name, number in numbers.items() if isinstance(number, int) and not isinstance(number, bool)
    }
    return Common(path, found, common.get("ckpt_status") in {None, 0})


def unhealthy(directory: Path) -> str:
    """Return why a save is not to be used, for people, where it says so itself. Raises as `read_common` does."""
    if read_common(directory).is_healthy:
        return ""
    return (
        f"{directory}: its {COMMON} says that this save is unhealthy (ckpt_status is not 0: an embedding's norm "
        "was over embedding_local_norm_threshold): take an earlier save, or name this one by its tag"
    )


def _refuse_unhealthy(directory: Path) -> None:
    if objection := unhealthy(directory):
        raise InconsistentError(objection, ckpt.Code.UNHEALTHY)


def _prefix(directory: Path, wanted: str | None) -> str:
    names = [match for path in sorted(directory.iterdir()) if (match := _FILE.fullmatch(path.name))]
    prefixes = sorted({match["prefix"] or "" for match in names})
    if not prefixes or wanted not in {None, *prefixes}:
        raise InconsistentError(
            f"{directory} has no {wanted or 'PREFIX'}-model-NUMBER-COUNT.safetensors: is the save still being written?",
            ckpt.Code.NO_SHARDS,
        )
    if len(prefixes) > 1:
        raise InconsistentError(
            f"{directory} has files of several prefixes ({', '.join(prefixes)}): are they of one save?",
            ckpt.Code.SEVERAL_PREFIXES,
        )
    return prefixes[0]
