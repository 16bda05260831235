"""Promises of handlers.resume.decision: what follows a training that did not come to its end."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.codes import Code
from handlers.records.job_dir import Step
from handlers.records.step_exit import Diagnosis, Divergence, Outcome, StepExit, Survivor
from handlers.resume.decision import (
    UNCOUNTED,
    Ending,
    Failure,
    GiveUp,
    PastAttempt,
    Resume,
    TakenUp,
    Trained,
    Tries,
    decide,
)
from handlers.resume.point import ResumePoint
from handlers.resume.resumable import Obstacle
from handlers.shards.names import Tag

WHY = "rank 1 on device 1 exited 1 first (09:14:07): line"


def point(tag: str) -> ResumePoint:
    """Return a save."""
    return ResumePoint(Path("/output"), Tag.parse(tag), ())


def ended(
    ending: Ending = Ending.FAILED, *, may_pass: bool | None = None, resumes: int = 0, began: str = "", saved: str = ""
) -> PastAttempt:
    """Return an attempt that is over: a first one that has saved nothing, unless told otherwise."""
    return PastAttempt(
        failure=Failure(ending, WHY, may_pass),
        tries=Tries(resumes),
        began=point(began) if began else None,
        saved=point(saved) if saved else None,
        finished=False,
    )


@pytest.mark.parametrize("ending", (Ending.FAILED, Ending.HUNG, Ending.LOST))
@pytest.mark.parametrize("resumes", (0, 2))
@pytest.mark.parametrize("may_pass", (None, True))
def test_what_has_saved_something_new_goes_on_from_there(
    ending: Ending, resumes: int, *, may_pass: bool | None
) -> None:
    """Whether it failed, hung or was lost, and however often before; the reason says from where, and after what."""
    found = decide(ended(ending, may_pass=may_pass, resumes=resumes, began="9_4", saved="17_4"), 3)
    assert found == Resume(point("17_4"), f"resumed from 17_4 after: {WHY}")


@pytest.mark.parametrize("ending", (*UNCOUNTED,))
def test_what_slurm_did_uses_up_no_resume(ending: Ending) -> None:
    """However often; a failure after it counts from where it was before."""
    past = ended(ending, resumes=7, began="9_4", saved="17_4")
    assert decide(past, 3) == Resume(point("17_4"), f"resumed from 17_4 after: {WHY}")
    assert past.next_tries == Tries(8, uncounted=1)
    failed = replace(ended(began="9_4", saved="17_4"), tries=Tries(8, uncounted=6))
    assert isinstance(decide(failed, 3), Resume)
    assert failed.next_tries == Tries(9, uncounted=6)
    assert isinstance(decide(replace(failed, tries=Tries(9, uncounted=6)), 3), GiveUp)


def test_what_slurm_does_in_vain_ends() -> None:
    """One bad node takes three attempts that come to no new save, and not all of a night's; a new save ends the row."""
    past, reasons = ended(Ending.TAKEN, began="9_4"), []
    while isinstance(found := decide(past, 3), Resume):
        assert found == Resume(point("9_4"), f"resumed from 9_4 after: {WHY}")
        reasons.append(found.reason)
        past = replace(past, tries=past.next_tries)
    assert found == GiveUp(f"{WHY}; not tried again: 3 attempts in a row ended this way and saved nothing new")
    assert len(reasons) == 2
    assert replace(past, saved=point("17_4")).next_tries.in_vain == 0


@pytest.mark.parametrize("ending", (*set(Ending) - UNCOUNTED,))
def test_the_limit_holds(ending: Ending) -> None:
    """After `resume.attempts` nothing is tried again, whatever was saved; with 0 nothing ever is."""
    found = decide(ended(ending, resumes=3, saved="17_4"), 3)
    assert isinstance(found, GiveUp)
    assert found.reason.startswith(WHY)
    assert decide(ended(ending, saved="17_4"), 0) == GiveUp(WHY)


