"""The parts of glmd's settings, each checked by itself, and the types of their values."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)
from pydantic_settings import NoDecode

from daemon.core.night_hours import NightHours
from handlers.mindformers.foreign_code import ForeignCode
from handlers.mindformers.version import Version
from handlers.rank_table.topology import Topology
from handlers.training.binding import named
from handlers.training.entry import RUN_MINDFORMER, checked_entry
from handlers.units.devices import parse_devices
from handlers.units.duration_types import Duration
from handlers.units.durations import parse_duration
from handlers.units.stop_on_types import NotFinite, Rise
from handlers.validate.continue_from import parse_continue_from

Devices = Annotated[
    tuple[int, ...],
    NoDecode,  # an override is text, as in the file, not JSON
    BeforeValidator(lambda value: value if isinstance(value, tuple) else parse_devices(str(value))),
]


def _devices_or_none(value: object) -> object:
    is_none = value is None or str(value).strip().lower() == "none"
    return None if is_none else value if isinstance(value, tuple) else parse_devices(str(value))


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{path} is a relative path; write it from the root: /…")
    return path


def _named(path: object) -> object:
    if isinstance(path, str) and not path.strip():
        raise ValueError("names no file; write it from the root: /…")
    return path


SomePath = Annotated[Path, BeforeValidator(_named)]
AbsolutePath = Annotated[SomePath, AfterValidator(_absolute)]


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number")  # noqa: TRY004 (pydantic wants it)
    return value


class Observer(StrEnum):
    """How directories are watched."""

    AUTO = "auto"
    INOTIFY = "inotify"
    POLLING = "polling"


class Runner(StrEnum):
    """What starts a step's shim."""

    AUTO = "auto"
    """systemd where glmd itself runs under systemd, else spawn."""
    SYSTEMD = "systemd"
    """The unit glmd-job@ID-ATTEMPT-STEP.service."""
    SPAWN = "spawn"
    """A child in a session of its own, which outlives the daemon."""


class Preflight(StrEnum):
    """What becomes of a job whose devices or disk are not fit for it, before it takes them."""

    WAIT = "wait"
    """It waits for what may pass: foreign processes, ports in use, a full disk. The rest, as bad health, fails it."""
    REFUSE = "refuse"
    """Whatever is found fails it."""
    OFF = "off"
    """Nothing is looked at."""


class Cancel(StrEnum):
    """Who may cancel and retry a job, besides root and the user that glmd runs as."""

    GROUP = "group"
    """Anyone who may connect to the socket: the members of its group."""
    OWNER = "owner"
    """Who owned the dropped file."""


def checked_night(text: str) -> str:
    """Return the hours of a night as they are written. Raises ValueError."""
    return str(NightHours.parse(text))


class LogFormat(StrEnum):
    """How log events are written to standard error."""

    AUTO = "auto"
    JSON = "json"
    PRETTY = "pretty"


def _passable(text: str) -> str:
    """Refuse what no path, name or variable can hold."""
    if "\0" in text:
        raise ValueError("it has a NUL in it; no path, name or variable may have that")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("it has half a character in it (a surrogate); no path, name or variable may have that")
    return text


def _variable(name: str) -> str:
    if not name or "=" in name:
        raise ValueError(f"{name!r} is no name of a variable")
    return _passable(name)


class Texts(BaseModel):
    """Settings whose texts can be passed on to the kernel."""

    @field_validator("*", mode="before")
    @classmethod
    def _are_passable(cls, value: object) -> object:
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str):
                _passable(text)
        return value


class LogLevel(StrEnum):
    """Which events are written: those of this level, and of those that follow."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Section(Texts):
    """A part of the settings that takes no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InboxSettings(Section):
    """How dropped files are taken in."""

    settle: Annotated[Duration, Field(le=3600)] = 1.0
    rescan: Annotated[Duration, Field(ge=1, le=86400)] = 60.0
    max_bytes: Annotated[int, BeforeValidator(_number), Field(gt=0, le=64 << 20)] = 1 << 20
    observer: Observer = Observer.AUTO


def _version(value: object) -> object:
    if isinstance(value, float):  # 1.10 would be 1.1
        raise ValueError(f'{value} is a number; put the version in quotes, as "0.8"')  # noqa: TRY004 (pydantic wants it)
    if isinstance(value, str):
        Version.parse(value)
    return value


BindCore = bool | dict[str, list[str]]


def _binding(wish: BindCore) -> BindCore:
    if not isinstance(wish, bool):
        named(wish)
    return wish


