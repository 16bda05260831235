"""The ranks of a training beside each other: how far each is, and who lags."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.core.states import Job
from daemon.face.below import opened_below, piece
from handlers.rank_log.phase import Phase, last_phase
from handlers.rank_log.progress import Progress, last_step, tell_the_speed
from handlers.rank_log.tail import tail_of
from handlers.records.job_dir import JobDir

_EVENTS = 1 << 18
"""Bytes at the end of a job's events in which the start of its processes is looked for."""


@dataclass(frozen=True)
class RankStatus:
    """One rank, as its log tells."""

    rank: int
    device: int | None
    """None where Slurm has not chosen it yet."""
    progress: Progress | None
    """None before its first step."""
    line: str
    """Its last one; empty without a log."""
    quiet: float | None
    """Seconds since it last wrote; None without a log."""
    phase: Phase = Phase.LOAD
    behind: int = 0
    """Steps that it is behind the rank that is furthest."""
    node: str = ""
    """Of Slurm's that it runs on; empty for this host, and while that is not known."""

    @property
    def number(self) -> int | None:
        """The step that it told of last, in the whole training."""
        return None if self.progress is None else (self.progress.epoch - 1) * self.progress.steps + self.progress.step

    @property
    def lags(self) -> bool:
        """Whether it is so far behind that it is no matter of who wrote first."""
        return self.behind > 1


def ranks_of(job: Job, root: Path) -> tuple[RankStatus, ...]:
    """Return the ranks of a job, as far as its present output tells of them."""
    directory = job.directory(root)
    if job.nodes:
        found = _on_nodes(job, root, directory)
    else:
        found = [_status(rank, job.devices[rank], directory) for rank in job.ranks]
    furthest = max((status.number or 0 for status in found), default=0)
    return tuple(replace(status, behind=furthest - (status.number or 0)) for status in found)


def _on_nodes(job: Job, root: Path, directory: JobDir) -> list[RankStatus]:
    from daemon.face.nodes import places_of  # noqa: PLC0415 - jobs of this host need no records of nodes

    places = places_of(job, root)
    found = []
    for rank in job.ranks:
        place = places.get(rank)
        status = _status(rank, None if place is None else place.device, directory)
        found.append(status if place is None else replace(status, node=place.node))
    return found


def logs_of(job: Job, root: Path) -> tuple[Path, ...]:
    """Return where the ranks of a job write what is told of them."""
    directory = job.directory(root)
    return tuple(directory.rank_log(rank) for rank in job.ranks)


def slowest(ranks: Sequence[RankStatus]) -> RankStatus | None:
    """Return the rank that takes a fifth longer a step than most; None where none does."""
    timed = [(status.progress.seconds_per_step, status) for status in ranks if status.progress is not None]
    known = [(seconds, status) for seconds, status in timed if seconds is not None]
    if len(known) < 2:
        return None
    seconds, status = max(known, key=lambda pair: pair[0])
    return status if seconds > 1.2 * sorted(taken for taken, _ in known)[len(known) // 2] else None


def pids_of(job: Job, root: Path) -> dict[int, int]:
    """Return the pid of each rank of the present attempt, as its shim told when it started it: those that are found."""
    if job.nodes:  # several hosts must not write into one file of events: each tells in its own
        from daemon.face.nodes import pids_on  # noqa: PLC0415 - as above

        return pids_on(job, root)
    directory = job.directory(root)
    try:
        with opened_below(directory.path, directory.events) as stream:
            size = os.fstat(stream.fileno()).st_size
            lines = piece(stream, max(0, size - _EVENTS), _EVENTS).splitlines()
    except OSError:
        return {}
    found: dict[int, int] = {}
    for line in lines:
        if b'"process_started"' in line:
            found |= _started(line, job.attempt)
    return found


def _started(line: bytes, attempt: int) -> dict[int, int]:
    try:
        event = json.loads(line)
        if event["attempt"] == attempt:
            return {int(event["rank"]): int(event["pid"])}
    except (ValueError, KeyError, TypeError, RecursionError):  # cut off by a crash, or no rank's
        pass
    return {}


def _status(rank: int, device: int | None, directory: JobDir) -> RankStatus:
    try:
        with opened_below(directory.path, directory.rank_log(rank)) as stream:
            quiet = max(0.0, time.time() - os.fstat(stream.fileno()).st_mtime)
            lines = tail_of(stream, enough=tell_the_speed)
    except OSError:  # not there yet, or nothing that can be read: the others are shown anyway
        return RankStatus(rank, device, None, "", None)
    line = next((line for line in reversed(lines) if line.strip()), "")
    return RankStatus(rank, device, last_step(lines), line.strip(), quiet, last_phase(lines))
