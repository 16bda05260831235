"""shim.json: which process runs a step."""

import os
from datetime import datetime
from typing import Self

from handlers.records.process import ProcessIdentity
from handlers.records.record import Moment, Pid, Record, StartTime


class ShimRecord(Record):
    """shim.json, as it is read. The shim itself writes it without delay, see handlers.shim.run."""

    pid: Pid
    start_time: StartTime
    boot_id: str
    started: Moment

    @property
    def identity(self) -> ProcessIdentity:
        """Return what tells this shim from a later process with its pid."""
        return ProcessIdentity(self.pid, self.start_time, self.boot_id)

    @classmethod
    def of_this_process(cls, started: datetime) -> Self:
        """Describe the process that calls."""
        me = ProcessIdentity.of(os.getpid())
        return cls(pid=me.pid, start_time=me.start_time, boot_id=me.boot_id, started=started)
