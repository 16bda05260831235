"""Promises of daemon.serve.jobs.attempts: what the attempts of a job leave for the next one."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.states import Job, State
from daemon.serve.jobs.attempts import NothingLeftError, begin, how_it_begins, past_attempt, tree_with_tag
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B
from handlers.records.checked import Spot
from handlers.records.job_dir import JobDir, Step
from handlers.records.step_exit import Divergence, Outcome, StepExit
from handlers.resume.config import Beginning
from handlers.resume.decision import FIRST, Ending, Failure, GiveUp, Resume, TakenUp, Trained, Tries, decide
from handlers.validate.check import CheckedConfig
from handlers.validate.glmd_section import GlmdSection, MergeWish
from tests.unit.handlers.ckpt.ckpt_writer import small_run

NOW = datetime.now(UTC)
JOB = Job(
    id=1, name="run", state=State.PREPARING, reason="", attempt=2, priority=0, devices=(0, 1, 2, 3), prefix="glm-6b",
    cancel=False, submitted=NOW, changed=NOW,
)  # fmt: skip
CHECKED = CheckedConfig(
    section=GlmdSection(),
    devices=(0, 1, 2, 3),
    devices_at=Spot(line=1, column=1, where="", excerpt=""),
    run_mode="finetune",
    prefix="glm-6b",
    dialect=dialect_of(OF_GLM_6B),
    device_target="Ascend",
    parallel_mode=1,
    needs_strategy=True,
    cuts_weights=False,
    config=b"",
    warnings=(),
    sink_size=4,
)


@pytest.fixture
def directory(tmp_path: Path) -> JobDir:
    """Return a job's directory."""
    return JobDir(tmp_path)


def let_log(tree: Path, epoch: int, *, epochs: int = 31, steps: int = 4) -> None:
    """Let rank 0 say how far it is, of 31 epochs of 4 steps if not told otherwise."""
    log = tree / "log" / "rank_0" / "mindformer.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        f"{{ Epoch:[{epoch:3d}/{epochs:3d}], step:[{steps:5d}/{steps:5d}], loss:[1.0/1.0], per_step_time: 500ms, }}\n"
    )


def test_without_a_save_an_attempt_begins_from_the_start(directory: JobDir) -> None:
    """And says so, for the decision after it."""
    assert begin(JOB, directory, CHECKED, tries=Tries(1)) is None
    assert TakenUp.read(directory.resume_record(2)) == TakenUp(resumes=1, tag=None)


def test_an_attempt_begins_with_the_newest_save_of_all_before(directory: JobDir) -> None:
    """The third goes on from the first one's where the second came to none of its own; twice begun is once begun."""
    small_run(directory.earlier_output(1)).write("16_4").write("17_4")
    for job in (JOB, replace(JOB, attempt=3)):
        for _ in range(2):
            load = begin(job, directory, CHECKED, tries=Tries(job.attempt - 1))
            assert load == Beginning(directory.resume_from(job.attempt) / "checkpoint")
        assert TakenUp.read(directory.resume_record(job.attempt)) == TakenUp(resumes=job.attempt - 1, tag="17_4")


def test_a_save_outlives_the_output_that_it_was_made_in(directory: JobDir) -> None:
    """Whoever needs room may remove it: the next attempt has its own links."""
    run = small_run(directory.earlier_output(1)).write("17_4")
    begin(JOB, directory, CHECKED, tries=Tries(1))
    for rank in range(4):
        run.shard(rank, "17_4").unlink()
    begin(replace(JOB, attempt=3), directory, CHECKED, tries=Tries(2))
    assert TakenUp.read(directory.resume_record(3)).tag == "17_4"


def test_data_parallel_ranks_without_sinking_load_one_file(directory: JobDir) -> None:
    """MindFormers 0.8 takes no directory then; they hold the same weights."""
    run = small_run(directory.earlier_output(1), (1,))
    run.layouts, run.ranks = {}, 4
    run.write("17_4")
    let_log(directory.earlier_output(1), 17)
    checked = replace(CHECKED, needs_strategy=False, sink_size=None)
    load = begin(JOB, directory, checked, tries=Tries(1))
    assert load == Beginning(directory.resume_from(2) / "checkpoint" / "rank_0" / "glm-6b_rank_0-17_4.ckpt")
    assert load.weights.is_file()


def test_after_the_last_epoch_nothing_is_begun(directory: JobDir) -> None:
    """MindFormers would refuse it; the message says what to do."""
    small_run(directory.earlier_output(1)).write("31_4")
    let_log(directory.earlier_output(1), 31)
    with pytest.raises(NothingLeftError, match="nothing is left to train"):
        begin(JOB, directory, CHECKED, tries=FIRST)