@pytest.mark.parametrize("ending", (*UNCOUNTED,))
def test_with_none_nothing_is_resumed(ending: Ending) -> None:
    """`resume: {attempts: 0}` leaves to people what Slurm did, too."""
    assert decide(ended(ending, saved="17_4"), 0) == GiveUp(WHY)


def test_the_limit_is_named() -> None:
    """Who wonders why a job was not resumed once more reads which key to raise."""
    found = decide(ended(resumes=2, saved="17_4"), 2)
    assert found == GiveUp(f"{WHY}; not tried again: glmd has done so 2 times (resume.attempts)")


@pytest.mark.parametrize("ending", (Ending.STOPPED, Ending.OVERTIME, Ending.STUCK))
def test_what_was_ended_on_purpose_or_holds_its_devices_stays_ended(ending: Ending) -> None:
    """A cancelled job, one past `timeout.total`, and one whose processes cannot be ended."""
    assert decide(ended(ending, saved="17_4"), 3) == GiveUp(WHY)


def test_what_would_fail_again_is_not_tried_again() -> None:
    """A bad value or a missing file does not go away by itself, not even after a save."""
    found = decide(ended(may_pass=False, saved="17_4"), 3)
    assert isinstance(found, GiveUp)
    assert "until you fix that" in found.reason


@pytest.mark.parametrize("ending", (Ending.FAILED, Ending.HUNG))
def test_an_attempt_without_progress_is_the_last(ending: Ending) -> None:
    """What glmd has begun and came to no newer save would only burn devices."""
    found = decide(ended(ending, may_pass=True, resumes=1, began="17_4"), 3)
    assert found == GiveUp(f"{WHY}; not tried again: it made no save newer than 17_4 that is complete on all ranks")
    assert isinstance(decide(ended(ending, resumes=1), 3), GiveUp)


@pytest.mark.parametrize("resumes", (0, 1))
def test_a_reboot_says_nothing_about_the_job(resumes: int) -> None:
    """It goes on from what it began with, or begins anew, though it saved nothing since."""
    assert decide(ended(Ending.LOST, resumes=resumes, began="17_4"), 3) == Resume(
        point("17_4"), f"resumed from 17_4 after: {WHY}"
    )
    assert decide(ended(Ending.LOST, resumes=resumes), 3) == Resume(None, f"started again after: {WHY}")


def test_a_first_attempt_that_hung_or_met_what_may_pass_is_begun_anew() -> None:
    """Once: the next one is held to the rule of progress."""
    assert decide(ended(Ending.HUNG), 3) == Resume(None, f"started again after: {WHY}")
    assert decide(ended(may_pass=True), 3) == Resume(None, f"started again after: {WHY}")
    assert decide(ended(may_pass=True, began="17_4"), 3) == Resume(point("17_4"), f"resumed from 17_4 after: {WHY}")
    assert isinstance(decide(ended(may_pass=True, resumes=1), 3), GiveUp)


def test_a_first_attempt_that_failed_before_its_first_save_is_left_to_people() -> None:
    """Mostly the YAML is wrong; the reason stays what it was."""
    assert decide(ended(), 3) == GiveUp(WHY)


OBSTACLE = Obstacle("2_5 falls inside an epoch", "set sink_mode")


@pytest.mark.parametrize("ending", (Ending.FAILED, Ending.HUNG))
@pytest.mark.parametrize("may_pass", (None, True))
@pytest.mark.parametrize(("began", "retry"), (("", "start from the beginning"), ("1_10", "resume from 1_10")))
def test_what_saved_only_inside_an_epoch_is_left_to_people(
    ending: Ending, may_pass: bool | None, began: str, retry: str  # noqa: FBT001 - a case
) -> None:  # fmt: skip
    """To begin anew may cost days; the reason says why it is not resumed, what to change, and what a retry does."""
    found = decide(replace(ended(ending, may_pass=may_pass, began=began), obstacle=OBSTACLE), 3)
    assert found == GiveUp(
        f"{WHY}; not resumed: 2_5 falls inside an epoch; set sink_mode. `glmd retry N` would {retry}"
    )


