"""Rebuilding the records of a job's trainings from the ranks' logs."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from daemon.core.states import Job
from daemon.core.temporaries import living_shim
from daemon.face.training import record_of
from handlers.codes import Code
from handlers.errors import RefusedError
from handlers.records.job_dir import JobDir, Step
from handlers.training_record.rebuilding import rebuild
from handlers.training_record.record import read
from handlers.training_record.rows import Header

_RANK = re.compile(r"rank_(\d{1,5})", re.ASCII)


def rebuild_records(job: Job, root: Path) -> Iterator[tuple[int, int]]:
    """Write again the record of each attempt that trained; yield its number, and how many steps it has then.

    One whose logs tell no step keeps the record that it has. Raises OSError, and RefusedError where a shim is at work.
    """
    directory = job.directory(root)
    trained = [attempt for attempt in directory.attempts() if directory.step(attempt, Step.TRAIN).path.is_dir()]
    for attempt in trained:
        step = directory.step(attempt, Step.TRAIN)
        if (pid := living_shim(step)) is not None:
            raise RefusedError(
                f"{step.path}: job {job.id} trains, and its shim (pid {pid}) writes the record; wait for its end",
                Code.JOB_TRAINS,
            )
        logs = _logs(directory, attempt, is_last=attempt == trained[-1])
        if logs:
            header = Header(
                job=job.id,
                attempt=attempt,
                rank=max(logs),
                devices=len(logs),
                host=_host(record_of(directory, attempt)),
                epochs=0,
                steps=0,
            )
            yield attempt, rebuild(logs, step.path, header)


def _logs(directory: JobDir, attempt: int, *, is_last: bool) -> dict[int, Path]:
    """Return the logs of an attempt's ranks: what it wrote was put aside when a later one began."""
    output = directory.earlier_output(attempt)
    if not output.is_dir():
        if not is_last:
            return {}
        output = directory.output
    named = ((_RANK.fullmatch(path.parent.name), path) for path in output.glob("log/rank_*/mindformer.log"))
    return {int(match[1]): path for match, path in named if match}


def _host(record: Path) -> str:
    """Return where it was trained, as an older record says; this host where there is none."""
    try:
        return next((row.header.host for row in read(record)), os.uname().nodename)
    except FileNotFoundError:
        return os.uname().nodename
