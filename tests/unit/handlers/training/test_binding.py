"""Which CPUs each process of a training runs on."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from handlers.training.binding import UNBOUND, Binding, expanded, named, ranges, shared_out

TWO_NODES = {0: range(4), 1: range(4), 2: range(4, 8), 3: range(4, 8)}


@pytest.mark.parametrize(
    ("cpus", "near", "shares"),
    (
        (range(8), TWO_NODES, ("0-1", "2-3", "4-5", "6-7")),
        (range(8), dict.fromkeys(TWO_NODES, range(4, 8)), ("4-5", "6-7", "0-1", "2-3")),
        (range(8), {**TWO_NODES, 1: range(4, 8)}, ("0-1", "4-5", "6-7", None)),
        (range(8), {**TWO_NODES, 3: ()}, ("0-1", "2-3", "4-5", "6-7")),
        ((1, 3, 5, 7, 9), {}, ("1", "3", "5", "7")),
        (range(3), TWO_NODES, (None, None, None, None)),
    ),
    ids=("each near its own", "all near one node", "one node too small", "one unknown", "cpus left out", "too few"),
)
def test_cpus_are_shared_out_among_the_devices_of_the_host(
    cpus: Sequence[int], near: Mapping[int, Sequence[int]], shares: tuple[str | None, ...]
) -> None:
    """As many for each, first those near it, then those near none; nobody's twice."""
    binding = shared_out(range(4), cpus, near)
    assert tuple(binding.cpus.get(f"device{number}") for number in range(4)) == shares
    given = [cpu for each in binding.cpus.values() for cpu in expanded(each)]
    assert len(given) == len(set(given))


def test_a_mapping_says_which() -> None:
    """In msrun's form."""
    binding = named({"device1": ["0-3", "8"], "scheduler": ["9,10"]})
    assert binding.command("device1", ("python", "x.py")) == ("taskset", "-c", "0-3,8", "python", "x.py")
    assert binding.command("scheduler", ("python",)) == ("taskset", "-c", "9,10", "python")
    assert binding.command("device0", ("python",)) == ("python",)
    assert binding.environment("device1") == {}


@pytest.mark.parametrize("wish", ({"rank0": ["0"]}, {"device0": []}, {"device0": ["all"]}, {"scheduler": ["0-"]}))
def test_what_is_no_such_mapping(wish: dict[str, list[str]]) -> None:
    """Before anything runs."""
    with pytest.raises(ValueError, match=next(iter(wish))):
        named(wish)


def test_a_process_gets_the_cpus() -> None:
    """The kernel says so of what taskset starts."""
    command = (sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))")
    assert UNBOUND.command("device0", command) == command
    first = min(os.sched_getaffinity(0))
    done = subprocess.check_output(Binding({"device0": str(first)}).command("device0", command), text=True)
    assert done == f"[{first}]\n"


@pytest.mark.parametrize(("text", "numbers"), (("", ()), ("0", (0,)), ("0-3,8", (0, 1, 2, 3, 8)), ("1,3", (1, 3))))
def test_lists_of_cpus(text: str, numbers: tuple[int, ...]) -> None:
    """As the kernel writes them, and back."""
    assert expanded(text + "\n") == numbers
    assert ranges(numbers) == text
