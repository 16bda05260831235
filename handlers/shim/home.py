"""A job's directory, held open by its shim: somebody may move it away, and back, while the step runs."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from handlers.records.job_dir import JobDir
from handlers.shim.wakeups import Wakeups

_LOOK_EVERY = 0.5
"""Seconds."""
_TRY_EVERY = 0.05
"""Seconds."""
MOVING = 1.0
"""Seconds that it may take somebody to move a directory away and back: a name may not be there meanwhile."""
AWAY = 60.0
"""Seconds for which a shim that is to begin waits for jobs/ itself, and so for the whole root, as the daemon does."""

Result = TypeVar("Result")


def while_moving(work: Callable[[], Result], jobs: Path | None = None) -> Result:
    """Return what `work` does, tried again for a moment where a name is not there; longer while `jobs` is not.

    Raises OSError.
    """
    began = time.monotonic()
    while True:
        try:
            return work()
        except FileNotFoundError:
            is_away = jobs is not None and not jobs.is_dir()
            if time.monotonic() - began >= (AWAY if is_away else MOVING):
                raise
        time.sleep(_TRY_EVERY)


class Home:
    """Knows where a job's directory is: where it was, or else wherever it was moved to. To be entered."""

    def __init__(self, directory: JobDir) -> None:
        self._named = directory

    def __enter__(self) -> Self:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        self._descriptor = while_moving(lambda: os.open(self._named.path, flags))
        # A name by which the kernel leads to what is held open, man 5 proc_pid_fd.
        self._held = JobDir(Path(f"/proc/self/fd/{self._descriptor}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def directory(self) -> JobDir:
        """Where to write now. What lies under the old name counts first: it may have been restored from a copy."""
        return self._held if _has_a_plan(self._held) and not _has_a_plan(self._named) else self._named

    def do(self, work: Callable[[JobDir], Result]) -> Result:
        """Return what `work` does in the directory, also while somebody moves that. Raises OSError."""
        return while_moving(lambda: work(self.directory))

    @property
    def is_away(self) -> bool:
        """Whether it was moved elsewhere, from where it may come back."""
        return self.directory is self._held

    def wait_until_back(self, wakeups: Wakeups) -> bool:
        """Return whether it is back under its name; False when the shim is told to end, or it was removed meanwhile."""
        while self.is_away and wakeups.stop is None:
            wakeups.wait(_LOOK_EVERY)
        return wakeups.stop is None and _has_a_plan(self._named)


def _has_a_plan(directory: JobDir) -> bool:
    try:
        return directory.plan.is_file()
    except OSError:
        return False
