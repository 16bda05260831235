"""What `sbatch --test-only` says of a job; its answers are those of Slurm 22.05.8."""

from datetime import datetime, timedelta

import pytest

from handlers.slurm.calling import UnclearError
from handlers.slurm.placement import Placement
from handlers.slurm.rehearsed import Rehearsed, rehearsed
from tests.unit.handlers.slurm.tools import Tools

PLACEMENT = Placement(nodes=2, devices_per_node=8, gres="npu", time=90, partition="main", extra=("--switches=1",))


def asked(tools: Tools, stderr: str, code: int = 0) -> Rehearsed:
    """Return what such an answer means."""
    tools.say("sbatch", "", stderr, code)
    return rehearsed(tools.commands.sbatch, PLACEMENT, 5, tools.environment)


def test_the_start_that_is_expected_is_told(tools: Tools) -> None:
    """In steps of five minutes; beside jobs without a limit Slurm tells years, which is no plan."""
    soon = datetime.now().replace(microsecond=0) + timedelta(hours=1)  # noqa: DTZ005 - as Slurm tells it
    told = "sbatch: Job 1 to start at {} using 2 processors on nodes n[1-2] in partition main\n"
    start = asked(tools, told.format(soon.isoformat())).start
    assert start is not None
    assert timedelta() <= start - soon < timedelta(minutes=5)
    assert asked(tools, told.format("2068-06-09T03:30:27")) == Rehearsed()
    assert tools.argv("sbatch") == (
        "--test-only --nodes=2 --ntasks-per-node=1 --time=2 --partition=main --gres=npu:8 --switches=1 --wrap=true"
    )


@pytest.mark.parametrize(
    ("told", "may_come"),
    (
        ("allocation failure: Requested node configuration is not available", True),
        ("sbatch: error: Invalid generic resource (gres) specification", False),
        ("allocation failure: Requested reservation is invalid", False),
    ),
)
def test_a_refusal_is_in_slurms_words(tools: Tools, told: str, *, may_come: bool) -> None:
    """And whether it may come right by itself: nodes that are drained now count as none."""
    assert asked(tools, f"{told}\n", 1) == Rehearsed(told, may_come)


@pytest.mark.parametrize(
    ("told", "code"),
    (("allocation failure: Unable to contact slurm controller (connect failure)", 1), ("", 1), ("odd", 1), ("", 0)),
)
def test_what_is_not_clear_says_nothing(tools: Tools, told: str, code: int) -> None:
    """Neither that it would be taken, nor that it would not."""
    with pytest.raises(UnclearError, match="sbatch --test-only"):
        asked(tools, told, code)
