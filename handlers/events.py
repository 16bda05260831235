"""Structured log events: to stderr for the journal or a terminal, and to a job's events.jsonl."""

import contextlib
import io
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, FilteringBoundLogger, Processor, WrappedLogger

from handlers.event_lines import append, plain
from handlers.printable import printable_json, printable_lines

Format = Literal["auto", "json", "pretty"]


@dataclass(frozen=True)
class Configured:
    """How this process's events are written, for another that is to write them likewise."""

    format: Format = "auto"
    level: str = "info"


_configured = Configured()


def configured() -> Configured:
    """Return what was configured last."""
    return _configured


def configure(*, format: Format = "auto", level: str = "info", stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's own name
    """Set up structlog for this process: one JSON object a line, or `pretty` lines for people.

    `auto` is pretty when `stream` (default: stderr) is a terminal. Raises ValueError for an unknown level.
    """
    numeric_level = logging.getLevelNamesMapping().get(level.upper())
    if numeric_level is None:
        raise ValueError(f"log level {level!r} is unknown: use debug, info, warning, error or critical")
    global _configured  # noqa: PLW0603 - as structlog's own configuration is
    _configured = Configured(format, level)
    stream = stream if stream is not None else sys.stderr
    pretty = format == "pretty" or (format == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain_values,
            *(_pretty() if pretty else _json()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric_level),
        logger_factory=lambda *_: _StreamLogger(stream),
    )


def job_log(path: Path, **bound: object) -> FilteringBoundLogger:
    """Return a logger with `bound` fields that also appends each event as one JSON line to `path`.

    Several processes may append to the same file.
    """
    config = structlog.get_config()
    processors: list[Processor] = list(config["processors"])
    processors.insert(-1, _AppendTo(path))  # before the renderer
    logger: FilteringBoundLogger = structlog.wrap_logger(
        config["logger_factory"](), processors=processors, wrapper_class=config["wrapper_class"]
    )
    return logger.bind(**bound)


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumps)]


def _dumps(event: object, *, default: Callable[[object], object]) -> str:
    """Return an event as JSON; in a traceback, or deep within a value, there may be words of strangers, too."""
    return printable_json(json.dumps(event, ensure_ascii=False, default=default))


def _pretty() -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(exception_formatter=_traceback)]


def _traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback without the values of variables, of which some are secrets."""
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    stream.write(printable_lines(plain.getvalue()))


def _plain_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: plain(value) for key, value in event.items()}


@dataclass(frozen=True)
class _StreamLogger:
    """What structlog hands the rendered line to, whatever the level."""

    stream: TextIO

    def msg(self, line: str) -> None:
        # A full disk or a closed terminal must not end the supervision of a training, and there is nobody left to tell.
        with contextlib.suppress(OSError):
            self.stream.write(line + "\n")
            self.stream.flush()

    debug = info = warning = error = critical = exception = log = msg


@dataclass(frozen=True)
class _AppendTo:
    """A structlog processor that appends each event to a file, in one write: several processes' lines stay whole."""

    path: Path

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        line: object = dict(event)
        for processor in _json():
            line = processor(logger, name, line)  # type: ignore[arg-type]  # structlog's own chaining
        try:
            append(self.path, str(line))
        except OSError as error:
            event["events_file_error"] = str(error)  # seen on stderr, which does not need the job's disk
        return event
