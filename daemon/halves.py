"""Two dropped files of one name within a minute: perhaps the halves of one, whose writer paused for too long.

A file that has not changed for `inbox.settle` is taken for whole. When its writer goes on after that, by the name, the
rest comes as a second file. Each alone is mostly nonsense; but a YAML that is cut off may be valid, and become a job.
Nobody can tell halves from a file that was mended and dropped again: this is a word more in a reason, never a decision.

What came before is read from the disk and the store, so that a restart in between makes no difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon.claims import Claim, add_to_reason, newest_rejected, next_place, reason_file
from daemon.names import printable
from daemon.states import Job, State

NEAR = 60.0
"""Seconds between two files that may be halves of one."""

_WHAT_TO_DO = (
    "their writer paused for longer than inbox.settle: write the whole elsewhere on the same file system and mv it "
    "into the inbox (glmd submit does), or raise inbox.settle"
)


@dataclass(frozen=True)
class SameName:
    """What else became of files that were dropped under the name of a claimed one, shortly before or after it."""

    rejected: Path | None = None
    """A rejected one."""
    job: Job | None = None
    """The job that was made of one."""

    def told(self) -> str:
        """Return what whoever looks at the claimed file is to know; empty where there is nothing."""
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


def same_name(claimed: Claim, rejected: Path, jobs: Iterable[Job] = ()) -> SameName:
    """Look for them, among the `jobs` with the name that one of `claimed` has, too. Raises OSError."""
    arrived = claimed.path.parent.stat().st_mtime  # when it was moved there, whenever it is judged
    near = [
        job
        for job in jobs
        if job.state is not State.REJECTED
        and claimed.name.startswith(job.name)  # not one that only looks like it as a job, as `unnamed`
        and abs(job.submitted.timestamp() - arrived) < NEAR
    ]
    earlier = newest_rejected(rejected, claimed.name)
    if earlier and abs(reason_file(earlier).lstat().st_mtime - arrived) >= NEAR:
        earlier = None
    return SameName(earlier, near[-1] if near else None)


def tell_the_other(claimed: Claim, found: SameName, rejected: Path) -> None:
    """Say beside the rejected file in `found` that `claimed`, which is about to be rejected, came as well."""
    if found.rejected:
        where = f"rejected/{printable(next_place(rejected, claimed.name).name)}"
        add_to_reason(
            found.rejected,
            f"Another file of this name came within a minute and is {where}.\n"
            f"If the files are parts of one, {_WHAT_TO_DO}.",
        )
