"""Promises of handlers.rank_table.topology."""

from collections.abc import Callable
from itertools import chain, combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.rank_table.topology import Topology, topology_note, topology_problem
from handlers.units.devices import parse_devices

PRODUCTS = (Topology.A910, Topology.B910, Topology.CARDS16, Topology.A3)


def any_of(devices: range | tuple[int, ...]) -> set[frozenset[int]]:
    """Return all sets of some of `devices`."""
    sets = chain.from_iterable(combinations(devices, count) for count in range(1, len(devices) + 1))
    return {frozenset(one) for one in sets}


def training_series() -> set[frozenset[int]]:
    """List what the documentation has for the Atlas training series: 1, 2, 4, 8; 2 and 4 within 0-3 or within 4-7."""
    ones = {frozenset({device}) for device in range(8)}
    few = {frozenset(one) for ring in (range(4), range(4, 8)) for count in (2, 4) for one in combinations(ring, count)}
    return ones | few | {frozenset(range(8))}


def box16() -> set[frozenset[int]]:
    """List it for the A2 Box16: up to 8 in one module; 10 to 16, and fewer, at the same positions of both."""
    both = {frozenset((*half, *(device + 8 for device in half))) for half in any_of(range(8))}
    return any_of(range(8)) | any_of(range(8, 16)) | both


def a3() -> set[frozenset[int]]:
    """List it for the A3: one device, or any of the eight modules whole."""
    ones = {frozenset({device}) for device in range(16)}
    return ones | {frozenset(chain.from_iterable((2 * m, 2 * m + 1) for m in which)) for which in any_of(range(8))}


DOCUMENTED: dict[Topology, Callable[[], set[frozenset[int]]]] = {
    Topology.A910: training_series,
    Topology.B910: lambda: any_of(range(8)),
    Topology.CARDS16: box16,
    Topology.A3: a3,
}


@pytest.mark.parametrize("topology", PRODUCTS)
def test_the_documented_sets_and_no_others(topology: Topology) -> None:
    """Of all 65,535 sets of sixteen devices, each product takes what its documentation lists."""
    taken = {
        frozenset(device for device in range(16) if bits >> device & 1)
        for bits in range(1, 1 << 16)
        if not _refused(tuple(device for device in range(16) if bits >> device & 1), topology)
    }
    assert taken == DOCUMENTED[topology]()


def _refused(devices: tuple[int, ...], topology: Topology) -> bool:
    """Ask without the advice, which looks through subsets and is for people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handlers.rank_table.topology._advice", lambda *_: "")
        return topology_problem(devices, topology) is not None


ALL = {topology: sets() for topology, sets in DOCUMENTED.items()}
COUNTS = {
    Topology.A910: {1, 2, 4, 8},
    Topology.B910: set(range(1, 9)),
    Topology.CARDS16: {*range(1, 9), 10, 12, 14, 16},
    Topology.A3: {1, *range(2, 17, 2)},
}


@pytest.mark.parametrize("topology", PRODUCTS)
def test_the_documented_counts(topology: Topology) -> None:
    """The lists above have the numbers of devices that the documentation gives."""
    assert {len(one) for one in ALL[topology]} == COUNTS[topology]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 17), min_size=1, max_size=16, unique=True))
def test_any_takes_what_some_product_takes(devices: list[int]) -> None:
    """Whatever the order; and it is told when a product that has these devices would refuse them."""
    one = frozenset(devices)
    takers = [topology for topology in PRODUCTS if one in ALL[topology]]
    assert (topology_problem(devices, Topology.ANY) is None) == bool(takers)
    having = [t for t in PRODUCTS if max(devices) < (8 if t in {Topology.A910, Topology.B910} else 16)]
    note = topology_note(devices, Topology.ANY)
    assert (note is not None) == (bool(takers) and takers != having)
    if note:
        assert f"topology {' or '.join(takers)} takes " in note


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PRODUCTS), st.lists(st.integers(0, 20), min_size=1, max_size=12, unique=True))
def test_the_advice_is_right(topology: Topology, devices: list[int]) -> None:
    """What would do of the devices given is the largest part of them that is taken."""
    problem = topology_problem(devices, topology)
    if problem is None or "would be possible" not in problem:
        return
    part = frozenset(parse_devices(problem.rpartition("of these, ")[2].removesuffix(" would be possible")))
    assert part in ALL[topology]
    assert part < frozenset(devices)
    assert len(part) == max(len(one) for one in ALL[topology] if one < frozenset(devices))


@pytest.mark.parametrize(
    ("topology", "devices"),
    (
        *((Topology.A910, text) for text in ("0", "7", "[0,4)", "[4,8)", "0,3", "5,6", "[0,8)", "7,6,5,4")),
        *((Topology.B910, text) for text in ("0", "3,4", "1,2,5,6", "[0,8)", "0-6", "0,2,4,6,7")),
        *((Topology.CARDS16, text) for text in ("0", "15", "0,8", "[0,8)", "[8,16)", "0-3,8-11", "0,5,13,8", "[0,16)")),
        *((Topology.CARDS16, text) for text in ("0-2", "8-14", "0-4,8-12", "0-6,8-14")),
        *((Topology.A3, text) for text in ("15", "0,1", "14,15,2,3", "[0,10)", "[0,16)")),
        *((Topology.ANY, text) for text in ("3,4", "[0,7)", "[4,12)", "[0,10)", "0-4,8-12")),
    ),
)
def test_usable_together(topology: Topology, devices: str) -> None:
    """Devices that the server's own links join are no problem."""
    assert topology_problem(parse_devices(devices), topology) is None


