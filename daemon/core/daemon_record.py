"""daemon.json: who the daemon is, and what fails, for anyone who may read the root and not ask at its socket.

The daemon replaces it whole when something in it changes, and nobody waits for it. Who reads it may be a process that
runs for months beside the daemon, and takes little memory: so it is JSON and a dataclass, where other records have
pydantic.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TypeVar

from daemon.core.root import Root
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.codes import Code
from handlers.errors import HandlerError
from handlers.records.process import ProcessIdentity

FORMAT = 1
MOST_BYTES = 1 << 20
MOST_FAULTS = 100
"""How many are told of; each has a kilobyte at most, but for letters of several bytes."""
_YEARS = range(1971, 9999)
"""Such that every zone has the moment, too."""

_T = TypeVar("_T")


class DaemonRecordError(HandlerError):
    """daemon.json is not what a daemon of this version writes."""

    code = Code.DAEMON_RECORD


@dataclass(frozen=True)
class PresentFault:
    """Something that fails now, and is tried again."""

    what: str
    """A room, a claim, a job: what the fault is told by, as long as it lasts."""
    code: str
    reason: str
    since: datetime
    """When it failed first; it has not succeeded after."""


@dataclass(frozen=True)
class NextNight:
    """When a nightly cycle comes next."""

    name: str
    next_due: datetime


@dataclass(frozen=True)
class DaemonRecord:
    """daemon.json."""

    version: str
    """Of glmd."""
    process: ProcessIdentity
    started: datetime
    settings_read: datetime
    devices: tuple[int, ...]
    """Those that the settings give to glmd."""
    cycles: tuple[NextNight, ...] = ()
    faults: tuple[PresentFault, ...] = ()
    """The first that have failed, MOST_FAULTS of them."""
    stopped: datetime | None = None
    """When it was told to end, and did; None while it runs, and for ever where it was killed."""

    def content(self) -> bytes:
        """Return it as the file has it."""
        values = asdict(self)
        values = {"format": FORMAT, **values.pop("process"), **values}
        return (json.dumps(values, default=_iso, ensure_ascii=False, indent=1) + "\n").encode()


def read_daemon_record(root: Root) -> DaemonRecord | None:
    """Read what the daemon says of itself; None where none has said anything. Raises OSError, DaemonRecordError."""
    try:
        content = read_bounded(root.daemon, MOST_BYTES)
        return _record(_entry(json.loads(content), "the whole"))
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise DaemonRecordError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise DaemonRecordError(
            f"{root.daemon}: not what this glmd writes: {error}; restart glmd and the programs that read this "
            "file, so that all have one version"
        ) from error


def is_alive(record: DaemonRecord) -> bool:
    """Say whether the daemon that wrote `record` is there, on this host. Raises OSError."""
    return record.stopped is None and record.process.alive()


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{value!r} has no place in daemon.json")


def _record(values: Mapping[str, object]) -> DaemonRecord:
    """Return what the file says; what a newer glmd adds is left out. Raises ValueError."""
    if (found := _number(values, "format")) != FORMAT:
        raise ValueError(f"its format is {found}, and this glmd knows {FORMAT}")
    return DaemonRecord(
        version=_value(values, "version", str),
        process=ProcessIdentity(
            _number(values, "pid", 1, 1 << 31), _number(values, "start_time"), _value(values, "boot_id", str)
        ),
        started=_moment(values, "started"),
        settings_read=_moment(values, "settings_read"),
        devices=tuple(_number({"devices": device}, "devices") for device in _value(values, "devices", list)),
        cycles=tuple(
            NextNight(_value(cycle, "name", str), _moment(cycle, "next_due")) for cycle in _entries(values, "cycles")
        ),
        faults=tuple(
            PresentFault(
                _value(fault, "what", str),
                _value(fault, "code", str),
                _value(fault, "reason", str),
                _moment(fault, "since"),
            )
            for fault in _entries(values, "faults")
        ),
        stopped=None if values.get("stopped") is None else _moment(values, "stopped"),
    )


def _entries(values: Mapping[str, object], key: str) -> Iterable[Mapping[str, object]]:
    return [_entry(value, key) for value in _value(values, key, list)]


def _entry(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")  # noqa: TRY004 - wrong bytes, not a wrong call
    return value


def _value(values: Mapping[str, object], key: str, kind: type[_T]) -> _T:
    value = values.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is {json.dumps(value)[:60]}")  # noqa: TRY004 - wrong bytes, not a wrong call
    return value


def _number(values: Mapping[str, object], key: str, least: int = 0, limit: int = 1 << 63) -> int:
    value = _value(values, key, int)
    if not least <= value < limit:
        raise ValueError(f"{key} is {value}")
    return value


def _moment(values: Mapping[str, object], key: str) -> datetime:
    text = _value(values, key, str)
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and moment.year in _YEARS:
            return moment
    raise ValueError(f"{key} is {text!r:.60}, which is no moment with its zone")
