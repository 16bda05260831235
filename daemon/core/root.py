"""Where things lie under glmd's root directory, and who may change them."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from daemon.core.owner import NAME as OWNER
from daemon.core.owner import ElsewhereError, read_owner
from daemon.core.users import User
from handlers.ckpt.files.durable import make_directory
from handlers.codes import Code
from handlers.errors import RefusedError
from handlers.records.job_dir import is_number

DEFAULT_ROOT = Path("/var/glm")
"""Where the service has its root; any other is somebody's own."""
SOCKET = "glmd.sock"
"""Its name, beside the store."""
GROUP_READS = 0o2750
"""Of all directories but the inbox. Setgid: what is made in them is of their group."""
GROUP_DROPS = 0o3770
"""Of the inbox. Sticky: a file there is moved by its owner, and by the inbox's, which is glmd."""


class ForeignDirectoryError(RefusedError, OSError):
    """A directory that files are moved out of, or into, is not glmd's own."""

    code = Code.DAEMON_FOREIGN_DIRECTORY


@dataclass(frozen=True)
class Root:
    """`/var/glm`, or what `--root` names."""

    path: Path
    at: Path | None = None
    """Where the daemon is to keep what other hosts cannot share; for all others glmd.owner says it."""

    @property
    def kept(self) -> Path:
        """The directory of store, lock and socket: the root itself, or that of `store:` in the settings.

        Raises ElsewhereError where it is another host's, OwnerError, and OSError.
        """
        if self.at is not None:
            return self.at
        owner = read_owner(self.path)
        if owner is None:
            return self.path
        if owner.host != os.uname().nodename:
            raise ElsewhereError(
                f"{self.path}: the daemon runs on {owner.host}, and its store is there ({owner.store}): do this on "
                f"{owner.host}"
            )
        return owner.store

    def refuse_elsewhere(self) -> None:
        """Raise ElsewhereError where only another host can tell what becomes of jobs; else as `kept` does."""
        self.kept  # noqa: B018 - it raises

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
        return self.kept / "glmd.db"

    @property
    def lock(self) -> Path:
        """Held by the one daemon of this root."""
        return self.kept / "glmd.lock"

    @property
    def socket(self) -> Path:
        """Where the daemon answers `glmd cancel`, `retry` and `reload`."""
        return self.kept / SOCKET

    @property
    def owner(self) -> Path:
        """Whose store, lock and socket are not in the root (daemon.core.owner)."""
        return self.path / OWNER

    @property
    def daemon(self) -> Path:
        """What the daemon says of itself (daemon.core.daemon_record)."""
        return self.path / "daemon.json"

    @property
    def highest_number(self) -> int:
        """The highest number that a directory in jobs/ has; 0 when none has one. Raises OSError."""
        numbers = (name.partition("-")[0] for name in os.listdir(self.jobs))  # noqa: PTH208 - of many, Paths take long
        return max((int(number) for number in numbers if is_number(number)), default=0)

    def create(self) -> None:
        """Make the directories that are missing, with modes that no umask changes.

        Raises OSError, and ForeignDirectoryError where a directory that drops are moved through is not glmd's.

        Those of an older glmd, whose group could write everywhere, get the modes of now. To be called by one thread.
        """
        read = dict.fromkeys((self.claims, self.rejected, self.jobs, self.latest), GROUP_READS)
        modes = {**read, self.inbox: GROUP_DROPS}
        umask = os.umask(0)
        try:
            for directory, mode in modes.items():
                make_directory(directory, mode=mode & ~stat.S_ISGID)
        finally:
            os.umask(umask)
        for directory in (self.inbox, self.claims, self.rejected):
            self.refuse_foreign(directory)
        for directory, mode in modes.items():
            set_mode(directory, mode)
        # A root that its owner keeps from the group stays so.
        set_mode(self.path, stat.S_IMODE(self.path.stat().st_mode) & GROUP_READS)

    def refuse_foreign(self, directory: Path) -> None:
        """Raise ForeignDirectoryError unless `directory` is one, no link, and belongs to glmd or the root's owner.

        By a link glmd would move a stranger's files; and who owns a directory may rename what others drop there.
        Raises OSError where it cannot be opened.
        """
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except NotADirectoryError as error:  # what the kernel says of a link, too
            what = f"a symbolic link to {directory.readlink()}" if directory.is_symlink() else "no directory"
            raise ForeignDirectoryError(
                f"{directory} is {what}, and glmd would move files that are not its own; remove it, and let glmd make "
                "a directory when it starts"
            ) from error
        try:
            owner = os.fstat(descriptor).st_uid
        finally:
            os.close(descriptor)
        if owner not in {os.geteuid(), self.path.stat().st_uid}:
            me = User.of_this_process().name
            raise ForeignDirectoryError(
                f"{directory} belongs to {User(owner).name}, and glmd runs as {me}: its owner could replace the "
                "files that others drop;"
                f" chown {me} {directory}"
            )


def set_mode(directory: Path, mode: int) -> None:
    """Let a directory of ours have `mode`; setgid only where RestrictSUIDSGID= of our units lets us ask for it."""
    status = directory.stat()
    now = stat.S_IMODE(status.st_mode)
    if now == mode or status.st_uid != os.geteuid():
        return
    try:
        directory.chmod(mode)
    except PermissionError:
        without = mode & ~stat.S_ISGID
        if now == without:
            return
        if mode == GROUP_DROPS:  # without setgid glmd could not read what is dropped
            import structlog  # noqa: PLC0415 - 0.2 s, for which `glmd status` has no use

            structlog.get_logger().warning(
                "inbox_mode_not_set", path=directory, advice=f"systemd-tmpfiles --create, or chmod {mode:o} {directory}"
            )
        else:
            directory.chmod(without)