@pytest.mark.parametrize("moved", (False, True))
def test_what_an_attempt_came_to(directory: JobDir, *, moved: bool) -> None:
    """Also when a daemon that was killed had put its output aside already."""
    small_run(directory.earlier_output(1)).write("9_4")
    begin(JOB, directory, CHECKED, tries=Tries(1))
    output = directory.earlier_output(2) if moved else directory.output
    small_run(output).write("17_4")
    let_log(output, 18)
    found = past_attempt(JOB, directory, CHECKED, Failure(Ending.FAILED, "why"))
    assert found.began is not None
    assert found.saved is not None
    assert (str(found.began.tag), str(found.saved.tag), found.tries.resumes, found.finished) == (
        "9_4",
        "17_4",
        1,
        False,
    )


def test_an_attempt_that_saved_its_last_epoch_is_finished(directory: JobDir) -> None:
    """By its log and the size of a sink."""
    small_run(directory.output).write("31_4")
    let_log(directory.output, 31)
    assert past_attempt(replace(JOB, attempt=1), directory, CHECKED, Failure(Ending.FAILED, "why")).finished


WHOLE = replace(CHECKED, needs_strategy=False, sink_size=None)
"""Data parallel without data sinking: tags are epoch and step."""


def let_save(tree: Path, *tags: str, epochs: int, steps: int) -> None:
    """Let four ranks that hold the whole network have saved `tags`, and rank 0 have logged."""
    run = small_run(tree, (1,))
    run.layouts, run.ranks = {}, 4
    for tag in tags:
        run.write(tag)
    let_log(tree, 1, epochs=epochs, steps=steps)


def test_a_save_inside_an_epoch_is_not_the_end(directory: JobDir) -> None:
    """One percent of the only epoch is saved: nothing is finished, and there is nothing to go on from."""
    let_save(directory.output, "1_100", epochs=1, steps=10_000)
    found = past_attempt(replace(JOB, attempt=1), directory, WHOLE, Failure(Ending.FAILED, "why"))
    assert (found.saved, found.finished) == (None, False)
    assert found.obstacle is not None
    assert "1_100 falls inside an epoch of 10000 steps" in found.obstacle.what
    assert decide(found, 3) == GiveUp(
        f"why; not resumed: {found.obstacle.what}; set runner_config.sink_mode to True, or save_checkpoint_steps to "
        "10000 (a whole epoch). `glmd retry N` would start from the beginning"
    )


def test_the_end_of_the_only_epoch_is_the_end(directory: JobDir) -> None:
    """All its steps are trained."""
    let_save(directory.output, "1_100", "1_10000", epochs=1, steps=10_000)
    found = past_attempt(replace(JOB, attempt=1), directory, WHOLE, Failure(Ending.FAILED, "why"))
    assert found.saved is not None
    assert (str(found.saved.tag), found.finished, found.obstacle) == ("1_10000", True, None)


@pytest.mark.parametrize("is_last_run", (False, True))
def test_the_newest_save_at_an_epochs_end_counts(directory: JobDir, *, is_last_run: bool) -> None:
    """From 2_5 MindFormers would leave out the rest of the second epoch, without a word."""
    let_save(directory.earlier_output(1), "1_5", "1_10", "2_5", epochs=2 if is_last_run else 3, steps=10)
    load = begin(JOB, directory, WHOLE, tries=FIRST)
    assert load == Beginning(directory.resume_from(2) / "checkpoint" / "rank_0" / "glm-6b_rank_0-1_10.ckpt")
    assert how_it_begins(JOB, directory).startswith("resumes from 1_10: 2_5 falls inside an epoch of 10 steps")


def test_a_retry_begins_anew_where_all_saves_fall_inside_an_epoch(directory: JobDir) -> None:
    """It is not refused for want of something to train, and leaves out no data; the job says why."""
    let_save(directory.earlier_output(1), "1_100", "1_200", epochs=1, steps=10_000)
    assert begin(JOB, directory, WHOLE, tries=FIRST) is None
    assert how_it_begins(JOB, directory).startswith(
        "starts from the beginning: 1_200 falls inside an epoch of 10000 steps"
    )
    assert not directory.resume_from(2).exists()


def test_a_version_that_goes_on_inside_an_epoch_does(directory: JobDir) -> None:
    """The dialect says which."""
    let_save(directory.earlier_output(1), "1_100", epochs=1, steps=10_000)
    dialect = replace(CHECKED.dialect, resumes_inside_epoch=True)
    load = begin(JOB, directory, replace(WHOLE, dialect=dialect), tries=FIRST)
    assert load is not None
    assert TakenUp.read(directory.resume_record(2)) == TakenUp(resumes=0, tag="1_100")


