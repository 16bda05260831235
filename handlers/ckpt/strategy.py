"""Strategy files (`ckpt_strategy_rank_N.ckpt`): which layout each parameter of a run has.

The format, of mindspore/core/proto/node_strategy.proto (proto2), as far as it matters here:

    ParallelStrategyMap  { required uint32 current_stage = 1; repeated ParallelStrategyItem parallel_strategy_item = 2;
                           repeated ParallelLayoutItem parallel_layout_item = 3 }
    ParallelStrategyItem { required string node_name = 1; required ParallelStrategys parallel_strategys = 2 }
    ParallelStrategys    { required uint32 stage = 1; … }
    ParallelLayoutItem   { required string param_name = 1; required ParallelLayouts parallel_layouts = 2 }
    ParallelLayouts      { repeated DevMatrix dev_matrix = 1; repeated TensorMap tensor_map = 2;
                           repeated ParamSplitShape param_split_shape = 3; repeated IndicesOffset indices_offset = 4;
                           required int32 field = 5, opt_weight_shard_step = 6, opt_weight_shard_size = 7 }

`current_stage` is 1 in every file seen and does not name the stage; the items' `stage` does.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.ckpt.entry import Fingerprint
from handlers.ckpt.errors import DamagedFileError, InconsistentError, UnsupportedLayoutError
from handlers.ckpt.layout import Layout, LayoutError
from handlers.ckpt.wire import BYTES, VARINT, Field, WireError, fields, read_varint, signed

MAX_SIZE = 64 << 20
"""Bytes. GLM-6B's file has 105,186; names, not shapes, make its size."""


@dataclass(frozen=True)
class Strategy:
    """A parsed strategy file."""

    path: Path
    fingerprint: Fingerprint
    stages: frozenset[int]
    """The pipeline stages that its operators belong to."""
    layouts: Mapping[str, Layout]

    @property
    def ranks(self) -> int:
        """How many ranks it speaks of; raises InconsistentError where parameters disagree."""
        counts = {layout.ranks: name for name, layout in self.layouts.items()}
        if len(counts) != 1:
            said = ", ".join(f"{name} is on {count} ranks" for count, name in sorted(counts.items()))
            raise InconsistentError(f"{self.path}: parameters disagree on the number of ranks: {said}")
        return next(iter(counts))


def read_strategy(path: Path) -> Strategy:
    """Parse one strategy file; raises DamagedFileError, UnsupportedLayoutError for the JSON form, and OSError."""
    return _parse(path, *_read(path))


def read_strategies(paths: Sequence[Path]) -> Strategy:
    """Parse the strategy files of one run's ranks, which must be identical, and of one pipeline stage."""
    first, content, fingerprint = paths[0], *_read(paths[0])
    strategy = _one_stage(_parse(first, content, fingerprint))
    for path in paths[1:]:
        other, other_fingerprint = _read(path)
        if other != content:
            _one_stage(_parse(path, other, other_fingerprint))
            raise InconsistentError(
                f"{path} is not what {first} is, though ranks of one run write identical strategy files: "
                "are there files of two runs in the directory? Name the right one"
            )
    return strategy


def _one_stage(strategy: Strategy) -> Strategy:
    if strategy.stages - {0}:
        raise UnsupportedLayoutError(
            f"{strategy.path}: the run has pipeline stages (this file speaks of {sorted(strategy.stages)}); "
            "this version merges runs without pipeline parallelism"
        )
    return strategy


def _read(path: Path) -> tuple[bytes, Fingerprint]:
    with path.open("rb") as stream:
        fingerprint = Fingerprint.of(os.fstat(stream.fileno()))
        content = stream.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise DamagedFileError(f"{path} is over {MAX_SIZE >> 20} MiB; no strategy file is")
    return content, fingerprint


def _parse(path: Path, content: bytes, fingerprint: Fingerprint) -> Strategy:
    if content.lstrip()[:1] == b"{":
        raise UnsupportedLayoutError(f"{path} is a strategy file in JSON, which this version does not read")
    stages: set[int] = set()
    layouts: dict[str, Layout] = {}
    try:
        for item in fields(content, 0, len(content)):
            if item.number == 2:
                strategys = _one(_message(content, item), 2, BYTES, item)
                stages.add(_one(_message(content, strategys), 1, VARINT, strategys).value)
            elif item.number == 3:
                name, layout = _layout_item(content, item)
                if name in layouts:
                    twice = f"{path}: at byte {item.at}: {name}: it is in the file twice"
                    raise DamagedFileError(twice)
                layouts[name] = layout
    except WireError as error:
        raise DamagedFileError(f"{path}: at byte {error.offset}: {error.reason}; is it a strategy file?") from error
    if not layouts:
        raise DamagedFileError(f"{path} names no parameter; is it a strategy file?")
    return Strategy(path, fingerprint, frozenset(stages), layouts)


def _layout_item(content: bytes, item: Field) -> tuple[str, Layout]:
    """Read a ParallelLayoutItem."""
    message = _message(content, item)
    name_field = _one(message, 1, BYTES, item)
    try:
        name = content[name_field.start : name_field.end].decode()
    except UnicodeDecodeError as error:
        raise WireError(name_field.start, "a parameter's name is not UTF-8") from error
    layouts = _one(message, 2, BYTES, item)
    try:
        layout = _layout(content, layouts)
        layout.check()
    except WireError as error:
        raise WireError(error.offset, f"{name}: {error.reason}") from error
    except LayoutError as error:
        raise WireError(layouts.at, f"{name}: {error}") from error
    return name, layout


def _layout(content: bytes, item: Field) -> Layout:
    """Read a ParallelLayouts; one dev_matrix and one tensor_map is all that MindSpore writes."""
    message = _message(content, item)
    uneven = any(_numbers(content, each) for number in (3, 4) for each in message.get(number, ()))
    field = signed(_one(message, 5, VARINT, item).value)
    _one(message, 6, VARINT, item)
    return Layout(
        dev_matrix=_numbers(content, _only(message, 1, item)),
        tensor_map=_numbers(content, _only(message, 2, item)),
        optimizer_shards=signed(_one(message, 7, VARINT, item).value),
        uneven=uneven or field != 0,
    )


def _message(content: bytes, item: Field) -> dict[int, list[Field]]:
    """Return a message's fields by number."""
    if item.wire_type != BYTES:
        raise WireError(item.at, f"field {item.number} is no message")
    message: dict[int, list[Field]] = {}
    for each in fields(content, item.start, item.end):
        message.setdefault(each.number, []).append(each)
    return message


def _one(message: Mapping[int, Sequence[Field]], number: int, wire_type: int, parent: Field) -> Field:
    """Return a required field; of several the last counts, as in protobuf."""
    found = message.get(number, ())
    if not found or found[-1].wire_type != wire_type:
        raise WireError(parent.at, f"required field {number} is missing")
    return found[-1]


def _only(message: Mapping[int, Sequence[Field]], number: int, parent: Field) -> Field:
    """Return a repeated field that must be there once."""
    found = message.get(number, ())
    if len(found) != 1 or found[0].wire_type != BYTES:
        raise WireError(parent.at, f"field {number} is there {len(found)} times, not once")
    return found[0]


def _numbers(content: bytes, item: Field) -> tuple[int, ...]:
    """Read the repeated number, field 1, of a message; packed or not."""
    numbers: list[int] = []
    for each in _message(content, item).get(1, ()):
        if each.wire_type == VARINT:
            numbers.append(signed(each.value))
            continue
        at = each.start
        while at < each.end:
            value, at = read_varint(content, at, each.end)
            numbers.append(signed(value))
    return tuple(numbers)