@pytest.mark.parametrize(
    ("topology", "devices", "why"),
    (
        (Topology.A910, "3,4", "cross the two rings"),
        (Topology.A910, "[2,6)", "cross the two rings"),
        (Topology.A910, "[2,6)", "of these, [2,4) would be possible"),
        (Topology.A910, "0-6", "takes 1, 2, 4 or 8 devices, not 7; of these, [0,4) would be possible"),
        (Topology.A910, "[4,12)", "has the devices [0,8), not [8,12); of these, [4,8) would be possible"),
        (Topology.A910, "8", "has the devices [0,8), not 8"),
        (Topology.B910, "7,8", "has the devices [0,8), not 8; of these, 7 would be possible"),
        (Topology.CARDS16, "0,9", "not at the same positions"),
        (Topology.CARDS16, "[4,12)", "not at the same positions"),
        (Topology.CARDS16, "16", "has the devices [0,16), not 16"),
        (Topology.CARDS16, "0-8", "takes 1 to 8, 10, 12, 14 or 16 devices, not 9; [0,8] includes device 8"),
        (Topology.CARDS16, "0-5,8-11", "not at the same positions; use one module"),
        (Topology.A3, "0-2", "takes 1 or an even number of devices, not 3; [0,2] includes device 2"),
        (Topology.A3, "1,2", "1 without 0 and 2 without 3: an A3 server's modules, 0-1, 2-3, …, are used whole"),
        (Topology.A3, "0,2,3,5", "0 without 1 and 5 without 4"),
        (Topology.ANY, "0,31", "no product takes 2 devices (0,31): a 910A server has the devices [0,8), not 31"),
        (Topology.ANY, "", "no devices"),
    ),
)
def test_not_usable_together(topology: Topology, devices: str, why: str) -> None:
    """Devices that the server's own links do not join are named, with what would do."""
    assert why in (topology_problem(parse_devices(devices) if devices else (), topology) or "")


def test_two_modules_for_few_devices_are_slow() -> None:
    """A box of 16 runs up to eight devices in both modules, which is worth a word; so is nothing else that fits."""
    assert "lie in both modules" in (topology_note((0, 1, 8, 9), Topology.CARDS16) or "")
    for topology, devices in product(PRODUCTS, ((0,), (0, 1), range(8))):
        assert topology_note(devices, topology) is None
    assert topology_note((*range(5), *range(8, 13)), Topology.CARDS16) is None


def test_a_slip_of_the_bracket_is_told() -> None:
    """[0,4] is five devices, which an A2 server takes: whoever meant four learns of it."""
    assert "[0,4] includes device 4: for 4 devices write [0,4)" in (topology_note(range(5), Topology.ANY) or "")


@pytest.mark.parametrize(
    ("word", "topology"),
    (
        ("910A", Topology.A910),
        ("910b", Topology.B910),
        ("A2", Topology.B910),
        ("16-card", Topology.CARDS16),
        ("A2-16", Topology.CARDS16),
        ("Box16", Topology.CARDS16),
        ("a3", Topology.A3),
        ("910C", Topology.A3),
        ("Any", Topology.ANY),
    ),
)
def test_the_products_names(word: str, topology: Topology) -> None:
    """The chip's name, the product's name, and any case."""
    assert Topology(word) is topology


@pytest.mark.parametrize("word", ("", "910", "A4", "16", None, 3))
def test_no_product(word: object) -> None:
    """What names none is refused, not guessed."""
    with pytest.raises(ValueError, match="is not a valid Topology"):
        Topology(word)