def test_without_a_log_nothing_is_finished_and_no_data_left_out(directory: JobDir) -> None:
    """Nobody knows how many steps an epoch has: with data sinking a save is at an epoch's end all the same."""
    run = small_run(directory.output).write("31_4")
    found = past_attempt(replace(JOB, attempt=1), directory, CHECKED, Failure(Ending.FAILED, "why"))
    assert found.saved is not None
    assert not found.finished
    run.layouts = {}
    found = past_attempt(replace(JOB, attempt=1), directory, WHOLE, Failure(Ending.FAILED, "why"))
    assert (found.saved, found.finished) == (None, False)
    assert found.obstacle is not None
    assert "no log shows how many steps" in found.obstacle.what


def test_the_log_of_any_attempt_tells_the_schedule(directory: JobDir) -> None:
    """A third attempt that died before its first step, and a save whose own tree was removed."""
    let_save(directory.earlier_output(1), "1_10", epochs=2, steps=10)
    begin(JOB, directory, WHOLE, tries=Tries(1))
    shutil.rmtree(directory.earlier_output(1) / "checkpoint")
    third = replace(JOB, attempt=3)
    assert begin(third, directory, WHOLE, tries=Tries(2)) is not None
    assert TakenUp.read(directory.resume_record(3)).tag == "1_10"


def test_a_cut_network_is_not_resumed_without_sinking(directory: JobDir) -> None:
    """MindFormers refuses to load into it, wherever the save falls; the merge of a last save needs no loading."""
    checked = replace(CHECKED, sink_size=None)
    run = small_run(directory.earlier_output(1)).write("17_4")
    let_log(directory.earlier_output(1), 17)
    assert begin(JOB, directory, checked, tries=FIRST) is None
    assert "cut network" in how_it_begins(JOB, directory)
    run.write("31_4")
    with pytest.raises(NothingLeftError):
        begin(JOB, directory, checked, tries=FIRST)


def test_where_the_tag_to_merge_is(directory: JobDir) -> None:
    """In the tree of an earlier attempt, if that has it whole; else this attempt is to save it."""
    small_run(directory.earlier_output(1)).write("16_4").write("17_4")
    for tag, tree in (("last", None), ("16_4", directory.earlier_output(1)), ("31_4", None)):
        checked = replace(CHECKED, section=GlmdSection(merge=MergeWish(tag=tag)))
        assert tree_with_tag(JOB, directory, checked) == tree


DIVERGED = Failure(Ending.DIVERGED, "diverged")


def let_diverge(directory: JobDir, attempt: int, *, since: int, sound: int | None) -> None:
    """Let an attempt's exit.json say that it has gone wrong with a step, of epochs of four; `sound` was good before."""
    train = directory.step(attempt, Step.TRAIN)
    train.path.mkdir(parents=True, exist_ok=True)
    epoch, step = divmod(since - 1, 4)
    divergence = Divergence(epoch=epoch + 1, step=step + 1, number=since, sound=sound)
    StepExit(
        step=Step.TRAIN, outcome=Outcome.FAILED, reason="", divergence=divergence, started=NOW, ended=NOW
    ).publish(train.exit)  # fmt: skip


@pytest.mark.parametrize(
    ("sound", "tag"),
    (
        (72, "17_4"),  # 18_4 was saved after step 72, whose loss is that of the weights before it
        (73, "18_4"),
        (68, "16_4"),
        (64, None),
        (None, None),
    ),
)
def test_a_divergence_is_resumed_from_the_newest_save_of_before(
    directory: JobDir, sound: int | None, tag: str | None
) -> None:
    """One whose weights have given a good loss; the decision and the next attempt agree."""
    small_run(directory.output).write("16_4").write("17_4").write("18_4").write("31_4")
    let_log(directory.output, 31)
    let_diverge(directory, 1, since=(sound or 0) + 1, sound=sound)
    first = replace(JOB, attempt=1)
    decision = decide(past_attempt(first, directory, CHECKED, DIVERGED), 3)
    if tag is None:
        assert isinstance(decision, GiveUp)
        assert "31_4 was saved when the training may have gone wrong already" in decision.reason
    else:
        assert isinstance(decision, Resume)
        assert decision.reason.startswith(f"resumed from {tag} after: diverged; 31_4 was saved when")
    directory.output.rename(directory.earlier_output(1))
    begin(JOB, directory, CHECKED, tries=Tries(1))
    assert TakenUp.read(directory.resume_record(2)).tag == tag


