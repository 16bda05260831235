"""Durations as types of settings that pydantic reads; handlers.units.durations is without, for who needs none of it."""

from typing import Annotated

from pydantic import BeforeValidator

from handlers.units.durations import parse_duration, parse_limit

Duration = Annotated[float, BeforeValidator(parse_duration)]
Limit = Annotated[float | None, BeforeValidator(parse_limit)]
