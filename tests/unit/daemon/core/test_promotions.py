"""The store keeps what was promoted, and says where each link is to lead and what a cycle goes on from."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.promotions import Kind, Promotion
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store

NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)


class Promoted:
    """A store in which jobs are promoted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path)

    def job(self, cycle: str = "", prefix: str = "glm-6b") -> Job:
        """Add a job, of a nightly cycle perhaps."""
        count = len(self.store.jobs()) + 1
        name = f"{cycle}-20261129T{count:06}Z" if cycle else f"run{count}"
        source = Source.NIGHT if cycle else Source.DROP
        return self.store.add(NewJob(f"claim {count}", name, prefix=prefix, source=source))

    def merging(self, job: Job) -> Job:
        """Let it come to its merge."""
        for state in (State.PREPARING, State.TRAINING, State.MERGING):
            job = self.store.move(job, state)
        return job

    def promote(self, cycle: str = "", prefix: str = "glm-6b", by: str = "") -> Job:
        """Let a job be done and promoted."""
        job = self.merging(self.job(cycle, prefix))
        self.store.promote(Promotion.of(job, by=by))
        return self.store.move(job, State.DONE)

    def rollback(self, to: Job) -> None:
        """Go back to what `to` has promoted."""
        goal = next(one for one in self.store.promoted(to.prefix) if one.job == to.id)
        row = replace(goal, kind=Kind.ROLLBACK, by="eve", at=NOW, followed=False)
        self.store.roll_back(row, goal)

    def present(self, prefix: str = "glm-6b") -> int | None:
        """Return the job that the link is to lead to."""
        present = self.store.standing(prefix).present
        assert present is not None
        return present.job


@pytest.fixture
def promoted(tmp_path: Path) -> Iterator[Promoted]:
    """Return an empty store."""
    found = Promoted(tmp_path / "glmd.db")
    yield found
    found.store.close()


def test_what_is_promoted_is_there_for_the_next_reader(promoted: Promoted) -> None:
    """With the job, its cycle and where its output lies; the link has not followed yet."""
    done = promoted.promote("nights")
    with ReadStore.open(promoted.path) as store:
        (found,) = store.promotions()
    assert (found.kind, found.job, found.cycle, found.prefix) == (Kind.PROMOTION, done.id, "nights", "glm-6b")
    assert found.directory(Path("/var/glm")) == done.directory(Path("/var/glm")).merged
    assert (found.undone, found.followed, found.by) == (None, False, "")


def test_prefixes_know_nothing_of_each_other(promoted: Promoted) -> None:
    """Each has a link of its own."""
    one, two = promoted.promote(), promoted.promote(prefix="llama")
    assert (promoted.present(), promoted.present("llama")) == (one.id, two.id)
    assert promoted.store.promoted_prefixes() == {"glm-6b", "llama"}
    assert promoted.store.standing("gpt").present is None


def test_a_cycle_goes_on_from_its_own(promoted: Promoted) -> None:
    """Whoever else promotes of the same prefix; one without any, and a job of no cycle, have none."""
    mine = promoted.promote("nights")
    promoted.promote("nights", prefix="llama")
    promoted.promote("others")
    promoted.promote()
    root = Path("/r")
    assert promoted.store.bases_of("nights", root)["glm-6b"] == mine.directory(root).merged
    assert set(promoted.store.bases_of("nights", root)) == {"glm-6b", "llama"}
    assert promoted.store.bases_of("new", root) == promoted.store.bases_of("", root) == {}


def test_a_rollback_takes_back_all_that_came_behind_its_goal(promoted: Promoted) -> None:
    """It is what the link is to lead to; what was taken back is no cycle's base, and is not gone back to."""
    one, two, three = (promoted.promote("nights") for _ in range(3))
    promoted.rollback(one)
    rows = {row.job: row for row in promoted.store.promotions() if row.kind is Kind.PROMOTION}
    rollback = promoted.store.promotions()[-1]
    assert [rows[job.id].undone for job in (one, two, three)] == [None, rollback.id, rollback.id]
    assert promoted.present() == one.id
    assert [row.job for row in promoted.store.promoted("glm-6b")] == [one.id]
    assert promoted.store.bases_of("nights", Path("/r"))["glm-6b"] == one.directory(Path("/r")).merged
    four = promoted.promote("nights")
    assert promoted.present() == four.id
    assert [row.job for row in promoted.store.promoted("glm-6b")] == [four.id, one.id]


def test_the_newest_ever_is_among_what_came_since_the_last_that_became_it_by_itself(promoted: Promoted) -> None:
    """So the manifests of years of nights need not be read; what somebody has promoted may be older."""
    jobs = [promoted.promote() for _ in range(3)]
    assert [row.job for row in promoted.store.rivals("glm-6b")] == [jobs[2].id]
    promoted.rollback(jobs[0])
    by_hand = promoted.promote(by="eve")
    assert [row.job for row in promoted.store.rivals("glm-6b")] == [jobs[2].id, by_hand.id]
    assert promoted.store.rivals("llama") == ()


def test_what_the_link_has_followed_is_known(promoted: Promoted) -> None:
    """The newest change, and the newest one before that the link has followed."""
    one, two = promoted.promote(), promoted.promote()
    standing = promoted.store.standing("glm-6b")
    assert standing.present is not None
    assert standing.before is None
    assert (standing.present.job, standing.present.followed) == (two.id, False)
    assert promoted.store.is_promoted(one)
    assert not promoted.store.is_promoted(promoted.job())
    promoted.store.follow(standing.present)
    promoted.promote()
    before = promoted.store.standing("glm-6b").before
    assert before is not None
    assert before.job == two.id


def test_what_a_job_that_is_not_over_goes_on_from_is_pinned(promoted: Promoted) -> None:
    """As long as it is not over."""
    base = promoted.promote()
    job = promoted.store.move(promoted.job(), State.PREPARING)
    assert promoted.store.pinned() == frozenset()
    job = promoted.store.move(replace(job, continues=base.id), State.TRAINING)
    assert promoted.store.job(job.id).continues == base.id
    assert promoted.store.pinned() == {base.id}
    assert promoted.store.continuing({base.id}) == (job,)
    job = promoted.store.move(promoted.store.move(job, State.MERGING), State.DONE)
    assert (job.continues, promoted.store.pinned()) == (base.id, frozenset())


def test_a_row_that_says_nothing_is_left_alone(promoted: Promoted) -> None:
    """The others count."""
    job = promoted.promote()
    promoted.store.promote(Promotion("glm-6b", Kind.FOUND, "x", NOW))
    promoted.store._connection.execute("UPDATE promotions SET kind = 'what?' WHERE target = 'x'")
    assert [row.job for row in promoted.store.promotions()] == [job.id]
