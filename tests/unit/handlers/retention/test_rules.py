"""What goes of jobs that are over, and what stays whatever the rules say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from handlers.retention.part import Part
from handlers.retention.policy import Retention
from handlers.retention.rules import Choice, PastJob, choose

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ALL = frozenset(Part) - {Part.RECORDS}
BOTH = {(1, Part.SHARDS), (2, Part.SHARDS)}


def night(number: int, ago: float, *, promoted: bool = True, **more: object) -> PastJob:
    """Return a night's job that was over so many days ago."""
    ended = NOW - timedelta(days=ago)
    job = PastJob(number, "glm-6b", "sft", ended, is_promoted=promoted, is_good=promoted, parts=ALL)
    return replace(job, **more)


def gone(jobs: list[PastJob], said: object = None, *, is_asked: bool = False) -> set[tuple[int, Part]]:
    """Return what goes of `jobs`."""
    found = choose(jobs, Retention.model_validate(said or {}), NOW, is_asked=is_asked)
    assert all(choice.why for choice in found)
    return {(choice.job, choice.part) for choice in found if choice.goes}


def test_of_promoted_jobs_all_but_the_newest_lose_their_shards() -> None:
    """The defaults: the newest promoted job of the cycle keeps its shards."""
    assert gone([night(1, 3), night(2, 2), night(3, 1)]) == BOTH


def test_each_cycle_and_prefix_is_counted_by_itself() -> None:
    """A busy cycle takes no place of another one, nor of what people drop."""
    jobs = [night(1, 3), night(2, 2, cycle="other"), night(3, 1, prefix="lora"), night(4, 1, cycle="")]
    assert gone(jobs, is_asked=True) == set()


@pytest.mark.parametrize(
    ("said", "parts"),
    (
        ({"shards": {"after_merge": "keep"}}, set()),
        ({"shards": {"keep_last": 0}}, BOTH),
        ({"shards": {"keep_optimizer": "latest"}}, {(1, Part.OLDER_SHARDS)}),
        ({"prefixes": {"glm-6b": {"shards": {"keep_last": 0}}}}, BOTH),
        ({"shards": {"keep_last": 0}, "prefixes": {"glm-6b": {"keep": {"last": 1}}}}, BOTH),
        ({"shards": {"keep_last": 0}, "prefixes": {"other": {"shards": {"keep_last": 5}}}}, BOTH),
    ),
)  # fmt: skip
def test_shards_of_promoted_jobs_go_as_the_settings_say(said: object, parts: set[tuple[int, Part]]) -> None:
    """Each key counts, also of one prefix; what that does not say is as for all."""
    assert gone([night(1, 3), night(2, 2)], said) == parts


def test_what_was_not_promoted_stays_for_a_time_and_the_newest_for_ever() -> None:
    """Fourteen days by default; the newest such job of the cycle is what somebody may go on with."""
    jobs = [night(1, 40, promoted=False), night(2, 13, promoted=False), night(3, 300, promoted=False, cycle="b")]
    assert gone(jobs, {"keep": {"last": 0}}) == {(1, Part.SHARDS), (1, Part.MERGED)}
    assert gone(jobs, {"keep": {"last": 0}, "shards": {"failed": "off"}}) == set()
    assert (2, Part.SHARDS) not in gone([*jobs, night(4, 1)], {"shards": {"failed": "10d"}})


def test_a_job_without_shards_does_not_stand_for_the_newest_that_has_some() -> None:
    """A night that failed before it saved leaves the shards of the one before."""
    jobs = [night(1, 40, promoted=False), night(2, 1, promoted=False, parts=frozenset({Part.RECORDS}))]
    assert (1, Part.SHARDS) not in gone(jobs)


def test_outputs_go_that_no_part_of_keep_keeps() -> None:
    """A hundred nights of good outputs: last, days, weeks, months and the best ones stay."""
    jobs = [night(n, 100 - n, loss=1.0 if n == 3 else 2.0 + n) for n in range(100)]
    stay = set(range(100)) - {job for job, part in gone(jobs) if part is Part.MERGED}
    assert set(range(86, 100)) <= stay, "the last fourteen days"
    assert 3 in stay, "the best one"
    assert 14 + 3 < len(stay) <= 7 + 14 + 8 + 12 + 3


def test_a_bad_output_takes_no_good_ones_place() -> None:
    """The newest of a day is the newest that was promoted."""
    morning = night(1, 20.4)
    bad = night(2, 20.1, promoted=False)
    jobs = [morning, bad, *(night(n, 10 - n / 10) for n in range(10, 20))]
    found = gone(jobs, {"keep": {"last": 0, "daily": 30, "weekly": 0, "monthly": 0, "best": 0}})
    assert (1, Part.MERGED) not in found


def test_records_go_when_nothing_else_is_left_and_they_are_old() -> None:
    """Half a year by default."""
    only = frozenset({Part.RECORDS})
    jobs = [night(1, 181, parts=only), night(2, 179, parts=only), night(3, 400, promoted=False)]
    assert (1, Part.RECORDS) in gone(jobs)
    assert not {(2, Part.RECORDS), (3, Part.RECORDS)} & gone(jobs)
    assert not gone(jobs[:1], {"records": "off"})


def test_what_is_protected_stays_and_says_why() -> None:
    """Whatever the rules say, and also where somebody asks."""
    job = night(
        1, 300, promoted=False, protected={Part.MERGED: "latest/glm-6b leads to it", Part.SHARDS: "job 9 names it"}
    )
    newer = night(2, 1, promoted=False)
    found = choose([job, newer], Retention.model_validate({"keep": {"last": 0}}), NOW, is_asked=True)
    assert Choice(1, Part.MERGED, goes=False, why="latest/glm-6b leads to it") in found
    assert Choice(1, Part.SHARDS, goes=False, why="job 9 names it") in found


def test_without_being_asked_glmd_prunes_only_what_it_may() -> None:
    """Of dropped jobs, and of those before retention came, `glmd prune` alone removes anything."""
    jobs = [night(1, 3, is_automatic=False), night(2, 2)]
    assert gone(jobs) == set()
    assert gone(jobs, is_asked=True) == {(1, Part.SHARDS)}


@pytest.mark.parametrize(
    "said",
    ({"shards": {"failed": 0}}, {"keep": {"last": -1}}, {"keep": {"last": True}}, {"records": "soon"}, {"keeps": {}},
     {"prefixes": {"a": {"prefixes": {}}}}, {"shards": {"after_merge": "maybe"}}),
)  # fmt: skip
def test_what_makes_no_sense_is_refused(said: object) -> None:
    """A slip in the settings deletes nothing."""
    with pytest.raises(ValueError, match="validation error"):
        Retention.model_validate(said)
