"""Promises of what promotes: the store says what latest leads to, and the link follows it, whatever comes between."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.setting_sections import Cancel
from daemon.core.states import State
from handlers.codes import Code
from handlers.gate.verdict import Verdict
from handlers.merging.latest import lead
from tests.unit.daemon.serve.jobs.promoter import PASSED, Promoter


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Promoter]:
    """Return a root where nothing has been promoted."""
    place = Promoter(tmp_path)
    yield place
    place.end()


# By itself


def test_the_newest_training_is_promoted(place: Promoter) -> None:
    """Each with a row that says why; an older one, merged later, says why it is not, and programs by a code."""
    one, two = place.job(minute=2), place.job(minute=1)
    assert place.settle(one).reason == "tag 31_4"
    assert place.leads_to == one.id
    assert not place.link.readlink().is_absolute()
    late = place.settle(two)
    assert late.reason == "not promoted: latest/glm-6b stays at job 1, whose training began later; tag 31_4"
    assert late.code == Code.PROMOTION_NOT_NEWEST
    three = place.done()
    assert place.leads_to == three.id
    assert place.rows() == [("promotion", 1), ("promotion", 3)]
    assert [row.reason for row in place.store.promotions()] == [
        "is the first", "leaves job 1, whose training began before",
    ]  # fmt: skip
    assert all(row.followed for row in place.store.promotions())


def test_what_did_not_pass_the_gate_is_not_promoted(place: Promoter) -> None:
    """The job is done, and its reason has the gate's words."""
    verdict = Verdict(passed=False, reason="loss 2.31 is 9 % above 2.12 of job 40", code="gate.loss")
    done = place.settle(place.job(), verdict)
    assert (done.state, done.code) == (State.DONE, "gate.loss")
    assert done.reason == "not promoted: loss 2.31 is 9 % above 2.12 of job 40; tag 31_4"
    assert (place.leads_to, place.rows()) == (None, [])


def test_what_diverged_is_not_promoted(place: Promoter) -> None:
    """Whatever the gate says."""
    good, bad = place.done(), place.done(nan=True)
    assert bad.reason == "not promoted: latest/glm-6b stays at job 1: NaN and infinity are not published; tag 31_4"
    assert bad.code == Code.PROMOTION_NOT_FINITE
    assert place.leads_to == good.id


def test_what_no_training_could_go_on_from_is_not_promoted(place: Promoter) -> None:
    """As its own file wished; nothing is to be said of that."""
    assert place.settle(place.job(can_be_continued=False)).reason == "tag 31_4"
    assert place.rows() == []


def test_an_output_that_is_not_whole_is_not_promoted(place: Promoter) -> None:
    """Somebody has cut or removed a file of it since it was merged."""
    job = place.job()
    (job.directory(place.root.path).merged / "filtered_transformed.ckpt").unlink()
    done = place.settle(job)
    assert (done.state, done.code) == (State.DONE, Code.PROMOTION_NOT_WHOLE)
    assert place.rows() == []


def test_a_job_is_done_when_latest_leads_to_its_output(place: Promoter) -> None:
    """Whoever sees it done may go on from there: until then it merges, whatever is asked of it."""
    job = place.job()

    def has_led_there() -> bool:
        if place.store.job(job.id).state is State.MERGING:
            place.promoting.settle(job, PASSED, "tag 31_4")
        return place.store.job(job.id).state is State.DONE and place.leads_to == job.id

    def is_promoted() -> bool:
        place.promoting.settle(job, PASSED, "tag 31_4")
        return place.store.is_promoted(job)

    place.until(is_promoted, "the row of the promotion")
    assert place.store.job(job.id).state is State.MERGING
    place.until(has_led_there, "the end of the job")
    assert place.rows() == [("promotion", job.id)]


# What a crash leaves


