"""What a process apart and the daemon tell each other."""

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from handlers.events import Configured

Work = Callable[[], object]


@dataclass(frozen=True)
class Order:
    """What the daemon wants of a process."""

    work: Work
    events: Configured
    """How it is to log."""


@dataclass(frozen=True)
class Entering:
    """It is about to touch a file system, on its way to a path; it waits for a `Pass`."""

    mount: str
    path: Path


@dataclass(frozen=True)
class Pass:
    """The answer: empty, or why not."""

    refused: str


@dataclass(frozen=True)
class Left:
    """The file system has answered."""


@dataclass(frozen=True)
class Resting:
    """It waits, for as long as it likes, until something happens."""


@dataclass(frozen=True)
class Working:
    """It has begun to do something again."""


@dataclass(frozen=True)
class Report:
    """Something that the work has found out, with more to come."""

    value: object


@dataclass(frozen=True)
class Returned:
    """The work is done."""

    value: object


class _TracebackError(Exception):
    """Where an exception came from, as text: tracebacks do not cross to another process."""

    def __str__(self) -> str:
        return f"in a process apart\n{self.args[0]}"


@dataclass(frozen=True)
class _Packed:
    """An exception as its parts: those with an `__init__` of their own cannot be pickled as they are."""

    kind: type[BaseException]
    args: tuple[object, ...]
    fields: dict[str, object]

    def error(self) -> BaseException:
        made = self.kind.__new__(self.kind, *self.args)
        vars(made).update(self.fields)
        return made


@dataclass(frozen=True)
class Raised:
    """The work has failed: with an exception, what caused it, what caused that."""

    chain: tuple[_Packed | OSError, ...]
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Describe `error`."""
        chain = [error]
        while (cause := chain[-1].__cause__) is not None and cause not in chain:
            chain.append(cause)
        return cls(tuple(map(_packed, chain)), "".join(traceback.format_exception(error)))

    def error(self) -> BaseException:
        """Return the exception with its causes, the last of which tells the traceback."""
        chain = [part if isinstance(part, OSError) else part.error() for part in self.chain]
        for error, cause in zip(chain, (*chain[1:], _TracebackError(self.text)), strict=True):
            error.__cause__ = cause
        return chain[0]


def _packed(error: BaseException) -> _Packed | OSError:
    packed = error if isinstance(error, OSError) else _Packed(type(error), error.args, vars(error))
    try:
        pickle.loads(pickle.dumps(packed))  # noqa: S301 - ours
    except Exception:  # noqa: BLE001 - whatever a class of others has against it; what it says is kept
        return _Packed(RuntimeError, (f"{type(error).__name__}: {error}",), {})
    return packed
