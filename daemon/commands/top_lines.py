"""The lines of `glmd top`."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Self

from daemon.commands.terminal.table import colour, one_line, shows
from daemon.core.presence import Presence
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.face.cells import cut
from daemon.face.curve import SIGN, spark
from daemon.face.ranks import RankStatus, ranks_of
from daemon.face.status import JobStatus, Overview, overview, seconds_since
from daemon.face.training import training_of
from handlers.printable import printable
from handlers.units.devices import format_devices
from handlers.units.durations import format_duration

_ROWS = 64
"""Of a record, that a curve of one line is made of."""
_NAME = 28
"""Cells of a name."""


@dataclass(frozen=True)
class Running:
    """A job at work."""

    status: JobStatus
    losses: Sequence[float]
    ranks: tuple[RankStatus, ...]


@dataclass(frozen=True)
class Shown:
    """What there is to be seen."""

    overview: Overview | None
    running: tuple[Running, ...]
    waiting: tuple[JobStatus, ...]
    ended: tuple[JobStatus, ...]

    @property
    def jobs(self) -> tuple[int, ...]:
        """The jobs that can be chosen, in their order."""
        statuses = (*(running.status for running in self.running), *self.waiting, *self.ended)
        return tuple(status.job.id for status in statuses)

    @classmethod
    def nothing(cls) -> Self:
        """Return what is shown while nothing can be read."""
        return cls(None, (), (), ())


def look(root: Root) -> Shown:
    """Return what there is. Raises StoreError, OSError."""
    found = overview(root.path, root.store)
    jobs = list(found.jobs)
    by_number = {status.job.id: status for status in jobs}
    at_work = [status for status in jobs if not status.job.state.is_over and status.job.id not in found.queue]
    ended = sorted((status for status in jobs if status.job.state.is_over), key=lambda status: status.job.changed)
    return Shown(
        overview=found,
        running=tuple(_running(status, root) for status in at_work),
        waiting=tuple(by_number[number] for number in found.queue if number in by_number),
        ended=tuple(reversed(ended)),
    )


def _running(status: JobStatus, root: Root) -> Running:
    training = training_of(status.job.directory(root.path), _ROWS)
    losses = [] if training is None else [loss for _, loss in training.points()]
    is_training = status.job.state is State.TRAINING
    return Running(status, losses, ranks_of(status.job, root.path) if is_training else ())


def lines(shown: Shown, chosen: int | None, now: datetime, width: int, height: int) -> Iterator[str]:
    """Yield the lines, of at most `width` cells, and what there is room for."""
    yield from islice(_lines(shown, chosen, now, width), max(4, height))


def _lines(shown: Shown, chosen: int | None, now: datetime, width: int) -> Iterator[str]:
    yield cut(f"glmd top  {printable(platform.node())}  {now.astimezone():%H:%M:%S}{_daemon(shown.overview)}", width)
    if shown.overview is not None:
        yield cut(f"{_devices(shown.overview)}   {shown.overview.waiting} wait", width)
    yield ""
    for running in shown.running:
        yield from _detail_lines(running, chosen, width)
    for place, status in enumerate(shown.waiting, 1):
        job = status.job
        why = job.reason or "its devices are held"
        yield _row(job, chosen, f"{place}. {job.state}  {why}, {_since(job, now)}", width)
    if shown.ended:
        yield ""
    for status in shown.ended:
        yield _row(status.job, chosen, f"{status.job.state} {_since(status.job, now)}  {status.job.reason}", width)
    if not shown.jobs:
        yield "no jobs yet: glmd submit FILE, or put a YAML into the inbox"


def _daemon(found: Overview | None) -> str:
    if found is None or found.daemon is Presence.ANSWERS:
        return ""
    texts = {Presence.ABSENT: "glmd does not run: no job goes further", Presence.BUSY: "glmd is busy"}
    return f"  {texts[found.daemon]}" if found.daemon in texts else ""


def _devices(found: Overview) -> str:
    by_job: dict[int, list[int]] = {}
    for device, job in found.held.items():
        by_job.setdefault(job, []).append(device)
    held = ", ".join(f"{format_devices(devices)} by {job}" for job, devices in by_job.items())
    return f"devices held: {held or 'none'}"


def _detail_lines(running: Running, chosen: int | None, width: int) -> Iterator[str]:
    job, progress = running.status.job, running.status.progress
    parts = [str(job.state)]
    if progress is not None:
        parts.append(f"{progress.epoch}/{progress.epochs}  loss {progress.loss:.4g}")
        if shows(SIGN):
            parts.append(spark(running.losses, 12))
        if progress.seconds_per_step is not None:
            parts.append(f"{progress.seconds_per_step:.3g} s/step")
        if progress.eta_seconds is not None:
            parts.append(f"{format_duration(progress.eta_seconds)} left")
    if job.attempt > 1:
        parts.append(f"attempt {job.attempt}")
    if job.reason:
        parts.append(job.reason)
    yield _row(job, chosen, "  ".join(parts), width)
    if running.ranks:
        steps = "  ".join(_steps(node, ranks) for node, ranks in groupby(running.ranks, lambda rank: rank.node))
        quiet = [rank.quiet for rank in running.ranks if rank.quiet is not None]
        text = f"     ranks at step {steps}"
        yield cut(f"{text}  quiet {format_duration(min(quiet))}" if quiet else text, width)


def _steps(node: str, ranks: Iterable[RankStatus]) -> str:
    """Return the last step of each rank of a node, which is named where it is one of Slurm's."""
    steps = [f"{'-' if rank.number is None else rank.number}{'!' * rank.lags}" for rank in ranks]
    if node and len(set(steps)) == 1:  # nodes have many ranks, which mostly stand at one step
        del steps[1:]
    return " ".join((f"{printable(node)}:", *steps) if node else steps)


def _row(job: Job, chosen: int | None, progress_text: str, width: int) -> str:
    mark = ">" if job.id == chosen else " "
    text = cut(f"{mark}{job.id:>4} {cut(printable(job.name), _NAME):<{_NAME}} {one_line(progress_text)}", width)
    return colour(text, "cyan") if job.id == chosen else text


def _since(job: Job, now: datetime) -> str:
    return f"for {format_duration(seconds_since(job.changed, now))}"
