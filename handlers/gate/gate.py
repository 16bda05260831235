"""What an output has to be to become `latest`: what the settings ask for, and a dropped file beyond that."""

import math
import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

MINDFORMERS = "mindformers"
"""The evaluation that needs no command: MindFormers' own `run_mode: eval`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@/+-]{0,62}", re.ASCII)
_SHARE = re.compile(r"(\d{1,4}(?:\.\d{1,6})?)\s*%", re.ASCII)
_MOST_PERCENT = 1000
_LARGEST = 1e30
"""Of a limit: nobody means a larger one."""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")  # noqa: TRY004 (pydantic wants it)
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise ValueError(f"{value} is no limit; write a number, or leave the key out for no limit")
    return float(value)


def _change(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise ValueError(f"{value} is below 0; write by how much it may change, as 0.01")
    return number


def _share(value: object) -> str:
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) > _MOST_PERCENT:
        raise ValueError(f'{value!r} is no share; write it in per cent, in quotes, up to {_MOST_PERCENT}: "5%"')
    return f"{match[1]}%"


def name_of_evaluation(text: str) -> str:
    """Return `text`, the name of an evaluation or of what one measures; raises ValueError where it is none."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name: up to 63 letters, digits, and `_` `-` `.` `@` `/` `+`")
    return text


Name = Annotated[str, AfterValidator(name_of_evaluation)]
Limit = Annotated[float, BeforeValidator(_number)]
Change = Annotated[float, BeforeValidator(_change)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LossLimits(_Part):
    """What the loss at the end of the training has to be."""

    max: Limit | None = None
    max_rise: Annotated[str, BeforeValidator(_share)] | None = None
    """Above the loss of what `latest` leads to, in per cent of that: `5%`."""
    over: Annotated[int, Strict(), Field(ge=1, le=100_000)] = 20
    """The loss at the end is the mean of so many steps that were recorded last."""

    @property
    def rise(self) -> float | None:
        """`max_rise` as a part of 1."""
        return None if self.max_rise is None else float(self.max_rise.removesuffix("%")) / 100


class MetricLimits(_Part):
    """What something that an evaluation measures has to be."""

    min: Limit | None = None
    max: Limit | None = None
    max_drop: Change | None = None
    """Below what it is for what `latest` leads to."""
    max_rise: Change | None = None
    """Above it."""

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing could pass")
        return self


class Gate(_Part):
    """All of it. The default asks for finite weights alone."""

    finite: Annotated[bool, Strict()] = True
    loss: LossLimits = LossLimits()
    evaluate: Name | None = None
    """Which evaluation is to be run; None for none."""
    metrics: Annotated[dict[Name, MetricLimits], Field(max_length=100)] = {}
    """By name, as the evaluation tells them."""
