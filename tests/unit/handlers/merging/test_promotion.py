"""Promises of handlers.merging.promotion: the newer training becomes `latest`, whoever is merged last."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from handlers.ckpt.planning.origin import Origin
from handlers.codes import Code
from handlers.merging.promotion import Merged, Verdict, judge, judge_by_all
from handlers.shards.names import Tag

TREE = "/data/fullft_output"


def job(number: int, *, began: int | None = None, written: int = 0) -> Merged:
    """Return what a job has trained and merged; `began` is the minute."""
    origin = Origin(job=number, began=None if began is None else f"2026-11-28T10:{began:02}:00+00:00")
    directory = Path(f"/var/glm/jobs/{number:04}-run")
    sources = (f"{directory}/output/checkpoint/rank_0/glm-6b_rank_0-31_4.ckpt",)
    return Merged(directory / "merged", Tag(31, 4), written, origin, sources)


def tree(number: int, tag: str, *, written: int = 0, path: str = TREE) -> Merged:
    """Return what a job has merged of a watched tree."""
    sources = (f"{path}/checkpoint/rank_0/glm-6b_rank_0-{tag}.ckpt",)
    origin = Origin(job=number, tree=path)
    return Merged(Path(f"/var/glm/jobs/{number:04}-tree/merged"), Tag.parse(tag), written, origin, sources)


def of_before(merged: Merged) -> Merged:
    """Return `merged` as an older version published it: without its origin."""
    return replace(merged, origin=None)


def test_the_first_output_is_the_newest() -> None:
    """Nothing whole is published yet: the link is not there, dangles, or leads to something else."""
    assert judge(None, job(1, began=1)).promoted
    assert judge(None, tree(1, "9_4")).promoted
    assert judge(None, of_before(job(1))).promoted


def test_of_two_jobs_the_training_that_began_later_counts() -> None:
    """Not the one that was merged last, nor the one whose shards are younger: an old job may be retried for days."""
    old, new = job(41, began=1, written=99), job(42, began=2, written=50)
    assert judge(old, new) == Verdict(promoted=True, reason="leaves job 41, whose training began before")
    assert judge(new, old) == Verdict(promoted=False, reason="stays at job 42, whose training began later")


def test_the_jobs_number_says_nothing() -> None:
    """A later job may have been let in front."""
    assert not judge(job(41, began=2), job(42, began=1)).promoted


def test_the_same_output_again_is_no_matter() -> None:
    """After a crash the step is done again."""
    assert judge(job(1, began=1), job(1, began=1)).promoted
    assert judge(of_before(job(1)), job(1, began=1)).promoted


def test_beginnings_in_different_zones_are_compared_as_times() -> None:
    """What was written by hand or by another host."""
    early = replace(job(1), origin=Origin(job=1, began="2026-11-28T12:00:00+02:00"))
    assert judge(early, job(2, began=1)).promoted


@pytest.mark.parametrize("began", ("", "yesterday", "2026-11-28T10:05:00", "\ud800"))
def test_a_beginning_that_says_nothing_is_as_none(began: str) -> None:
    """The shards' times decide then."""
    strange = replace(job(1, written=5), origin=Origin(job=1, began=began))
    assert judge(strange, job(2, began=1, written=6)).promoted
    assert not judge(strange, job(2, began=1, written=4)).promoted
    assert not judge(job(2, began=1, written=6), strange).promoted


def test_of_one_tree_the_higher_tag_counts() -> None:
    """By number, whatever was merged or written last."""
    low, high = tree(1, "9_4", written=9), tree(2, "31_4", written=5)
    assert judge(low, high).promoted
    assert judge(high, low) == Verdict(promoted=False, reason="stays at job 2, with 31_4 of the same tree")


def test_of_one_tag_of_one_tree_the_later_written_counts() -> None:
    """Another run of the same length, or the weights alone, which have no tag."""
    for tag in ("31_4", "network"):
        assert judge(tree(1, tag, written=5), tree(2, tag, written=6)).promoted
        assert not judge(tree(2, tag, written=6), tree(1, tag, written=5)).promoted


