"""What glmd's jobs are called in Slurm: `glmd-1b2c3d4e-0042-1-train`, by root, job and attempt."""

import re
from dataclasses import dataclass

from daemon.core.root import Root
from handlers.ckpt.files.bounded import read_bounded

ID_FILE = ".glmd-id"
"""Of the root: 8 hexadecimal digits, which tell its jobs from those of others of the same user."""
_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)
_NAME = re.compile(r"glmd-(?P<root>[0-9a-f]{8})-(?P<job>\d{4,9})-(?P<attempt>\d{1,9})-(?P<step>[a-z]+)", re.ASCII)


@dataclass(frozen=True)
class SlurmName:
    """What a name of one of glmd's jobs says."""

    root: str
    job: int
    attempt: int
    step: str

    def __str__(self) -> str:
        """Return it as Slurm has it."""
        return f"glmd-{self.root}-{self.job:04d}-{self.attempt}-{self.step}"

    @classmethod
    def of(cls, name: str) -> "SlurmName | None":
        """Return what a job's name says; None for one that glmd has not given."""
        found = _NAME.fullmatch(name)
        return None if found is None else cls(found["root"], int(found["job"]), int(found["attempt"]), found["step"])


def known_id(root: Root) -> str | None:
    """Return the root's id; None where it has none yet, as nothing of it was ever in Slurm. Raises OSError."""
    path = root.path / ID_FILE
    try:
        found = read_bounded(path, 64).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _ID.fullmatch(found):
        raise OSError(f"{path}: holds {found!r:.20}, not 8 hexadecimal digits; remove it when no job is in Slurm")
    return found
