"""What shows that a training is at work."""

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handlers.rank_log.phase import Phase
from handlers.records.job_plan import RankPlan
from handlers.shim.signs_of_life import LONGEST_REST, REST, Resting, Sign, SignsOfLife

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop


_CLOCK = itertools.count(1)


def say(rank: RankPlan, text: str) -> None:
    """Let a rank print a line, a second after the last one: a file system's clock may be too coarse for a test."""
    rank.log.parent.mkdir(parents=True, exist_ok=True)
    with rank.log.open("a") as log:
        log.write(text + "\n")
    now = next(_CLOCK)
    os.utime(rank.log, (now, now))


def test_log_that_grows_is_a_sign_with_its_phase(workshop: "Workshop", tmp_path: Path) -> None:
    """Nothing new is no sign, and what another rank said before does not count."""
    one, two = ranks = [workshop.rank(number) for number in (0, 1)]
    say(one, ".....Saving ckpt.....")
    signs = SignsOfLife(ranks, tmp_path / "checkpoint")
    assert signs.look() is None
    say(two, ".........Starting Training Model..........")
    assert signs.look() == Sign(Phase.FIRST_STEP)
    assert signs.look() is None
    assert signs.quietest() is one
    say(one, "writes")
    assert signs.look() == Sign(Phase.SAVING)
    assert signs.quietest() is two


def test_shard_that_appears_or_grows_is_a_sign(workshop: "Workshop", tmp_path: Path) -> None:
    """It does not tell the phase."""
    signs = SignsOfLife([workshop.rank(0)], tmp_path / "checkpoint")
    shard = tmp_path / "checkpoint" / "rank_0" / "glm-6b_rank_0-31_4.ckpt"
    shard.parent.mkdir(parents=True)
    assert signs.look() is None
    shard.write_bytes(b"")
    assert signs.look() == Sign(None)
    shard.write_bytes(b"x")
    assert signs.look() == Sign(None)
    assert signs.look() is None


def test_rank_that_never_logged_is_the_quietest(workshop: "Workshop", tmp_path: Path) -> None:
    """Nothing at all is the longest silence."""
    one, two = ranks = [workshop.rank(number) for number in (0, 1)]
    say(one, "here")
    assert SignsOfLife(ranks, tmp_path).quietest() is two


@pytest.mark.parametrize(
    ("took", "rest"), ((0.001, 0.001 * REST), (0.5, 0.5 * REST), (60.0, LONGEST_REST)), ids=("quick", "slow", "hung")
)
def test_a_file_server_that_is_slow_is_left_alone_for_longer(tmp_path: Path, took: float, rest: float) -> None:
    """In proportion to what a look took, up to a bound; what changed meanwhile is seen then."""
    now = 100.0
    shard = tmp_path / "rank_0" / "glm-6b_rank_0-31_4.ckpt"
    shard.parent.mkdir()

    def clock() -> float:
        nonlocal now
        now += took  # it is asked before a look and after it
        return now

    signs = Resting(SignsOfLife([], tmp_path), clock)
    assert signs.look() is None
    ended = now
    shard.touch()
    now = ended + 0.9 * rest - took
    assert signs.look() is None
    now = ended + rest
    assert signs.look() == Sign(None)
