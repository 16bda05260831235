"""The protobuf form of strategy files.

The format, of mindspore/core/proto/node_strategy.proto (proto2), as far as it matters here:

    ParallelStrategyMap  { required uint32 current_stage = 1; repeated ParallelStrategyItem parallel_strategy_item = 2;
                           repeated ParallelLayoutItem parallel_layout_item = 3 }
    ParallelStrategyItem { required string node_name = 1; required ParallelStrategys parallel_strategys = 2 }
    ParallelStrategys    { required uint32 stage = 1; … }
    ParallelLayoutItem   { required string param_name = 1; required ParallelLayouts parallel_layouts = 2 }
    ParallelLayouts      { repeated DevMatrix dev_matrix = 1; repeated TensorMap tensor_map = 2;
                           repeated ParamSplitShape param_split_shape = 3; repeated IndicesOffset indices_offset = 4;
                           required int32 field = 5, opt_weight_shard_step = 6, opt_weight_shard_size = 7 }

`current_stage` is 1 in every file seen and does not name the stage; the items' `stage` does. One TensorMap has a number
a tensor dimension. Several TensorMaps (MindSpore from 2.4 on) are one a tensor dimension, with a number for each
dimension of the grid that cuts it; a tensor of one dimension has an empty TensorMap besides, so that they are several.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.formats.wire import BYTES, VARINT, Field, WireError, fields, read_varint, signed
from handlers.ckpt.layout import MAX_NDIM, Layout, LayoutError


def parse_proto(path: Path, content: bytes) -> tuple[set[int], dict[str, Layout]]:
    """Return the stages of the operators, and the layouts by name; raises DamagedFileError."""
    stages: set[int] = set()
    layouts: dict[str, Layout] = {}
    known: dict[bytes, Layout] = {}
    try:
        for item in fields(content, 0, len(content)):
            if item.number == 2:
                strategys = _one(_message(content, item), 2, BYTES, item)
                stages.add(_one(_message(content, strategys), 1, VARINT, strategys).value)
            elif item.number == 3:
                _add_layout(content, item, layouts, known)
            else:
                _check_current_stage(item)
    except WireError as error:
        raise DamagedFileError(
            f"{path}: at byte {error.offset}: {error.reason}; is it a strategy file?", Code.DAMAGED_STRATEGY
        ) from error
    return stages, layouts


def _check_current_stage(item: Field) -> None:
    """Refuse any other field: passing over it might be passing over a parameter."""
    if (item.number, item.wire_type) != (1, VARINT):
        raise WireError(item.at, f"field {item.number} is none of those known")


def _add_layout(content: bytes, item: Field, found: dict[str, Layout], known: dict[bytes, Layout]) -> None:
    """Read a ParallelLayoutItem into `found`; `known` are the encoded layouts met so far, of which a file has few."""
    message = _message(content, item)
    name_field = _one(message, 1, BYTES, item)
    try:
        name = content[name_field.start : name_field.end].decode()
    except UnicodeDecodeError as error:
        raise WireError(name_field.start, "a parameter's name is not UTF-8") from error
    if name in found:
        raise WireError(item.at, f"{name}: it is in the file twice")
    layouts = _one(message, 2, BYTES, item)
    encoded = content[layouts.start : layouts.end]
    if encoded not in known:
        try:
            known[encoded] = _layout(content, layouts)
            known[encoded].check()
        except WireError as error:
            raise WireError(error.offset, f"{name}: {error.reason}") from error
        except LayoutError as error:
            raise WireError(layouts.at, f"{name}: {error}") from error
    found[name] = known[encoded]


def _layout(content: bytes, item: Field) -> Layout:
    """Read a ParallelLayouts."""
    message = _message(content, item)
    if max(message, default=0) > 7:
        raise WireError(item.at, f"field {max(message)} is none of those known")
    grids = [_numbers(content, grid) for grid in message.get(1, ())]
    if len(grids) != 1:
        raise WireError(item.at, f"dev_matrix is there {len(grids)} times, not once")
    field = signed(_one(message, 5, VARINT, item).value)
    used = [
        name
        for number, name in ((3, "param_split_shape"), (4, "indices_offset"))
        if any(_message(content, part) for part in message.get(number, ()))
    ] + ["field"] * (field != 0)
    return Layout(
        dev_matrix=grids[0],
        tensor_map=_tensor_map(content, message.get(2, ()), item),
        optimizer_shards=signed(_one(message, 7, VARINT, item).value),
        optimizer_step=signed(_one(message, 6, VARINT, item).value),
        uneven=", ".join(used),
    )


def _tensor_map(content: bytes, maps: Sequence[Field], parent: Field) -> tuple[int | tuple[int, ...], ...]:
    """Read the TensorMaps of a layout."""
    if not 0 < len(maps) <= MAX_NDIM + 1:
        raise WireError(parent.at, f"tensor_map is there {len(maps)} times")
    numbers = [_numbers(content, tensor_map) for tensor_map in maps]
    if len(numbers) == 1:
        return numbers[0]
    return tuple(axes for axes in numbers if axes)


def _message(content: bytes, item: Field) -> dict[int, list[Field]]:
    """Return a message's fields by number."""
    if item.wire_type != BYTES:
        raise WireError(item.at, f"field {item.number} is no message")
    message: dict[int, list[Field]] = {}
    for field in fields(content, item.start, item.end):
        message.setdefault(field.number, []).append(field)
    return message


def _one(message: Mapping[int, Sequence[Field]], number: int, wire_type: int, parent: Field) -> Field:
    """Return a required field; of several the last counts, as in protobuf."""
    found = message.get(number, ())
    if not found or found[-1].wire_type != wire_type:
        raise WireError(parent.at, f"required field {number} is missing")
    return found[-1]


def _numbers(content: bytes, item: Field) -> tuple[int, ...]:
    """Read the repeated number, field 1, of a message; packed or not. No list of numbers here is long."""
    numbers: list[int] = []
    for field in _message(content, item).get(1, ()):
        if field.wire_type == VARINT:
            numbers.append(signed(field.value))
        at = field.start
        while field.wire_type == BYTES and at < field.end:
            value, at = read_varint(content, at, field.end)
            numbers.append(signed(value))
            if len(numbers) > MAX_NDIM:
                break
        if len(numbers) > MAX_NDIM:
            raise WireError(item.at, f"it has over {MAX_NDIM} dimensions")
    return tuple(numbers)
