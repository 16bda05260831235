"""What a job was told to do: the dropped file, what ran, and what differs from another job."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.core.read_store import ReadStore
from daemon.core.states import Job
from daemon.face.below import read_below
from daemon.face.comparison import DifferentKey, different_keys
from daemon.face.redaction import redacted
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.finding import job_of, open_store
from daemon.face.web.job_files import attempts_of
from handlers.hidden_keys import HiddenKeys
from handlers.printable import printable, printable_lines
from handlers.validate.problem import ConfigError

_LARGEST = 1 << 20
"""Bytes of a file that is shown: more the check does not let through."""
_LONGEST_VALUE = 400
_MOST_ROWS = 500
_HIGHEST = (1 << 53) - 1
"""Of a job's number."""


@dataclass(frozen=True)
class File:
    """A configuration, without what is not shown."""

    name: str
    label: str
    text: str
    notice: str
    """What there is to say of it; empty for nothing."""
    is_open: bool


@dataclass(frozen=True)
class Difference:
    """What differs from another job."""

    other: Job
    rows: tuple[DifferentKey, ...]
    left_out: int
    reason: str
    """Why nothing can be compared; empty where it can."""


@dataclass(frozen=True)
class Config:
    """What the page shows."""

    job: Job
    files: tuple[File, ...]
    difference: Difference | None
    """None where there is no job before."""
    asked_with: str


def config(asked: Asked) -> Page:
    """Return the page. Raises NotThereError, StoreError, OSError."""
    content = read_config(asked)
    return Page("config.html", f"{content.job.id} {content.job.name}: {asked.say('config')}", content, "jobs")


def read_config(asked: Asked) -> Config:
    """Return what a job was told to do. Raises NotThereError, StoreError, OSError."""
    with open_store(asked) as store:
        job = job_of(store, asked)
        other = _other(store, job, asked)
    hidden = asked.site.hidden
    return Config(
        job=job,
        files=tuple(_files(job, hidden, asked)),
        difference=None if other is None else _difference(job, other, hidden, asked),
        asked_with="" if other is None else str(other.id),
    )


def _other(store: ReadStore, job: Job, asked: Asked) -> Job | None:
    number = asked.number("with", 1, _HIGHEST, 0)
    if not number:
        return store.same_before(job)
    other = store.readable(number)
    if other is None:
        raise NotThereError(asked.say("no_job", job=number))
    return other


def _difference(job: Job, other: Job, hidden: HiddenKeys, asked: Asked) -> Difference:
    try:
        rows = different_keys([other, job], asked.site.root.path, hidden)
    except FileNotFoundError as error:
        return Difference(other, (), 0, asked.words.say("config", "not_there", path=_short(error.filename)))
    except ConfigError as error:  # its text may quote a line
        return Difference(other, (), 0, asked.words.say("config", "no_yaml", path=_short(error.name)))
    shown = tuple(
        DifferentKey(_shortened(row.key), tuple(None if value is None else _shortened(value) for value in row.values))
        for row in rows[:_MOST_ROWS]
    )
    return Difference(other, shown, len(rows) - len(shown), "")


def _files(job: Job, hidden: HiddenKeys, asked: Asked) -> Iterator[File]:
    directory = job.directory(asked.site.root.path)
    places = [("ran", directory.config, ""), ("dropped", directory.submitted, "")]
    places += [("resumed", directory.resumed_config(number), str(number)) for number in attempts_of(job) if number > 1]
    for key, path, attempt in places:
        try:
            content = read_below(directory.path, path, _LARGEST + 1)
        except FileNotFoundError:
            continue
        label = asked.words.say("config", key, attempt=attempt)
        if len(content) > _LARGEST:
            yield File(path.name, label, "", asked.words.say("config", "too_large"), is_open=key == "ran")
            continue
        found = redacted(content, hidden)
        notice = "" if found.is_parsed else asked.words.say("config", "line_by_line")
        yield File(path.name, label, printable_lines(found.text.replace("\r\n", "\n")), notice, is_open=key == "ran")


def _short(path: str) -> str:
    """Return which file of which job it is."""
    return "/".join(Path(path).parts[-2:])


def _shortened(text: str) -> str:
    value = printable(text[: _LONGEST_VALUE + 1])
    return value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]} …"