def test_what_was_saved_after_a_divergence_is_never_gone_on_from(directory: JobDir) -> None:
    """Not by a retry, nor when the attempt after it fails of something else before it has saved; and it is no end."""
    small_run(directory.earlier_output(1)).write("9_4").write("31_4")
    let_log(directory.earlier_output(1), 31)
    let_diverge(directory, 1, since=42, sound=41)
    begin(JOB, directory, CHECKED, tries=FIRST)
    assert TakenUp.read(directory.resume_record(2)).tag == "9_4"
    assert how_it_begins(JOB, directory).startswith("resumes from 9_4: 31_4 was saved when the training may have gone")
    for ending in (Ending.FAILED, Ending.HUNG, Ending.LOST):
        past = past_attempt(JOB, directory, CHECKED, Failure(ending, "why", may_pass=True))
        decision = decide(past, 3)
        assert isinstance(decision, Resume)
        assert decision.point is not None
        assert str(decision.point.tag) == "9_4"
    shutil.rmtree(directory.resume_from(2))
    begin(replace(JOB, attempt=3), directory, CHECKED, tries=FIRST)
    assert TakenUp.read(directory.resume_record(3)).tag == "9_4"


def test_the_next_attempts_own_saves_are_as_good_as_any(directory: JobDir) -> None:
    """They have the numbers of those that were lost."""
    small_run(directory.earlier_output(1)).write("9_4").write("17_4")
    let_log(directory.earlier_output(1), 17)
    let_diverge(directory, 1, since=42, sound=41)
    begin(JOB, directory, CHECKED, tries=Tries(1))
    small_run(directory.output).write("17_4")
    past = past_attempt(JOB, directory, CHECKED, Failure(Ending.FAILED, "why"))
    assert past.saved is not None
    assert past.saved.tree == directory.output
    small_run(directory.output).write("31_4")
    assert isinstance(decide(past_attempt(JOB, directory, CHECKED, Failure(Ending.FAILED, "why")), 3), Trained)


def test_an_attempt_that_was_wrong_from_its_first_step_discredits_what_it_began_with(directory: JobDir) -> None:
    """The attempt before was killed too early to have diverged; its save before that one is gone on from, once."""
    small_run(directory.earlier_output(1)).write("9_4").write("17_4")
    let_log(directory.earlier_output(1), 18)
    begin(JOB, directory, CHECKED, tries=Tries(1))
    assert TakenUp.read(directory.resume_record(2)).tag == "17_4"
    let_diverge(directory, 2, since=69, sound=None)
    decision = decide(past_attempt(JOB, directory, CHECKED, DIVERGED), 3)
    assert isinstance(decision, Resume)
    assert decision.reason.startswith("resumed from 9_4 after: diverged; 17_4 was saved")
    begin(replace(JOB, attempt=3), directory, CHECKED, tries=Tries(2))
    assert TakenUp.read(directory.resume_record(3)).tag == "9_4"


def test_one_good_step_vouches_for_what_an_attempt_began_with(directory: JobDir) -> None:
    """Whatever its number: with data sinking MindFormers 0.8 counts a resumed training's steps from too low a one."""
    small_run(directory.earlier_output(1)).write("9_4").write("17_4")
    let_log(directory.earlier_output(1), 17)
    begin(JOB, directory, CHECKED, tries=Tries(1))
    let_diverge(directory, 2, since=5, sound=4)
    begin(replace(JOB, attempt=3), directory, CHECKED, tries=Tries(2))
    assert TakenUp.read(directory.resume_record(3)).tag == "17_4"


def test_a_second_divergence_is_known_as_such(directory: JobDir) -> None:
    """By exit.json of the attempt before, which outlives the store."""
    small_run(directory.earlier_output(1)).write("9_4")
    let_log(directory.earlier_output(1), 17)
    let_diverge(directory, 1, since=42, sound=41)
    begin(JOB, directory, CHECKED, tries=Tries(1))
    let_diverge(directory, 2, since=50, sound=49)
    past = past_attempt(JOB, directory, CHECKED, DIVERGED)
    assert past.has_diverged_before
    assert isinstance(decide(past, 3), GiveUp)


def test_a_tag_that_was_saved_when_it_had_gone_wrong_is_not_merged(directory: JobDir) -> None:
    """The attempt that goes on from before is to save it again."""
    small_run(directory.earlier_output(1)).write("16_4").write("17_4")
    let_log(directory.earlier_output(1), 17)
    let_diverge(directory, 1, since=66, sound=65)
    for tag, tree in (("16_4", directory.earlier_output(1)), ("17_4", None)):
        checked = replace(CHECKED, section=GlmdSection(merge=MergeWish(tag=tag)))
        assert tree_with_tag(JOB, directory, checked) == tree


def test_without_sinking_saves_count_by_steps(directory: JobDir) -> None:
    """A save at an epoch's end before the step that went wrong."""
    let_save(directory.output, "1_10", "2_10", "3_10", epochs=4, steps=10)
    let_diverge(directory, 1, since=26, sound=25)
    decision = decide(past_attempt(replace(JOB, attempt=1), directory, WHOLE, DIVERGED), 3)
    assert isinstance(decision, Resume)
    assert decision.reason.startswith("resumed from 2_10 after: diverged; 3_10 was saved when")