def test_a_link_that_a_crash_has_left_behind_is_brought_on(place: Promoter) -> None:
    """The daemon died between its transaction and the link: the next one moves it, once."""
    one, two = place.done(), place.done()
    place.store._connection.execute("UPDATE promotions SET followed = 0 WHERE job = ?", (two.id,))
    lead(place.link, one.directory(place.root.path).merged)
    place.restart()
    assert place.leads_to == two.id
    assert place.rows() == [("promotion", one.id), ("promotion", two.id)]
    assert place.newest().followed


def test_a_first_link_that_a_crash_has_not_made_is_made(place: Promoter) -> None:
    """There was none before."""
    job = place.done()
    place.store._connection.execute("UPDATE promotions SET followed = 0")
    place.link.unlink()
    place.restart()
    assert place.leads_to == job.id
    assert place.rows() == [("promotion", job.id)]


def test_a_promotion_whose_output_is_gone_before_the_link_leaves_the_old_one(place: Promoter) -> None:
    """Whole: somebody has removed the new one's directory while the daemon was dead."""
    one, two = place.done(), place.done()
    place.store._connection.execute("UPDATE promotions SET followed = 0 WHERE job = ?", (two.id,))
    lead(place.link, one.directory(place.root.path).merged)
    shutil.rmtree(two.directory(place.root.path).path)
    place.restart()
    assert place.leads_to == one.id
    assert place.rows()[-1] == ("found", one.id)
    assert place.newest().reason == f"job {two.id} no longer has a whole output, and it was to lead there"


# What somebody does by hand


def test_what_latest_was_before_is_the_first_promotion(place: Promoter) -> None:
    """Of an older glmd, or of a store that was lost: whose it is and of which cycle is known by where it lies."""
    job = place.job("nights")
    job = place.store.move(job, State.DONE)
    place.set_by_hand(job)
    place.restart()
    row = place.newest()
    assert (row.kind, row.job, row.cycle, row.followed) == ("found", job.id, "nights", True)
    assert row.reason == "it led there before glmd recorded promotions"
    place.restart()
    assert len(place.rows()) == 1


def test_a_link_that_somebody_has_set_is_taken_as_it_is(place: Promoter) -> None:
    """Back to the one before, which is what a crash would look like: by the store it is known that it had followed."""
    one, two = place.done("nights"), place.done("nights", minute=5)
    place.set_by_hand(one)
    place.look_around()
    assert place.leads_to == one.id
    assert place.rows()[-1] == ("found", one.id)
    assert place.store.bases_of("nights", place.root.path)["glm-6b"] == one.directory(place.root.path).merged
    between = place.settle(place.job(minute=3))
    assert "job 2, which was promoted before, is newer than job 3" in between.reason
    newer = place.done("nights", minute=6)
    assert place.leads_to == newer.id
    assert two.id < newer.id


def test_a_foreign_output_is_taken_as_it_is(place: Promoter, tmp_path: Path) -> None:
    """One that no job of this root has merged: a copy on another disk."""
    job = place.done()
    copy = tmp_path / "copy"
    shutil.copytree(job.directory(place.root.path).merged, copy)
    place.link.unlink()
    place.link.symlink_to(copy)
    place.look_around()
    assert (place.newest().kind, place.newest().job, place.newest().target) == ("found", None, str(copy))


def test_a_link_that_somebody_has_removed_stays_away(place: Promoter) -> None:
    """Until the next promotion; no restart sets it again. A cycle goes on from its own all the same."""
    job = place.done("nights")
    place.link.unlink()
    place.look_around()
    place.restart()
    assert (place.leads_to, place.rows()[-1]) == (None, ("removed", None))
    assert set(place.store.bases_of("nights", place.root.path)) == {"glm-6b"}
    old = place.settle(place.job(minute=0))
    assert old.code == Code.PROMOTION_NOT_NEWEST
    assert place.leads_to is None
    assert place.roll_back().ok
    assert place.leads_to == job.id