@pytest.mark.parametrize(("began", "how"), (("", "started again"), ("1_10", "resumed from 1_10")))
def test_after_a_reboot_a_save_inside_an_epoch_is_passed_over(began: str, how: str) -> None:
    """The host says nothing about the job; its reason says what is lost."""
    found = decide(replace(ended(Ending.LOST, began=began), obstacle=OBSTACLE), 3)
    assert found == Resume(point(began) if began else None, f"{how} after: {WHY}; 2_5 falls inside an epoch")


def test_an_older_save_at_an_epochs_end_is_gone_on_from() -> None:
    """The reason says why it is not the newest one."""
    found = decide(replace(ended(saved="1_10"), obstacle=OBSTACLE), 3)
    assert found == Resume(point("1_10"), f"resumed from 1_10 after: {WHY}; 2_5 falls inside an epoch")


@pytest.mark.parametrize("ending", [each for each in Ending if each not in {Ending.STUCK, Ending.DIVERGED}])
@pytest.mark.parametrize("limit", (0, 3))
def test_where_the_last_epoch_is_saved_the_merge_is_next(ending: Ending, limit: int) -> None:
    """MindFormers refuses to resume from the last epoch, and a rank that failed while it left costs nothing."""
    found = decide(replace(ended(ending, may_pass=False, resumes=3, saved="31_4"), finished=True), limit)
    assert found == Trained(f"the training is complete and saved as 31_4, although {WHY}")


@pytest.mark.parametrize("may_pass", (None, True, False))
def test_what_diverged_goes_on_from_a_save_of_before(*, may_pass: bool | None) -> None:
    """Once, whatever its error says otherwise; the reason says from where, and what was passed over."""
    past = ended(Ending.DIVERGED, may_pass=may_pass, resumes=1, began="9_4", saved="17_4")
    assert decide(past, 3) == Resume(point("17_4"), f"resumed from 17_4 after: {WHY}")
    lost = Obstacle("18_4 was saved when the training may have gone wrong already", "lower the learning rate")
    found = decide(replace(past, obstacle=lost), 3)
    assert found == Resume(point("17_4"), f"resumed from 17_4 after: {WHY}; {lost.what}")


@pytest.mark.parametrize("resumes", (0, 1))
def test_what_diverges_again_is_left_to_people(resumes: int) -> None:
    """Also when the first time was before a retry: once in a job's life."""
    past = ended(Ending.DIVERGED, resumes=resumes, began="9_4", saved="17_4")
    found = decide(replace(past, has_diverged_before=True), 3)
    assert isinstance(found, GiveUp)
    assert found.reason.startswith(f"{WHY}; not resumed: an earlier attempt diverged too")


def test_what_diverged_without_a_save_of_before_is_left_to_people() -> None:
    """What it began with is none, if that is not among what was found; the reason says what a retry would do."""
    found = decide(ended(Ending.DIVERGED, may_pass=True, began="9_4"), 3)
    assert found == GiveUp(
        f"{WHY}; not resumed: no earlier save is complete on all ranks. `glmd retry N` would start from the beginning"
    )
    past = replace(ended(Ending.DIVERGED), obstacle=Obstacle("18_4 was saved too late", "r"))
    assert "(18_4 was saved too late). `glmd retry N`" in decide(past, 3).reason


@pytest.mark.parametrize("limit", (0, 1, 3))
def test_what_diverged_is_never_trained_to_its_end(limit: int) -> None:
    """Whatever it saved last."""
    past = replace(ended(Ending.DIVERGED, resumes=1, saved="31_4"), finished=True)
    assert not isinstance(decide(past, limit), Trained)
    assert isinstance(decide(past, limit), Resume if limit == 3 else GiveUp)


