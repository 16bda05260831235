"""Whatever call of the daemon fails, and however: each dropped file ends where it would have without the fault."""

import errno
from itertools import count
from pathlib import Path

import pytest

from daemon.core.states import State
from tests.faults.injection import NUMBERS, Call, Injection
from tests.faults.world import MERGED, World

NEVER_MADE = {Call.LINK, Call.COPY}
"""The daemon itself makes no such call: merging is its shims' work."""
CASES = [(call, number) for call, numbers in NUMBERS.items() for number in numbers if call not in NEVER_MADE]
LASTING = [(call, numbers[0]) for call, numbers in NUMBERS.items() if call not in NEVER_MADE]


def run(path: Path, injection: Injection) -> None:
    """Drop a good and a bad file, let the fault come, and look at the end."""
    with pytest.MonkeyPatch.context() as patch:
        injection.install(patch)
        world = World(path, patch)
        with world:
            world.drop("good.yaml")
            world.drop("bad.yaml", "seed: [")
            injection.is_armed = True
            world.turn_until(lambda: world.are_over(2), "both files to be over")
            injection.is_armed = False
            jobs = world.jobs()
    assert jobs.pop("good") == (State.FAILED, MERGED)
    state, reason = jobs.pop("bad")
    assert state is State.REJECTED
    assert jobs == {}
    assert (world.root.rejected / "bad.yaml").read_text() == "seed: ["
    assert (world.root.rejected / "bad.yaml.reason.txt").read_text().startswith(f"{reason}\n")
    world.agrees()


def sweep(quick: Path, call: Call, number: int, times: int) -> None:
    """Let the first call fail, the second, … until none is left to fail; of faults that last, every third."""
    for first in count(1, 1 if times == 1 else 3):
        path = quick / str(first)
        path.mkdir()
        injection = Injection(call, number, first, path / "root", times)
        run(path, injection)
        if not injection.fired:
            break
    assert first > 3, "the fault hit nothing: the injection is not where the calls are"


def named(value: int) -> str:
    """Name a case."""
    return errno.errorcode.get(value, str(value))


@pytest.mark.parametrize(("call", "number"), CASES, ids=named)
def test_one_call_fails(quick: Path, call: Call, number: int) -> None:
    """Wherever it comes, what it hit is tried again."""
    sweep(quick, call, number, 1)


@pytest.mark.parametrize(("call", "number"), LASTING, ids=named)
def test_a_fault_that_lasts(quick: Path, call: Call, number: int) -> None:
    """From a call on all of a kind fail, for a while: what is tried again meanwhile fails again, and then succeeds."""
    sweep(quick, call, number, 12)


@pytest.mark.parametrize("call", (Call.OPEN, Call.WRITE, Call.RENAME, Call.FSYNC))
def test_halves_of_a_file(quick: Path, call: Call) -> None:
    """Wherever a fault comes, both reasons name the other file in the end, once."""
    for first in count(1):
        path = quick / str(first)
        path.mkdir()
        injection = Injection(call, errno.EIO, first, path / "root")
        with pytest.MonkeyPatch.context() as patch:
            injection.install(patch)
            world = World(path, patch)
            with world:
                world.drop("bad.yaml", "seed: [")
                world.turn_until(lambda world=world: world.are_over(1), "the first to be over")  # type: ignore[misc]
                world.drop("bad.yaml", "0")
                injection.is_armed = True
                world.turn_until(lambda world=world: world.are_over(2), "the second to be over")  # type: ignore[misc]
                injection.is_armed = False
        for name, other in (("bad.yaml", "bad.yaml.2"), ("bad.yaml.2", "bad.yaml")):
            reason = (world.root.rejected / f"{name}.reason.txt").read_text()
            assert reason.count(f"is rejected/{other}.\n") == 1, (first, name)
        if not injection.fired:
            break
    assert first > 1, "the fault hit nothing: the injection is not where the calls are"
