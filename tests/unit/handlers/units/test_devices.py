"""Promises of handlers.units.devices."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import BadInputError
from handlers.units.devices import LIMIT, DevicesError, bracket_hint, format_devices, parse_devices


@pytest.mark.parametrize(
    ("text", "devices"),
    (
        ("[0,8)", range(8)),
        ("[0,7]", range(8)),
        ("[0,8]", range(9)),
        ("0-7", range(8)),
        ("0,2,4", (0, 2, 4)),
        ("3", (3,)),
        ("[0,16)", range(16)),
        ("[4,12)", range(4, 12)),
        ("[3,3]", (3,)),
        (" [ 0 , 8 ) ", range(8)),
        ("0 - 3, 8-11\n", (0, 1, 2, 3, 8, 9, 10, 11)),
        ("7,6,5,4", (7, 6, 5, 4)),
        ("63", (63,)),
    ),
)
def test_forms(text: str, devices: range | tuple[int, ...]) -> None:
    """Every form people write is understood, brackets as in mathematics, blanks anywhere, order kept."""
    assert parse_devices(text) == tuple(devices)


@pytest.mark.parametrize(
    ("text", "why"),
    (
        ("", "neither a device nor a range"),
        ("[4,4)", "empty or runs backwards"),
        ("[8,0)", "empty or runs backwards"),
        ("7-0", "empty or runs backwards"),
        ("0,0", "device 0 is named twice"),
        ("0-3,2-5", "devices 2, 3 are named twice"),
        ("[0,65)", "device 64 is out of bounds"),
        ("[0,999999999)", "device 999999998 is out of bounds"),
        ("(0,8)", "write [0,8)"),
        ("[0,8", "write [0,8)"),
        ("-1", "write [0,8)"),
        ("0,,1", "neither"),
        ("a", "neither"),
        ("٣", "neither"),
        ("0.5", "neither"),
    ),
)
def test_refusals(text: str, why: str) -> None:
    """What is no set of devices is refused, with the text as given and the reason."""
    with pytest.raises(DevicesError) as caught:
        parse_devices(text)
    assert why in str(caught.value)
    assert repr(text) in str(caught.value)


def test_an_error_serves_settings_and_command_line() -> None:
    """One error is both bad input (exit code 2) and the ValueError that settings models collect."""
    assert issubclass(DevicesError, BadInputError)
    assert issubclass(DevicesError, ValueError)


@settings(deadline=None)
@given(st.lists(st.integers(0, LIMIT - 1), min_size=1, unique=True).map(tuple))
def test_format_is_read_back(devices: tuple[int, ...]) -> None:
    """Whatever is formatted reads back the same."""
    assert parse_devices(format_devices(devices)) == devices


@pytest.mark.parametrize(
    ("devices", "text"),
    (
        (range(8), "[0,8)"),
        (range(4, 8), "[4,8)"),
        ((0, 2, 4), "0,2,4"),
        ((3,), "3"),
        ((1, 0), "1,0"),
        ((0, 1), "[0,2)"),
    ),
)
def test_format(devices: range | tuple[int, ...], text: str) -> None:
    """Neighbours are written as a half-open range, others one by one."""
    assert format_devices(tuple(devices)) == text


def test_bracket_hint() -> None:
    """`[0,8]` on eight devices gets told `[0,8)`; other absences get no advice."""
    assert bracket_hint(range(9), [8]).endswith("[0,8] includes device 8: for 8 devices write [0,8)")
    assert not bracket_hint(range(9), [7, 8])
    assert not bracket_hint((3,), [3])
    assert not bracket_hint((0, 2, 4), [4])