def test_a_failure_of_another_kind_after_a_divergence_is_a_failure_like_any() -> None:
    """It goes on from its own saves, which are of a training that was well."""
    past = replace(ended(resumes=1, began="9_4", saved="17_4"), has_diverged_before=True)
    assert decide(past, 3) == Resume(point("17_4"), f"resumed from 17_4 after: {WHY}")


def step_exit(outcome: Outcome, **fields: object) -> StepExit:
    """Return what exit.json may say."""
    now = datetime.now(UTC)
    told = {"step": Step.TRAIN, "outcome": outcome, "reason": WHY, "started": now, "ended": now, **fields}
    return StepExit.model_validate(told)


DIVERGENCE = Divergence(epoch=3, step=1, number=9, sound=8)
SURVIVOR = Survivor(pid=1, start_time=1, boot_id="x", name="python", state="D", rank=0, device=0)


@pytest.mark.parametrize(
    ("record", "lost", "ending"),
    (
        (step_exit(Outcome.FAILED), False, Ending.FAILED),
        (step_exit(Outcome.TIMED_OUT, limit="silence"), False, Ending.HUNG),
        (step_exit(Outcome.TIMED_OUT, limit="first_step"), False, Ending.HUNG),
        (step_exit(Outcome.TIMED_OUT, limit="total"), False, Ending.OVERTIME),
        (step_exit(Outcome.CANCELLED), False, Ending.STOPPED),
        (step_exit(Outcome.CANCELLED), True, Ending.LOST),
        (step_exit(Outcome.FAILED), True, Ending.FAILED),
        (step_exit(Outcome.FAILED, survivors=(SURVIVOR,)), False, Ending.STUCK),
        (step_exit(Outcome.FAILED, divergence=DIVERGENCE), False, Ending.DIVERGED),
        (step_exit(Outcome.FAILED, divergence=DIVERGENCE), True, Ending.DIVERGED),
        (step_exit(Outcome.CANCELLED, divergence=DIVERGENCE), False, Ending.STOPPED),
        (step_exit(Outcome.FAILED, divergence=DIVERGENCE, survivors=(SURVIVOR,)), False, Ending.STUCK),
        (step_exit(Outcome.TIMED_OUT, limit="silence", survivors=(SURVIVOR,)), True, Ending.HUNG),
    ),
)
def test_how_an_attempt_ended(record: StepExit, lost: bool, ending: Ending) -> None:  # noqa: FBT001 - an expectation
    """A TERM that came before a reboot was the shutdown's, and no process outlives a reboot."""
    code = Code.HOST_WENT_DOWN if ending is Ending.LOST else ""
    assert Failure.of(record, "why", lost=lost) == Failure(ending, "why", code=code)


def test_the_diagnosis_is_taken_over() -> None:
    """As far as it says whether the error may pass."""
    for may_pass in (True, False, None):
        diagnosis = Diagnosis(error="EI0014", rank=1, cause="c", remedy="r", may_pass=may_pass)
        assert Failure.of(step_exit(Outcome.FAILED, diagnosis=diagnosis), "why", lost=False).may_pass is may_pass


def test_how_an_attempt_began_is_kept(tmp_path: Path) -> None:
    """A first attempt has no record, and counts as begun by a person, from the start."""
    path = tmp_path / "resume.json"
    assert TakenUp.read(path) == TakenUp(resumes=0, tag=None)
    TakenUp(resumes=2, uncounted=1, tag="17_4").publish(path)
    assert TakenUp.read(path).tries == Tries(2, uncounted=1)


def test_a_failure_has_the_code_of_its_end() -> None:
    """A host that went down says more than the TERM that came before."""
    assert Failure.of(step_exit(Outcome.FAILED, code="rank.EI0006"), "why", lost=False).code == "rank.EI0006"
    assert Failure.of(step_exit(Outcome.CANCELLED, code="shim.stopped"), "why", lost=True).code == "host.went-down"
