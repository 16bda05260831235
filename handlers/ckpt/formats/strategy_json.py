"""The JSON form of strategy files, which MindSpore writes where `strategy_ckpt_save_file` ends in `.json`.

    {"current_stage": 1,
     "parallel_strategy_item": {OPERATOR: {"stage": 0, "parallel_strategy": [[…], …]}, …},
     "parallel_layout_item": {PARAMETER: {"dev_matrix": [2, 4], "tensor_map": [0, -1], "tensor_shape": [1024, 64],
                                          "field": 0, "opt_weight_shard_step": 4, "opt_weight_shard_size": -1}, …}}

Uneven slices have `param_split_shape` and `indices_offset` besides. Read in `StrategyCheckpointInfo::to_json` and in
`_build_json_strategy` of mindspore/parallel/_parallel_serialization.py. A list in tensor_map is a tensor dimension that
several dimensions of the grid cut.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.layout import MAX_NDIM, Layout, LayoutError

MAX_VALUES = 1 << 20
"""Commas and brackets in a file, which bound the memory that its values take; GLM-6B's has about 50,000."""
INT64 = 1 << 63


class _PlaceError(ValueError):
    """A value is not what it must be; `place` is its key path."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place = place


class _Twice(dict[str, object]):
    """An object of JSON with a key that is there twice."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


def parse_json(path: Path, content: bytes) -> tuple[set[int], dict[str, Layout]]:
    """Return the stages of the operators, and the layouts by name; raises DamagedFileError."""
    root = _load(path, content)
    try:
        parts = _mapping(root, "")
        operators = _mapping(parts.get("parallel_strategy_item", {}), "parallel_strategy_item")
        layouts = _mapping(parts.get("parallel_layout_item", {}), "parallel_layout_item")
        return {_stage(operators, name) for name in operators}, {name: _layout(layouts, name) for name in layouts}
    except _PlaceError as error:
        raise DamagedFileError(
            f"{path}: {error.place}: {error}; is it a strategy file?", Code.DAMAGED_STRATEGY
        ) from error


def _load(path: Path, content: bytes) -> object:
    """Parse JSON, strictly: no NaN, no second value for a key, no more of anything than there is memory for."""
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise DamagedFileError(f"{path} has over {MAX_VALUES} values; no strategy file has", Code.DAMAGED_STRATEGY)
    try:
        text = content.decode()
        root: object = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DamagedFileError(
            f"{path}:{error.lineno}:{error.colno}: {error.msg}; is it a strategy file?", Code.DAMAGED_STRATEGY
        ) from error
    except UnicodeDecodeError as error:
        raise DamagedFileError(
            f"{path}: at byte {error.start}: it is not UTF-8; is it a strategy file?", Code.DAMAGED_STRATEGY
        ) from error
    except (ValueError, RecursionError) as error:
        # What json leaves to int() and to the interpreter: numbers of thousands of digits, thousands of brackets.
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise DamagedFileError(f"{path}: {reason}; is it a strategy file?", Code.DAMAGED_STRATEGY) from error
    return root


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    return _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of a strategy file")


def _stage(operators: Mapping[str, object], name: str) -> int:
    """Read one item of parallel_strategy_item."""
    stage = _whole(_member(operators, name, "stage", "parallel_strategy_item"), f"parallel_strategy_item.{name}.stage")
    if stage < 0:
        raise _PlaceError(f"parallel_strategy_item.{name}.stage", f"{stage} is no pipeline stage")
    return stage


def _layout(layouts: Mapping[str, object], name: str) -> Layout:
    """Read one item of parallel_layout_item."""
    place = f"parallel_layout_item.{name}"
    item = _mapping(layouts[name], place)

    def number(key: str) -> int:
        return _whole(_member(layouts, name, key, "parallel_layout_item"), f"{place}.{key}")

    def numbers(key: str) -> tuple[int, ...]:
        values = _sequence(_member(layouts, name, key, "parallel_layout_item"), f"{place}.{key}")
        return tuple(_whole(value, f"{place}.{key}[{index}]") for index, value in enumerate(values))

    used = [key for key in ("param_split_shape", "indices_offset") if item.get(key) not in (None, [])]
    layout = Layout(
        dev_matrix=numbers("dev_matrix"),
        tensor_map=_tensor_map(_member(layouts, name, "tensor_map", "parallel_layout_item"), f"{place}.tensor_map"),
        optimizer_shards=number("opt_weight_shard_size"),
        optimizer_step=number("opt_weight_shard_step"),
        uneven=", ".join(used + ["field"] * (number("field") != 0)),
        shape=numbers("tensor_shape") if "tensor_shape" in item else None,
    )
    try:
        layout.check()
    except LayoutError as error:
        raise _PlaceError(place, str(error)) from error
    return layout


def _tensor_map(value: object, place: str) -> tuple[int | tuple[int, ...], ...]:
    """Read the entries of a tensor_map, numbers or lists of numbers."""
    entries: list[int | tuple[int, ...]] = []
    for index, entry in enumerate(_sequence(value, place)):
        here = f"{place}[{index}]"
        if isinstance(entry, list):
            entries.append(tuple(_whole(axis, f"{here}[{at}]") for at, axis in enumerate(_sequence(entry, here))))
        else:
            entries.append(_whole(entry, here))
    return tuple(entries)


def _member(parent: Mapping[str, object], name: str, key: str, place: str) -> object:
    """Return parent[name][key], which must be there."""
    item = _mapping(parent[name], f"{place}.{name}")
    if key not in item:
        raise _PlaceError(f"{place}.{name}", f"{key} is missing")
    return item[key]


def _mapping(value: object, place: str) -> dict[str, object]:
    if isinstance(value, _Twice):
        raise _PlaceError(f"{place}.{value.key}".lstrip("."), "it is in the file twice")
    if not isinstance(value, dict):
        raise _PlaceError(place, "it is no object")
    return value


def _sequence(value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise _PlaceError(place, "it is no list")
    if len(value) > MAX_NDIM:
        raise _PlaceError(place, f"it has over {MAX_NDIM} dimensions")
    return value


def _whole(value: object, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -INT64 <= value < INT64:
        raise _PlaceError(place, "it is no whole number of 64 bits")
    return value
