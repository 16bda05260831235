"""The setting `retention:`: what is kept of jobs that are over."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from handlers.units.durations import parse_duration

Count = Annotated[int, Strict(), Field(ge=0, le=100_000)]
_FOR_EVER = {"off", "none", "false", "null"}
"""YAML 1.1 makes False of `off`."""


def _span(value: object) -> float | None:
    return None if str(value).strip().lower() in _FOR_EVER else parse_duration(value)


def _some(span: float | None) -> float | None:
    if span == 0:
        raise ValueError("0 would remove files that are needed at once; write a time, as 14d, or `off` to keep them")
    return span


Span = Annotated[float | None, BeforeValidator(_span), AfterValidator(_some)]
"""Seconds; None for ever."""


class AfterMerge(StrEnum):
    """What becomes of the shards of a job whose output was promoted."""

    DELETE = "delete"
    KEEP = "keep"


class KeepOptimizer(StrEnum):
    """Of which save the shards, with the optimizer's state, stay when those of a promoted job go."""

    OFF = "off"
    LATEST = "latest"
    """The newest."""


def _word(value: object) -> object:
    return "off" if value is False else value  # as YAML 1.1 reads it


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeepShards(_Part):
    """Of the shards of a job that is over."""

    after_merge: AfterMerge = AfterMerge.DELETE
    keep_last: Count = 1
    """Of the jobs of each cycle whose outputs were promoted, so many keep their shards."""
    failed: Span = 14 * 86400.0
    """So long the shards of a job stay whose output was not promoted; of each cycle those of the newest one stay."""
    keep_optimizer: Annotated[KeepOptimizer, BeforeValidator(_word)] = KeepOptimizer.OFF


class KeepOutputs(_Part):
    """Of the merged outputs of each cycle and prefix; what any of these keeps stays."""

    last: Count = 7
    daily: Count = 14
    """The newest of each of the last days that have one; the same of weeks and of months."""
    weekly: Count = 8
    monthly: Count = 12
    best: Count = 3
    """Those of the lowest final losses."""
    rollback: Count = 2
    """So many of what `latest` led to before, to which `glmd rollback` could go back."""


class Kept(_Part):
    """What is kept of the jobs of a prefix."""

    shards: KeepShards = KeepShards()
    keep: KeepOutputs = KeepOutputs()
    records: Span = 180 * 86400.0
    """So long logs and records stay of a job of which nothing else is left."""


class Retention(Kept):
    """The same for all prefixes, but for those that have their own."""

    prefixes: dict[str, Kept] = {}

    @model_validator(mode="before")
    @classmethod
    def _own_ones_are_those_of_all_but_for_what_they_say(cls, value: object) -> object:
        own = value.get("prefixes") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(own, dict):
            return value
        of_all = {key: kept for key, kept in value.items() if key != "prefixes"}
        return value | {"prefixes": {prefix: _beneath(section, of_all) for prefix, section in own.items()}}

    def of(self, prefix: str) -> Kept:
        """Return what is kept of the jobs of `prefix`."""
        return self.prefixes.get(prefix, self)


def _beneath(section: object, of_all: dict[object, object]) -> object:
    """Return what a section says, with what it does not say as it is in another."""
    if not isinstance(section, dict):
        return section
    both = section.keys() & of_all.keys()
    return of_all | section | {key: _beneath(section[key], of) for key in both if isinstance(of := of_all[key], dict)}