@pytest.mark.parametrize("target", ("../nowhere", "glm-6b", "../jobs"))
def test_a_link_that_leads_to_nothing_is_left_until_the_next_promotion(place: Promoter, target: str) -> None:
    """It may be about to lead to something; nobody can go on from it."""
    place.done()
    place.link.unlink()
    place.link.symlink_to(target)
    place.look_around()
    assert str(place.link.readlink()) == target
    job = place.done()
    assert place.leads_to == job.id


@pytest.mark.parametrize("kind", ("file", "directory"))
def test_what_is_no_link_is_left_alone(place: Promoter, kind: str) -> None:
    """Somebody has put it there: jobs are done without being promoted, and what is asked for is refused."""
    place.link.mkdir() if kind == "directory" else place.link.write_text("mine")
    job = place.done()
    assert "latest/glm-6b stays as it is: it is no symbolic link; remove it" in job.reason
    reply = place.promote(job)
    assert (reply.ok, reply.code) == (False, Code.PROMOTION_NO_LINK)
    assert not place.link.is_symlink()


def test_while_latest_is_away_nothing_is_decided(place: Promoter) -> None:
    """Its links are not taken for removed; the job waits."""
    one = place.done()
    away = place.root.latest.rename(place.root.path / "away")
    two = place.job()
    for _ in range(3):
        place.promoting.settle(two, Verdict(passed=True), "")
        place.until(lambda: place.faults.is_paused(f"promoting job {two.id}"), "the fault")
    assert place.store.job(two.id).state is State.MERGING
    away.rename(place.root.latest)
    assert place.leads_to == one.id
    place.settle(two)
    assert place.leads_to == two.id
    assert place.rows() == [("promotion", one.id), ("promotion", two.id)]


# What is asked for


def test_a_rollback_goes_to_the_one_before_and_a_newer_night_promotes_again(place: Promoter) -> None:
    """What was taken back does not come back by itself, nor does what is older than that."""
    one, two, three = place.done("nights"), place.done("nights"), place.done("nights")
    reply = place.roll_back(reason="it answers in rhymes")
    assert reply.answer == f"latest/glm-6b leads to job {two.id} now instead of job {three.id}"
    assert place.leads_to == two.id
    row = place.newest()
    assert (row.kind, row.by, row.reason) == ("rollback", "root", "it answers in rhymes")
    assert place.roll_back().answer == f"latest/glm-6b leads to job {one.id} now instead of job {two.id}"
    assert place.store.bases_of("nights", place.root.path)["glm-6b"] == one.directory(place.root.path).merged
    reply = place.roll_back()
    assert (reply.ok, reply.code) == (False, Code.PROMOTION_NOTHING_BEFORE)
    assert place.leads_to == one.id
    four = place.done("nights")
    assert place.leads_to == four.id
    assert place.roll_back().answer == f"latest/glm-6b leads to job {one.id} now instead of job {four.id}"


def test_what_was_taken_back_comes_back_when_somebody_asks(place: Promoter) -> None:
    """It is newer than what is there: no force is needed."""
    one, two = place.done(), place.done()
    assert place.roll_back().ok
    reply = place.promote(two, reason="it was the data")
    assert reply.answer == f"latest/glm-6b leads to job {two.id} now instead of job {one.id}"
    assert (place.leads_to, place.newest().by) == (two.id, "root")
    assert place.promote(two).answer == f"latest/glm-6b leads to job {two.id} already"
    assert len(place.rows()) == 4


def test_a_rollback_to_a_job(place: Promoter) -> None:
    """To any that was promoted and not taken back; what never was is refused."""
    one, two, three = place.done(), place.done(), place.done()
    other = place.settle(place.job(), Verdict(passed=False, reason="bad", code="gate.loss"))
    assert place.roll_back(one).ok
    assert place.leads_to == one.id
    for job in (two, three, other):
        reply = place.roll_back(job)
        assert (reply.ok, reply.code) == (False, Code.PROMOTION_NOTHING_BEFORE)
        assert f"job {job.id} is not what was promoted as latest/glm-6b before" in reply.answer


