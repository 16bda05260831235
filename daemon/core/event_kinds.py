"""The kinds of what there is to tell people: destinations choose by them."""

from enum import StrEnum


class EventKind(StrEnum):
    """What has happened, as settings, messages and webhooks name it."""

    JOB_FAILED = "job.failed"
    """For good: an attempt that is resumed is `job.resumed`."""
    JOB_DONE = "job.done"
    JOB_NOT_PROMOTED = "job.not_promoted"
    """It is done, and something kept its output from becoming `latest`."""
    JOB_RESUMED = "job.resumed"
    JOB_REJECTED = "job.rejected"
    JOB_CANCELLED = "job.cancelled"
    JOB_WAITING = "job.waiting"
    """Something that passes keeps a job from its devices, for half an hour by now."""
    NIGHTLY_MISSED = "nightly.missed"
    """A night was left out, could not be dropped, or has no success so long after its time."""
    NIGHTLY_LATE = "nightly.late"
    DISK_LOW = "disk.low"
    """The nights to come need more room than there is."""
    OPERATOR_NEEDED = "operator.needed"
    """Processes of a job that is over cannot be ended, and hold its devices; told again every six hours."""
    FAULT_LASTING = "fault.lasting"
    """Something fails for five minutes: the disk is full, the store is locked."""
    DAEMON_DOWN = "daemon.down"
    """glmd is gone for five minutes while jobs are at work or nights are set."""
    DIGEST = "digest"
    """The night, told in the morning."""
    TEST = "test"
    """Somebody asked for it: glmd notify test."""


URGENT = frozenset({EventKind.OPERATOR_NEEDED, EventKind.DAEMON_DOWN})
"""Kinds that do not wait for the end of quiet hours."""

DEFAULT = frozenset({
    EventKind.JOB_FAILED,
    EventKind.JOB_DONE,
    EventKind.JOB_NOT_PROMOTED,
    EventKind.JOB_WAITING,
    EventKind.NIGHTLY_MISSED,
    EventKind.DISK_LOW,
    EventKind.OPERATOR_NEEDED,
    EventKind.FAULT_LASTING,
    EventKind.DAEMON_DOWN,
    EventKind.DIGEST,
})  # fmt: skip
"""What a destination is told that does not choose."""
