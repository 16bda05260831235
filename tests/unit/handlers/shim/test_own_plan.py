"""Promises of handlers.shim.own_plan: what it takes, pydantic takes too and as the same; all else is left to that."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from handlers.records.job_plan import JobPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.train_plan import ProcessPlan, RankPlan, Role, StopOn, TimeLimits, TrainPlan
from handlers.shim.own_plan import OwnTraining, own_training

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

HERE = Path("/here")
LOG = HERE / "log"
RANK = ProcessPlan(
    role=Role.RANK, ranks=(RankPlan(number=0, device=4, log=LOG),), argv=("python", "-u"), directory=HERE, log=LOG
)
SCHEDULER = ProcessPlan(role=Role.SCHEDULER, ranks=(), argv=("x",), directory=HERE, log=HERE)
PLAN = JobPlan(
    job=42,
    name="demo",
    devices=(4,),
    train=TrainPlan(
        processes=(SCHEDULER, RANK),
        limits=TimeLimits(total=60, load=1.5),
        configuration="abc",
        stop_on=StopOn(rise=2.5),
    ),
    merge=MergePlan(source=HERE, destination=HERE),
)


def test_what_glmd_writes_is_read(workshop: "Workshop") -> None:
    """As pydantic reads it."""
    workshop.publish(workshop.train("pass", scheduler="pass"))
    content = workshop.job_dir.plan.read_bytes()
    assert (own := own_training(content)) is not None
    assert own == as_pydantic_reads(content)


def as_pydantic_reads(content: bytes) -> OwnTraining | None:
    """Return what a plan says of its training; None where it is no plan, or plans none."""
    try:
        whole = JobPlan.model_validate_json(content)
    except ValidationError:
        return None
    return None if whole.train is None else OwnTraining(whole.train, whole.devices)


def places(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List all places in some JSON."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in below for place in places(each, (*at, key)))]


def changed(place: tuple[str | int, ...], change: Callable[[Any], Any]) -> bytes:
    """Return the plan with another value in one place."""
    whole = [json.loads(PLAN.model_dump_json())]
    holder: Any = whole
    path = (0, *place)
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = change(holder[path[-1]])
    return json.dumps(whole[0]).encode()


ODD = st.sampled_from(
    (None, True, False, 0, -1, 1, 63, 64, 1 << 16, 1 << 31, 10**400, 0.5, -0.5, 1e300, float("nan"), float("inf"), "",
     "rank", "0", "\ud800", "/a\0b", [], ["a"], [1], {}, {"a": 1})
)  # fmt: skip


@given(st.sampled_from(places(json.loads(PLAN.model_dump_json()))), ODD)
def test_what_it_takes_is_what_pydantic_takes(place: tuple[str | int, ...], odd: object) -> None:
    """Whatever stands in whatever place of the training."""
    content = changed(place, lambda _: odd)
    if place[:1] in {("train",), ("devices",), ()}:
        assert own_training(content) in {None, as_pydantic_reads(content)}


@pytest.mark.parametrize(
    "place", ((), ("train",), ("train", "limits"), ("train", "processes", 1), ("train", "stop_on"), ("merge",))
)
def test_other_keys_are_left_to_pydantic(place: tuple[str | int, ...]) -> None:
    """Of an older or a newer version: one more, or one less."""
    assert own_training(changed(place, lambda value: value)) is not None
    assert own_training(changed(place, lambda value: {**value, "more": 1})) is None
    assert own_training(changed(place, lambda value: dict(list(value.items())[:-1]))) is None


@pytest.mark.parametrize("content", (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * 10_000))
def test_what_is_no_plan_is_none(content: bytes) -> None:
    """And no exception."""
    assert own_training(content) is None