def test_a_rollback_passes_over_what_is_not_whole(place: Promoter) -> None:
    """Nobody could go on from there."""
    one, two, _ = place.done(), place.done(), place.done()
    shutil.rmtree(two.directory(place.root.path).merged)
    assert place.roll_back().ok
    assert place.leads_to == one.id


def test_an_older_training_is_promoted_by_force_alone(place: Promoter) -> None:
    """So is what did not pass the gate; a newer training is promoted by itself again."""
    old, _ = place.done(), place.done()
    reply = place.promote(old)
    assert (reply.ok, reply.code) == (False, Code.PROMOTION_NOT_NEWEST)
    assert "--force" in reply.answer
    assert place.promote(old, force=True).ok
    assert place.leads_to == old.id
    bad = place.settle(place.job(), Verdict(passed=False, reason="bad", code="gate.loss"))
    Verdict(passed=False, reason="loss is bad", code="gate.loss").publish(bad.directory(place.root.path).verdict)
    reply = place.promote(bad)
    assert (reply.ok, reply.code) == (False, Code.PROMOTION_NOT_PASSED)
    assert f"job {bad.id} did not pass: loss is bad" in reply.answer
    assert place.promote(bad, force=True).ok
    assert place.leads_to == bad.id
    assert place.done().id == place.leads_to


@pytest.mark.parametrize("case", ("not finite", "not whole", "cut", "no base", "no plan"))
def test_force_makes_no_output_of_what_is_none(place: Promoter, case: str) -> None:
    """It leaves out the gate and which training is newer, no more."""
    good = place.done()
    job = place.settle(place.job(can_be_continued=case != "no base", nan=case == "not finite"))
    directory = job.directory(place.root.path)
    if case not in {"not finite", "no base"}:
        assert place.roll_back().ok
    match case:
        case "not whole":
            (directory.merged / "manifest.json").unlink()
        case "cut":
            (directory.merged / "filtered_transformed.ckpt").chmod(0o600)
            os.truncate(directory.merged / "filtered_transformed.ckpt", 5)
        case "no plan":
            directory.plan.unlink()
    reply = place.promote(job, force=True)
    expected = {"not finite": Code.PROMOTION_NOT_FINITE, "no base": Code.PROMOTION_NO_BASE,
                "no plan": Code.PROMOTION_NO_BASE}.get(case, Code.PROMOTION_NOT_WHOLE)  # fmt: skip
    assert (reply.ok, reply.code) == (False, expected)
    assert place.leads_to == good.id


def test_who_may_is_as_for_a_cancel(place: Promoter) -> None:
    """With `cancel: owner` neither another's job is promoted nor what he has promoted taken back."""
    place.done()
    job = place.done()
    place.requests.allowed = Cancel.OWNER
    for ask in (lambda: place.promote(job, by=12345), lambda: place.roll_back(by=12345)):
        with pytest.raises(Exception, match="is not 12345's") as raised:
            ask()
        assert getattr(raised.value, "code", "") == Code.JOB_NOT_YOURS
    assert place.roll_back(by=0).ok


def test_a_rollback_names_the_jobs_that_go_on_from_what_is_taken_back(place: Promoter) -> None:
    """They are at work, and somebody has to say whether they are to be ended."""
    place.done()
    bad = place.done()
    job = place.job()
    place.store._connection.execute("UPDATE jobs SET continues = ? WHERE id = ?", (bad.id, job.id))
    reply = place.roll_back()
    assert f"; job {job.id}, which is merging, starts from job {bad.id} anyway" in reply.answer


def test_a_request_meets_what_somebody_has_set_by_hand(place: Promoter) -> None:
    """That is taken down first, so that the history has it."""
    one, two = place.done(), place.done()
    place.set_by_hand(one)
    assert place.promote(two).answer == f"latest/glm-6b leads to job {two.id} now instead of job {one.id}"
    assert place.rows()[-2:] == [("found", one.id), ("promotion", two.id)]
