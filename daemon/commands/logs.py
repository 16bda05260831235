"""`glmd logs`: a job's events for people, or what one rank prints."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from daemon.commands.arguments import ConfigOption, JobArgument, RootOption, job_in, root_of
from daemon.core.read_store import ReadStore
from daemon.core.root import Root
from daemon.core.states import Job
from daemon.face.event_lines import event_line, last_state
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable_json, printable_lines
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir

POLL = 0.5
CHUNK = 1 << 16
LONGEST = 1 << 20
"""Bytes of a line that are shown."""


class _Kind(Enum):
    """How a line is shown."""

    EVENT = auto()
    JSON = auto()
    OUTPUT = auto()


def logs(
    job: JobArgument,
    *,
    rank: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Show the output of this rank instead of events.")
    ] = None,
    evaluation: Annotated[
        bool, typer.Option("--evaluation", help="Show the output of its evaluation instead of events.")
    ] = False,
    slurm: Annotated[
        str | None,
        typer.Option(
            metavar="batch|merge|N",
            help="Show the output of its batch step in Slurm, of its merge's, or of glmd on this node, from 0.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow until the job ends.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the events as JSON, one object in each line.")] = False,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Show a job's events, or the output of a rank or a node.

    Or the output of its evaluation, of its merge, or of Slurm's batch step.
    """
    if evaluation + (rank is not None) + (slurm is not None) > 1:
        raise BadInputError("give one of --rank, --evaluation and --slurm", Code.USAGE_OPTIONS)
    place = Root(root_of(root, config))
    with ReadStore.open(place.store) as store:
        found = job_in(store, job)
    path = _path(found, rank, place)
    if evaluation:
        path = _evaluation(found, place)
    elif slurm is not None:
        path = _of_slurm(found, slurm, place)
    if not follow and not path.exists():
        raise BadInputError(f"{path}: not there{_why(found)}", Code.JOB_NO_LOG)
    is_output = evaluation or slurm is not None or rank is not None
    kind = _Kind.OUTPUT if is_output else _Kind.JSON if json_ else _Kind.EVENT
    for line in lines(path, partial(_is_over, found.id, place) if follow else lambda: True):
        typer.echo(_shown(line.decode("utf-8", "replace"), kind))


def _is_over(job: int, place: Root) -> bool:
    with ReadStore.open(place.store) as store:  # again: what a daemon that starts later writes counts
        return store.job(job).state.is_over


def _path(job: Job, rank: int | None, place: Root) -> Path:
    directory = job.directory(place.path)
    if rank is None:
        return directory.events
    if rank not in job.ranks:
        what = f"ranks 0 to {job.ranks[-1]}" if job.ranks else "no ranks: it only merges"
        raise BadInputError(f"job {job.id} has {what}", Code.JOB_NO_LOG)
    return directory.rank_log(rank)


def _of_slurm(job: Job, what: str, place: Root) -> Path:
    """Return what the batch step of the present attempt prints, or its merge's, or glmd on one of its nodes."""
    directory = NodesDir(job.directory(place.path).step(job.attempt, Step.TRAIN))
    if what == "batch" and job.nodes:
        return directory.out
    if what == "merge" and job.nodes:
        return NodesDir(job.directory(place.path).step(job.attempt, Step.MERGE)).out
    if what not in map(str, range(job.nodes)):
        nodes = f"has nodes 0 to {job.nodes - 1}, batch and merge"
        there = nodes if job.nodes else "does not train on nodes of Slurm"
        raise BadInputError(f"job {job.id} {there}", Code.JOB_NO_LOG)
    return directory.log(int(what))


def _evaluation(job: Job, place: Root) -> Path:
    """Return what the last evaluation printed; where there was none, that of the present attempt to come."""
    directory = job.directory(place.path)
    there = (directory.step(attempt, Step.EVALUATE).stdout for attempt in range(job.attempt, 0, -1))
    return next((path for path in there if path.exists()), directory.step(job.attempt, Step.EVALUATE).stdout)


def _why(job: Job) -> str:
    if job.state.is_over:
        return f"; job {job.id} {job.state} before it wrote any" + (f": {job.reason}" if job.reason else "")
    return f" yet: job {job.id} is {job.state}; -f waits for it"


def lines(path: Path, is_over: Callable[[], bool]) -> Iterator[bytes]:
    """Yield the lines of `path`, and those that are added until `is_over`; the file may appear later.

    A file that is replaced or cut short (a retry) is read from its start again.
    """
    cutter = _Cutter()
    stream: BinaryIO | None = None
    try:
        while True:
            over = is_over()  # before reading: what was written before the end is read then
            if stream is None or _is_another(path, stream):
                if stream is not None:
                    stream.close()
                    yield from cutter.rest()
                stream = _open(path)
            if stream is not None:
                while chunk := stream.read(CHUNK):
                    yield from cutter.lines(chunk)
            if over:
                break
            sys.stdout.flush()
            time.sleep(POLL)
        yield from cutter.rest()
    finally:
        if stream is not None:
            stream.close()


class _Cutter:
    """Cuts what is read into lines; of a line longer than LONGEST the beginning is kept, and how much is not."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._left_out = 0

    def lines(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that end in `chunk`."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._append(end)
            yield self._take()
        self._append(rest)

    def rest(self) -> Iterator[bytes]:
        """Yield the line that has not ended, if there is one."""
        if self._line:
            yield self._take()

    def _append(self, part: bytes) -> None:
        room = LONGEST - len(self._line)
        self._line += part[:room]
        self._left_out += max(0, len(part) - room)

    def _take(self) -> bytes:
        ending = f" … and {self._left_out} bytes more".encode() if self._left_out else b""
        line = bytes(self._line) + ending
        self._line.clear()
        self._left_out = 0
        return line


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def _is_another(path: Path, stream: BinaryIO) -> bool:
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    then = os.fstat(stream.fileno())
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) or now.st_size < stream.tell()


def _shown(line: str, kind: _Kind) -> str:
    """Return a line without anything that drives a terminal: into a pipe, too, for what reads it may be `less -R`."""
    match kind:
        case _Kind.EVENT:
            return event_line(line)
        case _Kind.JSON:
            return printable_json(line)  # an event of ours is as it is kept
        case _Kind.OUTPUT:
            text = printable_lines(last_state(line))
            return text.replace("\t", "    ") if sys.stdout.isatty() else text
