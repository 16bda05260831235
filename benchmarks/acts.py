"""What benchmarks/chaos.py does to glmd, how often, and how the reason of a job that failed for it should name it."""

import re
from enum import StrEnum

from daemon.core.states import Job


class Act(StrEnum):
    """What is done, and how often: see WEIGHTS."""

    DAEMON_KILLED = "daemon killed"
    DAEMON_STOPPED = "daemon stopped and continued"
    DAEMON_RESTARTED = "daemon restarted"
    SHIM_KILLED = "shim killed"
    SHIM_TOLD_TO_END = "shim told to end"
    RANK_KILLED = "rank killed"
    DISK_FULL = "disk full"
    DIRECTORY_REMOVED = "directory removed"
    DIRECTORY_MOVED = "directory moved and put back"
    ROOT_MOVED = "root or jobs/ moved and put back"
    OLD_STORE = "old store put back"
    HUNG_MOUNT = "hung mount"
    HOSTILE_MEMBER = "hostile member"
    ABSURD_VALUES = "absurd values"


WEIGHTS = {
    Act.DAEMON_KILLED: 4,
    Act.DAEMON_STOPPED: 3,
    Act.DAEMON_RESTARTED: 2,
    Act.SHIM_KILLED: 2,
    Act.SHIM_TOLD_TO_END: 1,
    Act.RANK_KILLED: 4,
    Act.DISK_FULL: 2,
    Act.DIRECTORY_REMOVED: 1,
    Act.DIRECTORY_MOVED: 2,
    Act.ROOT_MOVED: 1,
    Act.OLD_STORE: 1,
    Act.HUNG_MOUNT: 1,
    Act.HOSTILE_MEMBER: 1,
    Act.ABSURD_VALUES: 3,
}
_NOT_THERE = r"is not there|No such file|moved or removed"
NAMED = {
    Act.SHIM_KILLED: r"the shim of \w+ ended without a record",
    Act.SHIM_TOLD_TO_END: r"stopped by SIGTERM",
    Act.RANK_KILLED: r"was killed by SIGKILL",
    # A rank that cannot write its log cannot write why it ends either.
    Act.DISK_FULL: r"[Ss]pace|ENOSPC|disk|are free|rank \d+ on device \d+ exited",
    Act.DIRECTORY_REMOVED: _NOT_THERE,
    Act.DIRECTORY_MOVED: _NOT_THERE,
    Act.ROOT_MOVED: _NOT_THERE,
    Act.OLD_STORE: r"recovered",
    Act.HUNG_MOUNT: rf"does not answer|cannot be looked at: Transport|{_NOT_THERE}",
}
"""How the reason of a job that failed names what was done to it."""
DEFECT = "glmd.defect"


def wrong_reason(job: Job, acts: set[Act]) -> list[str]:
    """Return what is wrong with the reason of a job that ended without its result: that it names nothing of `acts`."""
    if Act.ABSURD_VALUES in acts and job.reason and DEFECT not in job.reason:
        return []  # there are many, and the check's own tests look at what is said of each
    if any(re.search(NAMED[act], job.reason) for act in acts if act in NAMED):
        return []
    return [
        f"{job.label} is {job.state}, and this was done to it: {', '.join(sorted(acts)) or 'nothing'}; {job.reason}"
    ]
