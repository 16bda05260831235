"""Promises of daemon.resuming: what the attempts of a job leave for the next one."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.resuming import begin, came_to, tree_with_tag
from daemon.states import Job, State
from handlers.errors import BadInputError
from handlers.job_dir import JobDir
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B
from handlers.resume import Ending, Failure, TakenUp
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


def let_log(tree: Path, epoch: int) -> None:
    """Let rank 0 say how far it is, of 31 epochs of 4 steps."""
    log = tree / "log" / "rank_0" / "mindformer.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"{{ Epoch:[{epoch:3d}/ 31], step:[    4/    4], loss:[1.0/1.0], per_step_time: 500ms, }}\n")


def test_without_a_save_an_attempt_begins_from_the_start(directory: JobDir) -> None:
    """And says so, for the decision after it."""
    assert begin(JOB, directory, CHECKED, resumes=1) is None
    assert TakenUp.read(directory.resume_record(2)) == TakenUp(resumes=1, tag=None)


def test_an_attempt_begins_with_the_newest_save_of_all_before(directory: JobDir) -> None:
    """The third goes on from the first one's where the second came to none of its own; twice begun is once begun."""
    small_run(directory.earlier_output(1)).write("16_4").write("17_4")
    for job in (JOB, replace(JOB, attempt=3)):
        for _ in range(2):
            load = begin(job, directory, CHECKED, resumes=job.attempt - 1)
            assert load == directory.resume_from(job.attempt) / "checkpoint"
        assert TakenUp.read(directory.resume_record(job.attempt)) == TakenUp(resumes=job.attempt - 1, tag="17_4")


def test_a_save_outlives_the_output_that_it_was_made_in(directory: JobDir) -> None:
    """Whoever needs room may remove it: the next attempt has its own links."""
    run = small_run(directory.earlier_output(1)).write("17_4")
    begin(JOB, directory, CHECKED, resumes=1)
    for rank in range(4):
        run.shard(rank, "17_4").unlink()
    begin(replace(JOB, attempt=3), directory, CHECKED, resumes=2)
    assert TakenUp.read(directory.resume_record(3)).tag == "17_4"


def test_data_parallel_ranks_without_sinking_load_one_file(directory: JobDir) -> None:
    """MindFormers 0.8 takes no directory then; they hold the same weights."""
    run = small_run(directory.earlier_output(1), (1,))
    run.layouts, run.ranks = {}, 4
    run.write("17_4")
    checked = replace(CHECKED, needs_strategy=False, sink_size=None)
    load = begin(JOB, directory, checked, resumes=1)
    assert load == directory.resume_from(2) / "checkpoint" / "rank_0" / "glm-6b_rank_0-17_4.ckpt"
    assert load.is_file()


def test_after_the_last_epoch_nothing_is_begun(directory: JobDir) -> None:
    """MindFormers would refuse it; the message says what to do."""
    small_run(directory.earlier_output(1)).write("31_4")
    let_log(directory.earlier_output(1), 31)
    with pytest.raises(BadInputError, match=r"nothing is left to train.*glmd merge"):
        begin(JOB, directory, CHECKED, resumes=0)


@pytest.mark.parametrize("moved", (False, True))
def test_what_an_attempt_came_to(directory: JobDir, *, moved: bool) -> None:
    """Also when a daemon that was killed had put its output aside already."""
    small_run(directory.earlier_output(1)).write("9_4")
    begin(JOB, directory, CHECKED, resumes=1)
    output = directory.earlier_output(2) if moved else directory.output
    small_run(output).write("17_4")
    let_log(output, 18)
    found = came_to(JOB, directory, CHECKED, Failure(Ending.FAILED, "why"))
    assert found.began is not None
    assert found.saved is not None
    assert (str(found.began.tag), str(found.saved.tag), found.resumes, found.finished) == ("9_4", "17_4", 1, False)


def test_an_attempt_that_saved_its_last_epoch_is_finished(directory: JobDir) -> None:
    """By its log and the size of a sink."""
    small_run(directory.output).write("31_4")
    let_log(directory.output, 31)
    assert came_to(replace(JOB, attempt=1), directory, CHECKED, Failure(Ending.FAILED, "why")).finished


def test_where_the_tag_to_merge_is(directory: JobDir) -> None:
    """In the tree of an earlier attempt, if that has it whole; else this attempt is to save it."""
    small_run(directory.earlier_output(1)).write("16_4").write("17_4")
    for tag, tree in (("last", None), ("16_4", directory.earlier_output(1)), ("31_4", None)):
        checked = replace(CHECKED, section=GlmdSection(merge=MergeWish(tag=tag)))
        assert tree_with_tag(JOB, directory, checked) == tree