@pytest.mark.parametrize(
    ("one", "other"),
    (
        (tree(1, "99_4", written=5), tree(2, "1_4", written=6, path="/data/other")),
        (tree(1, "99_4", written=5), job(2, began=1, written=6)),
        (job(1, began=9, written=5), tree(2, "1_4", written=6)),
        (job(1, written=5), job(2, began=1, written=6)),
    ),
)
def test_what_has_no_common_measure_goes_by_when_the_shards_were_written(one: Merged, other: Merged) -> None:
    """Two trees, a tree and a job, a job whose beginning nobody knows."""
    assert judge(one, other).promoted
    verdict = judge(other, one)
    assert verdict == Verdict(promoted=False, reason="stays at job 2, whose shards were written later")


def test_an_output_of_before_is_of_the_tree_that_its_shards_lay_in() -> None:
    """Its tag counts then; else when its shards were written, and it is called by its directory."""
    before = of_before(tree(1, "31_4", written=5))
    assert not judge(before, tree(2, "9_4", written=6)).promoted
    assert judge(before, tree(2, "40_4", written=4)).promoted
    assert judge(before, tree(2, "9_4", written=6, path="/data/other")).promoted
    assert judge(before, job(2, began=1, written=6)).promoted
    assert judge(before, job(2, began=1, written=4)) == Verdict(
        promoted=False, reason="stays at /var/glm/jobs/0001-tree/merged, whose shards were written later"
    )


def test_a_neighbour_is_not_in_the_tree() -> None:
    """Whose name begins alike."""
    neighbour = of_before(tree(1, "99_4", written=5, path=TREE + "_2"))
    assert judge(neighbour, tree(2, "9_4", written=6)).promoted


def test_an_output_of_which_nothing_is_known_is_replaced() -> None:
    """No sources, no tag that can be read."""
    unknown = Merged(Path("/somewhere"), None, 0)
    assert judge(unknown, job(1, began=1, written=1)).promoted
    assert judge(unknown, tree(1, "9_4", written=1)).promoted


@pytest.mark.parametrize("published", (None, job(1, began=1), job(2, began=2), of_before(job(1))))
def test_weights_that_are_not_finite_are_no_ones_beginning(published: Merged | None) -> None:
    """However new they are; the first few are named."""
    candidate = replace(job(2, began=2, written=9), not_finite=("a", "b", "c", "d", "e"))
    verdict = judge(published, candidate)
    assert not verdict.promoted
    assert verdict.reason.endswith(": NaN and infinity are not published")


def test_in_whatever_order_jobs_are_merged_the_same_one_is_the_latest() -> None:
    """A race between merges has one end."""
    for order in permutations([job(1, began=3), job(2, began=1, written=9), job(3, began=2, written=5)]):
        latest = None
        for merged in order:
            latest = merged if judge(latest, merged).promoted else latest
        assert latest is not None
        assert latest.name == "job 1"


def test_what_was_taken_back_does_not_come_back_by_itself() -> None:
    """Nor does what is older than that: it is the newest that was ever promoted that counts."""
    one, two, three = (job(number, began=number) for number in (1, 2, 4))
    between = job(3, began=3)
    verdict = judge_by_all(one, [two, three], {three.directory}, three)
    assert verdict == Verdict(promoted=False, reason="stays at job 1: job 4 was taken back")
    assert verdict.code == Code.PROMOTION_UNDONE
    verdict = judge_by_all(one, [two, three], {three.directory}, between)
    reason = "stays at job 1: job 4, which was promoted before, is newer than job 3"
    assert verdict == Verdict(promoted=False, reason=reason)
    assert verdict.code == Code.PROMOTION_NOT_NEWEST
    assert judge_by_all(one, [two, three], {three.directory}, job(5, began=5)).promoted


def test_what_is_promoted_already_stays_promoted() -> None:
    """A step that is done again after a crash finds its own output."""
    assert judge_by_all(job(1, began=1), [job(1, began=1)], (), job(1, began=1)).promoted


def test_each_no_has_a_code() -> None:
    """For programs."""
    diverged = replace(job(2, began=2), not_finite=("a",))
    assert judge_by_all(job(1, began=1), (), (), diverged).code == Code.PROMOTION_NOT_FINITE
    assert judge_by_all(job(2, began=2), (), (), job(1, began=1)).code == Code.PROMOTION_NOT_NEWEST
