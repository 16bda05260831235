"""Reading the training's part of a plan.json that this very version wrote, before anything that takes long to import.

Whatever is not just so is left to `handlers.records.job_plan`, which knows the plans of older versions, and says what
is wrong.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from handlers.records.merge_plan import MergePlan
from handlers.records.train_plan import ProcessPlan, RankPlan, Role, StopOn, TimeLimits, TrainPlan
from handlers.units.devices import LIMIT

_WHOLE = frozenset({"glmd", "job", "name", "devices", "rank_table", "train", "merge", "base"})
_LIMITS = ("silence", "first_step", "total", "load", "saving")


@dataclass(frozen=True)
class OwnTraining:
    """The training that a plan.json plans."""

    plan: TrainPlan
    devices: tuple[int, ...]
    """Of the whole job."""


def own_training(content: bytes) -> OwnTraining | None:
    """Return the training that plan.json plans; None where its `content` is not just as this version writes it."""
    try:
        whole = _table(json.loads(content), _WHOLE)
        _table(whole["merge"], (field.name for field in fields(MergePlan)))
        json.dumps(whole, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        train = _table(whole["train"], ("processes", "limits", "grace", "configuration", "stop_on"))
        limits = _table(train["limits"], (*_LIMITS, "learned_from"))
        silence, first_step, total, load, saving = (_number_or_none(limits[name]) for name in _LIMITS)
        plan = TrainPlan(
            processes=tuple(map(_process, _list(train["processes"]))),
            limits=TimeLimits(
                silence=silence,
                first_step=first_step,
                total=total,
                load=load,
                saving=saving,
                learned_from=_count(limits["learned_from"]),
            ),
            grace=_number(train["grace"]),
            configuration=_text(train["configuration"]),
            stop_on=_stop_on(train["stop_on"]),
        )
        return OwnTraining(plan, tuple(map(_device, _list(whole["devices"]))))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _stop_on(value: object) -> StopOn:
    stop_on = _table(value, ("not_finite", "rise"))
    lines = stop_on["not_finite"]
    return StopOn(
        not_finite=None if lines is None else _count(lines),
        rise=_number_or_none(stop_on["rise"]),
    )


def _process(value: object) -> ProcessPlan:
    process = _table(value, ("role", "ranks", "argv", "directory", "log"))
    return ProcessPlan(
        role=Role(_text(process["role"])),
        ranks=tuple(map(_rank, _list(process["ranks"]))),
        argv=tuple(map(_text, _list(process["argv"]))),
        directory=Path(_text(process["directory"])),
        log=Path(_text(process["log"])),
    )


def _rank(value: object) -> RankPlan:
    rank = _table(value, ("number", "device", "log"))
    device = rank["device"]
    return RankPlan(
        number=_count(rank["number"]),
        device=None if device is None else _count(device),
        log=Path(_text(rank["log"])),
    )


def _table(value: object, keys: Iterable[str]) -> dict[str, object]:
    if not isinstance(value, dict) or value.keys() != set(keys):
        raise TypeError("not a table with these keys")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _count(value: object) -> int:
    if type(value) is not int:
        raise TypeError("no count")
    return value


def _device(value: object) -> int:
    number = _count(value)
    if not 0 <= number < LIMIT:
        raise ValueError("no device")
    return number


def _number(value: object) -> float:
    if type(value) is not int and type(value) is not float:
        raise TypeError("no number")
    return float(value)


def _number_or_none(value: object) -> float | None:
    return None if value is None else _number(value)