class TrainingSettings(Section):
    """What trains, and in which environment."""

    python: SomePath = Path("/opt/mindformers/venv/bin/python")
    checkout: SomePath = Path("/opt/mindformers")
    mindformers: Annotated[str, BeforeValidator(_version)] | None = None
    """Its version; None for what the checkout says, or else the interpreter."""
    environment: dict[Annotated[str, AfterValidator(_variable)], Annotated[str, AfterValidator(_passable)]] = {}
    entry: Annotated[str, AfterValidator(checked_entry)] = RUN_MINDFORMER
    """What of the checkout runs: a script, or a module that the interpreter finds."""
    allow_code: tuple[ForeignCode, ...] = ()
    """How a dropped file may let code run that is no part of MindFormers."""
    with_rank_table: bool = False
    """Whether the ranks of a cluster get RANK_TABLE_FILE as well."""
    bind_core: Annotated[BindCore, AfterValidator(_binding)] = False
    """Whether each rank has CPUs of its own, or which; handlers.training.binding."""
    grace: Annotated[Duration, Field(le=3600)] = 20.0


class RankTableSettings(Section):
    """Where the devices' addresses come from."""

    server_ip: str = "auto"
    hccn_tool: str = "hccn_tool"
    hccn_conf: SomePath = Path("/etc/hccn.conf")
    topology: Topology = Topology.ANY


MOST_RANKS = 1 << 16
"""Of a run: more than any has, and few enough to look for each one's files."""


_TAG = r"^(last|((network|trainable_params)-)?[0-9]{1,9}_[0-9]{1,9}|network|trainable_params|iteration_[0-9]{8,9})$"


class WatchSettings(Section):
    """A tree that others write shards into, to be merged when complete."""

    path: AbsolutePath
    tag: str = Field(default="last", pattern=_TAG)
    prefix: str | None = None
    ranks: Annotated[int, BeforeValidator(_number), Field(gt=0, le=MOST_RANKS)] | None = None
    needs_strategy: bool = True
    quiet: Duration = 60.0


class IfUnchanged(StrEnum):
    """What becomes of a night whose inputs are those of the last run that came to its end."""

    RUN = "run"
    SKIP = "skip"


def _pattern(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is no absolute path; write it from the root, as /data/sft/*.mindrecord")
    return text


def _alarm(value: object) -> float | None:
    """Return seconds, or None for `off`; raises ValueError."""
    if str(value).strip().lower() in {"off", "none", "false", "null"}:  # YAML 1.1 makes False of `off`
        return None
    if (seconds := parse_duration(value)) == 0:
        raise ValueError("a run needs time after it is due; write a time as 6h, or off")
    return seconds


class NightlySettings(Section):
    """A training that is dropped into the inbox by the clock."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,46}$")
    """With the time of a run behind it, it has to be a job's whole name: by that a run is found again."""
    cron: str
    timezone: str | None = None
    template: SomePath
    devices: str | None = None
    continue_from: Annotated[str, BeforeValidator(parse_continue_from)] | None = "latest"
    inputs: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()
    """Patterns of the files that it is trained on; without any, they are what the template's {newest:…} stand for."""
    if_unchanged: IfUnchanged = IfUnchanged.RUN
    alarm: Annotated[float | None, BeforeValidator(_alarm)] = 6 * 3600.0
    """So long after a run was due there is to be a success; None: nobody wants to know."""


class StopOnSettings(Section):
    """When a training has diverged and is ended; a dropped file's own `stop_on` wins."""

    not_finite: NotFinite = 20
    """So many printed lines on end that are lost: NaN, infinite, an overflow at the smallest scale; None is off."""
    rise: Rise = None
    """As many with a loss above so many times the run's median; None is off."""


class EvaluationSettings(Section):
    """A program that measures a merged checkpoint. A dropped file picks one by name, and cannot say what it runs."""

    command: tuple[Annotated[str, AfterValidator(_passable)], ...] = ()
    """Empty for MindFormers' own alone."""
    devices: Annotated[tuple[int, ...] | None, BeforeValidator(_devices_or_none)] = None
    """Physical ids; None for none, and for what MindFormers' own needs."""
    timeout: Annotated[Duration, Field(gt=0)] = 3600.0
    environment: dict[Annotated[str, AfterValidator(_variable)], Annotated[str, AfterValidator(_passable)]] = {}


class LogSettings(Section):
    """Log output."""

    format: LogFormat = LogFormat.AUTO
    level: LogLevel = LogLevel.INFO
