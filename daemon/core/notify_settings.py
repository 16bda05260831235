"""The settings of notifications: who is told what, and when."""

import re
from datetime import time
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from daemon.core.event_kinds import DEFAULT, EventKind
from daemon.core.setting_sections import Section, checked_night
from handlers.units.duration_types import Duration
from handlers.units.durations import parse_duration

MOST_DESTINATIONS = 32
_CREDENTIAL = re.compile(r"credential:[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
_MOST = re.compile(r"(\d{1,6})\s*/\s*(\w+)", re.ASCII)
_UNITS = {"min": "1m", "minute": "1m", "h": "1h", "hour": "1h", "d": "1d", "day": "1d"}


def _credential(value: object) -> object:
    """Return `credential:NAME`. Raises ValueError, which never has the value in it: it may be a secret."""
    if not isinstance(value, str) or not _CREDENTIAL.fullmatch(value):
        raise ValueError(
            "an address or secret does not belong in this file: put it into /etc/glmd/credentials/NAME, of mode 0600, "
            "and write credential:NAME here"
        )
    return value


def credential_in(setting: str | None) -> str:
    """Return the name in `credential:NAME`; empty for none."""
    return (setting or "").removeprefix("credential:")


def _none_or_credential(value: object) -> object:
    return None if value is None else _credential(value)


def _clock(value: object) -> object:
    """Return the time in `08:00`, or None for none of them. Raises ValueError."""
    if isinstance(value, time):
        return value
    if value is None or str(value).strip().lower() in {"off", "none", "false"}:  # YAML 1.1 makes False of `off`
        return None
    match = _CLOCK.fullmatch(str(value).strip())
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise ValueError(f'{value!r:.100} is no time of the day; write it in quotes, as "08:00", or null')
    return time(int(match[1]), int(match[2]))


def _hours(value: object) -> object:
    return None if value is None else checked_night(str(value))


def _most(value: object) -> object:
    """Return how many messages there may be, and in how many seconds. Raises ValueError."""
    if value is None or isinstance(value, tuple):
        return value
    if str(value).strip().lower() in {"off", "none", "false"}:
        return "off"
    match = _MOST.fullmatch(str(value).strip())
    if match is None or match[2] not in _UNITS or int(match[1]) == 0:
        raise ValueError(f"{value!r:.100} is no limit; write messages in a time, as 10/h, 2/min or 50/d, or off")
    return int(match[1]), parse_duration(_UNITS[match[2]])


def _kinds(value: object) -> object:
    """Return the kinds of events that are named, `*` for all. Raises ValueError."""
    if not isinstance(value, (list, tuple, frozenset)) or not value:
        raise ValueError('write a list, as [job.failed, digest], or ["*"] for all')
    if wrong := [kind for kind in value if kind != "*" and kind not in _CHOICE]:
        raise ValueError(f"{wrong[0]!r:.100} is no event; there are {', '.join(_CHOICE)}, and * for all")
    return frozenset(_CHOICE) if "*" in value else frozenset(map(EventKind, value))


_CHOICE = tuple(kind for kind in EventKind if kind is not EventKind.TEST)


class DestinationSettings(Section):
    """One place that is told."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,46}$")
    url: Annotated[str, BeforeValidator(_credential)]
    """Which credential holds its address, as `credential:NAME`."""
    secret: Annotated[str | None, BeforeValidator(_none_or_credential)] = None
    """Which one holds what a webhook is signed with."""
    language: str = Field(default="en", pattern=r"^(en|zh)$")
    events: Annotated[frozenset[EventKind], BeforeValidator(_kinds)] = DEFAULT
    jobs: str = Field(default="*", min_length=1, max_length=200)
    """A pattern of names of jobs and cycles."""
    quiet: Annotated[str | None, BeforeValidator(_hours)] = None
    """From when to when only what is urgent is told, as `23:00-07:00`."""
    group: Annotated[Duration | None, Field(le=3600)] = None
    """Seconds after a message in which what happens is kept for one message; None: 60, and 0 for a webhook."""
    most: Annotated[tuple[int, float] | Literal["off"] | None, BeforeValidator(_most)] = None
    """So many messages in so many seconds; None: 10 an hour, and any number for a webhook."""


class NotifySettings(Section):
    """Notifications, which `glmd notify serve` sends."""

    morning: Annotated[time | None, BeforeValidator(_clock)] = time(8)
    """When the digest is sent, by the host's clock; None for never."""
    heartbeat: Annotated[str | None, BeforeValidator(_none_or_credential)] = None
    """Which credential holds a URL that is called every minute while all is well."""
    destinations: tuple[DestinationSettings, ...] = ()

    @field_validator("destinations")
    @classmethod
    def _are_few(cls, value: tuple[DestinationSettings, ...]) -> tuple[DestinationSettings, ...]:
        if len(value) > MOST_DESTINATIONS:
            raise ValueError(f"{len(value)} destinations; there may be {MOST_DESTINATIONS}")
        return value

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [one.name for one in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("two destinations have the same name")
        return self
