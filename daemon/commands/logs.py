"""`glmd logs`: a job's events for people, or what one rank prints."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from daemon.commands.arguments import ConfigOption, JobArgument, RootOption, job_in, root_of
from daemon.commands.table import printable
from daemon.root import Root
from daemon.states import Job
from daemon.store import Store
from handlers.errors import BadInputError

POLL = 0.5
CHUNK = 1 << 16


def logs(
    job: JobArgument,
    *,
    rank: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="What this rank prints, instead of events.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="The events as they are kept, one JSON object a line.")] = False,
    root: RootOption = None,
    config: ConfigOption = None,
) -> None:
    """Show a job's events, or what one rank prints."""
    place = Root(root_of(root, config))
    with Store.open_for_reading(place.store) as store:
        found = job_in(store, job)
    path = _path(found, rank, place)
    if not follow and not path.exists():
        raise BadInputError(f"{path}: not there{_why(found)}")
    for line in lines(path, partial(_is_over, found.id, place) if follow else lambda: True):
        _show(line, as_event=rank is None and not json_)


def _is_over(job: int, place: Root) -> bool:
    with Store.open_for_reading(place.store) as store:  # anew: what a daemon that starts later writes counts
        return store.job(job).state.is_over


def _path(job: Job, rank: int | None, place: Root) -> Path:
    directory = job.directory(place.path)
    if rank is None:
        return directory.events
    if rank >= len(job.devices):
        what = f"ranks 0 to {len(job.devices) - 1}" if job.devices else "no ranks: it only merges"
        raise BadInputError(f"job {job.id} has {what}")
    return directory.rank_log(rank)


def _why(job: Job) -> str:
    if job.state.is_over:
        return f"; job {job.id} {job.state} before it wrote any" + (f": {job.reason}" if job.reason else "")
    return f" yet: job {job.id} is {job.state}; -f waits for it"


def lines(path: Path, is_over: Callable[[], bool]) -> Iterator[bytes]:
    """Yield the lines of `path`, and those that are added until `is_over`; the file may appear later.

    A file that is replaced or cut short (a retry) is read from its start again.
    """
    rest = b""
    stream: BinaryIO | None = None
    try:
        while True:
            over = is_over()  # before reading: what was written before the end is read then
            if stream is None or _is_another(path, stream):
                if stream is not None:
                    stream.close()
                stream = _open(path)
            if stream is not None:
                while chunk := stream.read(CHUNK):
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from whole
            if over:
                break
            sys.stdout.flush()
            time.sleep(POLL)
        if rest:
            yield rest
    finally:
        if stream is not None:
            stream.close()


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


def _show(line: bytes, *, as_event: bool) -> None:
    text = line.decode("utf-8", "replace")
    if as_event:
        typer.echo(_event(text))
    elif sys.stdout.isatty():
        # A rank's own bar rewrites its line with carriage returns; its last state is what counts.
        typer.echo(printable(text.rstrip("\r").rpartition("\r")[2].replace("\t", "    ")))
    else:
        sys.stdout.buffer.write(line + b"\n")


def _event(text: str) -> str:
    """Return an event as one readable line: time, level when it is not info, name, fields."""
    try:
        event = json.loads(text)
        at = datetime.fromisoformat(event.pop("timestamp")).astimezone()
        level, name = event.pop("level", "info"), event.pop("event")
    except (ValueError, KeyError, AttributeError, TypeError):
        return printable(text)  # cut off by a crash, or not ours
    event.pop("job", None)
    fields = " ".join(f"{key}={_value(value)}" for key, value in event.items())
    mark = "" if level == "info" else f"{level.upper()} "
    return printable(f"{at:%Y-%m-%d %H:%M:%S} {mark}{name} {fields}".rstrip())


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
