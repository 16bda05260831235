"""Where things lie under glmd's root directory."""

from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.durable import make_directory
from handlers.job_dir import is_number


@dataclass(frozen=True)
class Root:
    """`/var/glm`, or what `--root` names."""

    path: Path

    @property
    def inbox(self) -> Path:
        """Where YAMLs are dropped."""
        return self.path / "inbox"

    @property
    def claims(self) -> Path:
        """Dropped files that were taken and are not yet a job or rejected."""
        return self.path / "claims"

    @property
    def rejected(self) -> Path:
        """Dropped files that could not be used, each with its reason."""
        return self.path / "rejected"

    @property
    def jobs(self) -> Path:
        """One directory a job."""
        return self.path / "jobs"

    @property
    def latest(self) -> Path:
        """One symbolic link a prefix, to its newest published checkpoint."""
        return self.path / "latest"

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.path / "glmd.db"

    @property
    def lock(self) -> Path:
        """Held by the one daemon of this root."""
        return self.path / "glmd.lock"

    @property
    def socket(self) -> Path:
        """Where the daemon answers `glmd cancel`, `retry` and `reload`."""
        return self.path / "glmd.sock"

    @property
    def highest_number(self) -> int:
        """The highest number that a directory in jobs/ has; 0 when none has one. Raises OSError."""
        numbers = (path.name.partition("-")[0] for path in self.jobs.iterdir())
        return max((int(number) for number in numbers if is_number(number)), default=0)

    def create(self) -> None:
        """Make the directories that are missing. Raises OSError."""
        for directory in (self.inbox, self.claims, self.rejected, self.jobs, self.latest):
            make_directory(directory)
