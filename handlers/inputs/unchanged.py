"""Whether the inputs of a night are those of an earlier run: the same bytes, whatever the files are called."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from handlers.ckpt.errors import CkptError
from handlers.ckpt.publishing.manifest import NAME
from handlers.ckpt.publishing.manifest_outline import read_outline
from handlers.host.reach import is_at_work
from handlers.inputs.hashing import noted, sha256_of
from handlers.records.inputs import Input, Inputs
from handlers.records.job_dir import JobDir


@dataclass(frozen=True)
class Earlier:
    """A run that came to its end."""

    job: int
    directory: JobDir


def are_those_of(earlier: Earlier, files: Sequence[Path]) -> bool:
    """Say whether `files` hold the bytes that `earlier` was trained on; False where nobody knows what those were.

    A file of the same path, size, modification time and inode is taken for the same; others are hashed, and only where
    as many bytes were trained on. Raises OSError, and ChangedError for what is changed meanwhile.
    """
    known = _known(earlier)
    now = [noted(file) for file in files]
    if not known or Counter(file.bytes for file in now) != Counter(file.bytes for file in known):
        return False
    by_itself = {file: known[file] for file in now if file in known}
    others = Counter(digest for file, digest in known.items() if file not in by_itself)
    for file in now:
        if file not in by_itself:
            digest = sha256_of(file, lambda _: is_at_work())
            if not others[digest]:
                return False
            others[digest] -= 1
    return True


def _known(earlier: Earlier) -> dict[Input, str]:
    """Return the files of a run with their hashes; nothing where one has none, or its records are gone."""
    try:
        noted_then = Inputs.read(earlier.directory.inputs).files
        hashed = read_outline(earlier.directory.merged / NAME).inputs
    except (OSError, ValidationError, CkptError):
        return {}
    digests = {file.path: file.sha256 for file in hashed}
    found = {file: digest for file in noted_then if (digest := digests.get(file.path)) is not None}
    return found if len(found) == len(noted_then) else {}
