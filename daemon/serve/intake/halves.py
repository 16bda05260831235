"""Two dropped files of one name within a minute: perhaps the halves of one, whose writer paused for too long.

A file that has not changed for `inbox.settle` is taken for whole. When its writer goes on after that, by the name, the
rest comes as a second file. Each alone is mostly nonsense; but a YAML that is cut off may be valid, and become a job.
Nobody can tell halves from a file that was fixed and dropped again: this is a word more in a reason, never a decision.

What came before is read from the disk and the store, so that a restart in between makes no difference.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daemon.core.names import reason_file
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.serve.intake.claims import Claim, add_to_reason, newest_rejected, next_place
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.printable import printable

_MOST_EVENTS = 1 << 20
"""Bytes; a job's log has a few hundred after a minute."""

NEAR = timedelta(minutes=1)
"""Between two files that may be halves of one."""

_WHAT_TO_DO = (
    "the program that wrote them paused for longer than inbox.settle: write the whole file elsewhere on the "
    "same file system and mv it "
    "into the inbox (glmd submit does), or raise inbox.settle"
)


@dataclass(frozen=True)
class SameName:
    """What else became of files that were dropped under the name of a claimed one, shortly before or after it."""

    rejected: Path | None = None
    """A rejected one."""
    job: Job | None = None
    """The job that was made of one."""

    def text(self) -> str:
        """Return what anyone who looks at the claimed file is to know; empty where there is nothing."""
        lines = []
        if self.rejected:
            where = f"rejected/{printable(self.rejected.name)}"
            lines.append(f"Another file of this name came within a minute and is {where}.")
        if self.job:
            cancel = "" if self.job.state.is_over else f" (glmd cancel {self.job.id})"
            lines.append(
                f"A file of this name came within a minute and is job {self.job.id} ({self.job.state}): if this is its "
                f"rest, that job has half a file{cancel}."
            )
        return "\n".join([*lines, f"If the files are parts of one, {_WHAT_TO_DO}."]) if lines else ""


def earliest(claimed: Claim) -> datetime:
    """Return since when another file is near enough to `claimed`."""
    return _arrival(claimed) - NEAR


def same_name(claimed: Claim, root: Root, jobs: Iterable[Job] = ()) -> SameName:
    """Look for them, also among the `jobs` with the name that one of `claimed` has. Raises OSError."""
    near = [
        job
        for job in jobs
        if job.state is not State.REJECTED
        and abs(job.submitted - _arrival(claimed)) < NEAR
        and _was_dropped_as(claimed.name, job, root)
    ]
    earlier = newest_rejected(root.rejected, claimed.name)
    if earlier and abs(_time(reason_file(earlier)) - _arrival(claimed)) >= NEAR:
        earlier = None
    return SameName(earlier, near[-1] if near else None)


def tell_the_other(claimed: Claim, found: SameName, root: Root) -> None:
    """Say beside the rejected file in `found` that `claimed`, which is about to be rejected, came as well."""
    if found.rejected:
        where = f"rejected/{printable(next_place(root.rejected, claimed.name).name)}"
        add_to_reason(
            found.rejected,
            f"Another file of this name came within a minute and is {where}.\n"
            f"If the files are parts of one, {_WHAT_TO_DO}.",
        )


def _was_dropped_as(name: str, job: Job, root: Root) -> bool:
    """Whether that was the name of the job's file: files of many names make a job of the same, as `unnamed`."""
    try:
        lines = read_bounded(job.directory(root.path).events, _MOST_EVENTS).splitlines()
        return any(event.get("path") == printable(name) for event in map(json.loads, lines))
    except (OSError, DamagedFileError, ValueError, AttributeError, RecursionError):  # no log, or one that was cut off
        return False


def _arrival(claimed: Claim) -> datetime:
    """Return when it was moved to its claim, whenever it is judged."""
    return _time(claimed.path.parent)


def _time(path: Path) -> datetime:
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
