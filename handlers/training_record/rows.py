"""The lines of steps.jsonl: a header, and a row for each step that a training printed.

    {"format":1,"job":42,"attempt":1,"rank":7,"devices":8,"host":"npu01","epochs":31,"steps":4,"every":1}
    {"t":1795875499.76,"n":3,"e":1,"s":3,"loss":11.78,"mean":11.772,"ms":114,"lr":0.0,"over":true,"scale":536870900.0,
     "norm":null,"sps":7.08,"tf":null,"at":24117}

n = (e-1)·steps + s. A number that is none is "nan", "inf" or "-inf"; null is what the training's MindFormers does not
say. `lm`, `lb` and `mtp`, losses apart, are there where they are said. `at` is where the log goes on behind the step. A
header is of the rows behind it.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from handlers.rank_log.step_reader import LoggedStep
from handlers.rank_log.steps import StepLine

FORMAT = 1
HEADER = b'{"format":'
"""How a header begins, and nothing else has within it: of a text, JSON escapes what stands in quotes."""
OVERFLOWED = b'"over":true'
"""What a row has that tells of an overflow, and no other, for the same reason."""
_MOST = 1 << 53
"""Of a count: as many as JSON's readers tell apart."""


@dataclass(frozen=True, slots=True)
class Header:
    """Whose steps follow."""

    job: int | str
    attempt: int
    rank: int
    """Whose log told them."""
    devices: int
    """That is, ranks."""
    host: str
    epochs: int
    steps: int
    every: int = 1
    """Of so many steps at least one is there: a long record was thinned."""

    def line(self) -> bytes:
        """Return it as it is written."""
        return _line({"format": FORMAT, **asdict(self)})


@dataclass(frozen=True, slots=True)
class Row:
    """A step with its header."""

    header: Header
    step: StepLine
    at: int


def row_line(logged: LoggedStep) -> bytes:
    """Return a step as it is written."""
    step = logged.step
    apart = {"lm": step.lm_loss, "lb": step.balancing_loss, "mtp": step.mtp_loss}
    return _line(
        {
            "t": step.time if step.time is None else round(step.time, 3),
            "n": step.number,
            "e": step.epoch,
            "s": step.step,
            "loss": _plain(step.loss),
            "mean": _plain(step.mean),
            "ms": step.milliseconds,
            "lr": _plain(step.learning_rate),
            "over": step.overflow,
            "scale": _plain(step.loss_scale),
            "norm": _plain(step.norm),
            "sps": _plain(step.samples),
            "tf": _plain(step.teraflops),
            **{key: _plain(value) for key, value in apart.items() if value is not None},
            "at": logged.end,
        }
    )


def as_json(row: Row) -> dict[str, object]:
    """Return the keys of a row, and its attempt."""
    return {"attempt": row.header.attempt, **json.loads(row_line(LoggedStep(row.step, row.at)))}


def rows_in(lines: Iterable[bytes]) -> Iterator[Row]:
    """Yield the rows of `lines`, each with the header before it; what cannot be read is left out."""
    header: Header | None = None
    for line in lines:
        try:
            # json.loads guesses the encoding of bytes, which takes a quarter longer.
            record = json.loads(str(line, "utf-8"))
            if line.startswith(HEADER):
                header = _header(record)
            elif header is not None:
                yield _row(header, record)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            continue


def is_header(line: bytes) -> bool:
    """Say whether a line is a header."""
    return line.startswith(HEADER)


def header_in(line: bytes) -> Header:
    """Return the header in a line; raises ValueError, TypeError or KeyError where it is none."""
    return _header(json.loads(line))


def loss_in(line: bytes) -> float:
    """Return the loss of a row, nan where the line is none."""
    try:
        return float(json.loads(line)["loss"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return math.nan


def _line(keys: Mapping[str, object]) -> bytes:
    return json.dumps(keys, separators=(",", ":")).encode() + b"\n"


def _plain(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)


def _header(record: Mapping[str, object]) -> Header:
    if record["format"] != FORMAT:
        raise ValueError("another format")
    job = record["job"]
    return Header(
        job=job if isinstance(job, str) else _count(job),
        attempt=_count(record["attempt"]),
        rank=_count(record["rank"]),
        devices=_count(record["devices"]),
        host=str(record["host"]),
        epochs=_count(record["epochs"]),
        steps=_count(record["steps"]),
        every=_count(record["every"]),
    )


def _row(header: Header, record: Mapping[str, object]) -> Row:
    loss, milliseconds, overflow = _number(record["loss"]), record["ms"], record["over"]
    if loss is None or not (overflow is None or isinstance(overflow, bool)):
        raise TypeError("no row")
    step = StepLine(
        time=_number(record["t"]),
        epoch=_count(record["e"]),
        epochs=header.epochs,
        step=_count(record["s"]),
        steps=header.steps,
        loss=loss,
        mean=_number(record["mean"]),
        milliseconds=None if milliseconds is None else _count(milliseconds),
        learning_rate=_number(record["lr"]),
        overflow=overflow,
        loss_scale=_number(record["scale"]),
        norm=_number(record["norm"]),
        teraflops=_number(record["tf"]),
        samples=_number(record["sps"]),
        lm_loss=_number(record.get("lm")),
        balancing_loss=_number(record.get("lb")),
        mtp_loss=_number(record.get("mtp")),
    )
    return Row(header, step, _count(record["at"]))


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise TypeError("no count")
    return value


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("no number")
    return float(value)
