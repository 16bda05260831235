"""Sets of devices as people write them: `[0,8)`, `[0,7]`, `0-7`, `0,2,4`, `3`."""

import re
from collections.abc import Iterable, Sequence

from handlers.codes import Code
from handlers.errors import BadInputError

LIMIT = 64
"""Device ids lie below this: several times the largest server there is, and small enough to catch a typing slip."""

_FORMS = "write [0,8) or [0,7] or 0-7 for the eight devices 0 to 7, 0,2,4 for single ones, or 3 for one"
_LONGEST = 1000
_INTERVAL = re.compile(r"\[(\d+),(\d+)([\])])", re.ASCII)
_ITEM = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)


class DevicesError(BadInputError, ValueError):
    """A text does not name a set of devices; a ValueError too, so that settings can point at the value."""

    code = Code.DEVICE_WORDS


def parse_devices(text: str) -> tuple[int, ...]:
    """Return the device ids that `text` names, in its order; blanks do not count.

    `[a,b)` is without b and `[a,b]` with it, as in mathematics: `[0,8)` is eight devices, `[0,8]` is nine.
    Raises DevicesError for another form, an empty or reversed range, a device twice, or an id of 64 and more.
    """
    packed = "".join(text.split())
    if len(packed) > _LONGEST:
        raise DevicesError(f"devices: {len(packed)} characters name more devices than any server has; {_FORMS}")
    if interval := _INTERVAL.fullmatch(packed):
        first, last = int(interval[1]), int(interval[2]) - (interval[3] == ")")
        devices = _range(first, last, text)
    else:
        devices = tuple(device for item in packed.split(",") for device in _item(item, text))
    if twice := sorted({device for device in devices if devices.count(device) > 1}):
        raise DevicesError(f"devices {text!r}: {_names(twice)} named twice; name each device once")
    return devices


def format_devices(devices: Sequence[int]) -> str:
    """Return the canonical text for `devices`: `[0,8)` for neighbours in rising order, else `0,2,4`."""
    if len(devices) > 1 and _are_neighbours(devices):
        return f"[{devices[0]},{devices[-1] + 1})"
    return ",".join(map(str, devices))


def bracket_hint(devices: Sequence[int], absent: Iterable[int]) -> str:
    """Return advice for the commonest slip, `[0,8]` meant as eight devices; empty where it does not fit.

    `absent` are those of `devices` that turned out not to be there.
    """
    if len(devices) < 2 or not _are_neighbours(devices) or list(absent) != [devices[-1]]:
        return ""
    meant = format_devices(devices[:-1])
    return f"; [{devices[0]},{devices[-1]}] includes device {devices[-1]}: for {len(devices) - 1} devices write {meant}"


def _are_neighbours(devices: Sequence[int]) -> bool:
    return tuple(devices) == tuple(range(devices[0], devices[0] + len(devices)))


def _item(item: str, text: str) -> tuple[int, ...]:
    match = _ITEM.fullmatch(item)
    if not match:
        raise DevicesError(f"devices {text!r}: {item!r} is neither a device nor a range; {_FORMS}")
    first = int(match[1])
    return _range(first, first if match[2] is None else int(match[2]), text)


def _range(first: int, last: int, text: str) -> tuple[int, ...]:
    if last < first:
        raise DevicesError(f"devices {text!r}: the range is empty or runs backwards; {_FORMS}")
    if last >= LIMIT:
        raise DevicesError(f"devices {text!r}: device {last} is out of bounds; ids go from 0 to {LIMIT - 1}")
    return tuple(range(first, last + 1))


def _names(devices: Sequence[int]) -> str:
    listed = ", ".join(map(str, devices))
    return f"device {listed} is" if len(devices) == 1 else f"devices {listed} are"
