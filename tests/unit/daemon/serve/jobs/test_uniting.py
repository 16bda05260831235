"""Promises of jobs.attempts and jobs.uniting for shards without replicas of ranks that hold the whole network."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.core.temporaries import temporaries_of
from daemon.serve.jobs.attempts import begin, how_it_begins
from daemon.serve.jobs.uniting import Uniting
from handlers.ckpt import Format, walk
from handlers.events import job_log
from handlers.host import reach
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import Version
from handlers.records.job_dir import JobDir
from handlers.resume.config import Beginning, UnresumableError
from handlers.resume.decision import FIRST, Resume, TakenUp, Tries, as_begun
from handlers.resume.point import ResumePoint
from handlers.shards.names import Tag
from handlers.validate.glmd_section import GlmdSection, MergeWish
from tests.unit.daemon.serve.jobs.test_attempts import CHECKED, JOB
from tests.unit.handlers.ckpt import redundancy
from tests.unit.handlers.ckpt.ckpt_writer import small_run

MODERN = replace(CHECKED, needs_strategy=False, dialect=dialect_of(Version(1, 9)))
TAGS = {"16_4": 16, "17_4": 17, "18_4": 18}


@pytest.fixture
def directory(tmp_path: Path) -> JobDir:
    """Return a job's directory."""
    return JobDir(tmp_path / "0001-run")


@pytest.fixture
def shared(directory: JobDir) -> JobDir:
    """Let four data parallel ranks have saved twice, each a part."""
    let_share(directory.earlier_output(1), "16_4", "17_4")
    return directory


def let_share(tree: Path, *tags: str, differs: str = "") -> None:
    """Let data parallel ranks save without replicas; of the tag `differs` they have different scalars."""
    run = small_run(tree, (1,))
    run.layouts, run.ranks = {}, 4
    for tag in tags:
        run.tensors["epoch_num"] = np.array(TAGS[tag], "int64")
        redundancy.write(run, lambda name, group: len(name) % len(group), tag)
    if differs:
        held = redundancy.held(run, lambda name, group: len(name) % len(group))
        redundancy.write_shard(run, 2, held[2] | {"epoch_num": np.array(1, "int64")}, tag=differs)


def made(directory: JobDir, attempt: int) -> tuple[str, int] | None:
    """Return the tag of the united save that an attempt has, and its inode."""
    paths = [*directory.resume_from(attempt).glob("checkpoint/rank_*/*")]
    if not paths:
        return None
    (inode,) = {path.stat().st_ino for path in paths}
    assert len(paths) == 4
    assert not any(walk(path).lacks_replicas for path in paths)
    return paths[0].stem.partition("-6b_rank_")[2].partition("-")[2], inode


def test_what_ranks_have_shared_out_is_united(shared: JobDir) -> None:
    """Once: what is made is not made again for what fails after it, and the next attempt has links to it."""
    told: list[tuple[str, bool]] = []
    load = begin(
        JOB, shared, MODERN, tries=Tries(1), written=lambda tag, done, total: told.append((str(tag), done == total))
    )
    name = "glm-6b_rank_0-17_4.safetensors"
    assert load == Beginning(shared.resume_from(2) / "checkpoint", Format.SAFETENSORS, resume=name)
    assert told[-1] == ("17_4", True)
    assert TakenUp.read(shared.resume_record(2)) == TakenUp(resumes=1, tag="17_4", united=True)
    first = made(shared, 2)
    for attempt, united in ((2, True), (3, False)):
        assert begin(replace(JOB, attempt=attempt), shared, MODERN, tries=Tries(1)) is not None
        assert made(shared, attempt) == first
        assert TakenUp.read(shared.resume_record(attempt)).united is united


def test_what_was_laid_out_and_is_damaged_is_made_anew(shared: JobDir) -> None:
    """A file that is gone, or a record that was cut off."""
    begin(JOB, shared, MODERN, tries=Tries(1))
    next(shared.resume_from(2).glob("checkpoint/rank_1/*")).unlink()
    begin(JOB, shared, MODERN, tries=Tries(1))
    assert (made(shared, 2) or ("",))[0] == "17_4"
    shared.resume_record(2).write_text("{")
    begin(JOB, shared, MODERN, tries=Tries(1))
    assert TakenUp.read(shared.resume_record(2)).tag == "17_4"


def test_a_kill_while_shards_are_united_leaves_nothing_under_a_name(shared: JobDir) -> None:
    """The next daemon begins it anew, and what the killed one left is what it sweeps."""

    def kill(_tag: Tag, _done: int, _total: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        begin(JOB, shared, MODERN, tries=Tries(1), written=kill)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    attempt = shared.resume_from(2).parent
    assert [path.name for path in attempt.iterdir()] == [".resume_from.tmp"]
    assert [*temporaries_of(shared.path)] == [attempt / ".resume_from.tmp"]
    begin(JOB, shared, MODERN, tries=Tries(1))
    assert sorted(path.name for path in attempt.iterdir()) == ["resume.json", "resume_from"]
    assert (made(shared, 2) or ("",))[0] == "17_4"


def test_ranks_that_differ_cost_one_save(directory: JobDir) -> None:
    """It shows while their shards are read; the job says which save it goes on from, and why."""
    let_share(directory.earlier_output(1), "16_4", "17_4", differs="17_4")
    begin(JOB, directory, MODERN, tries=Tries(1))
    taken_up = TakenUp.read(directory.resume_record(2))
    assert (taken_up.tag, taken_up.united) == ("16_4", True)
    assert "the shards of 17_4 cannot be united: " in taken_up.passed_over
    assert "epoch_num" in taken_up.passed_over
    assert (made(directory, 2) or ("",))[0] == "16_4"
    decided = Resume(
        ResumePoint(directory.earlier_output(1), Tag.parse("17_4"), ()), "resumed from 17_4 after: it died"
    )
    told = as_begun(decided, taken_up, "it died")
    assert told.reason == f"resumed from 16_4 after: it died; {taken_up.passed_over}"
    assert as_begun(decided, TakenUp(resumes=1, tag="17_4"), "it died") is decided
    assert as_begun(decided, TakenUp(resumes=1, tag=None), "it died").reason == "started again after: it died"


def test_where_no_save_can_be_united_people_decide(directory: JobDir) -> None:
    """By itself glmd does not begin anew what has saved; `glmd retry` does, and says why."""
    let_share(directory.earlier_output(1), "17_4", differs="17_4")
    with pytest.raises(UnresumableError, match="the shards of 17_4 cannot be united"):
        begin(JOB, directory, MODERN, tries=Tries(1))
    assert begin(JOB, directory, MODERN, tries=FIRST) is None
    assert how_it_begins(JOB, directory).startswith("starts from the beginning: the shards of 17_4 cannot be united: ")
    assert not directory.resume_from(2).exists()


@pytest.mark.parametrize(("merged", "left"), (("last", False), ("17_4", True), ("16_4", False)))
def test_one_copy_is_kept_of_all_attempts(shared: JobDir, merged: str, *, left: bool) -> None:
    """The one that the newest attempt begins with; and that of the tag which is to be merged."""
    checked = replace(MODERN, section=GlmdSection(merge=MergeWish(tag=merged)))
    begin(JOB, shared, checked, tries=Tries(1))
    let_share(shared.earlier_output(2), "18_4")
    begin(replace(JOB, attempt=3), shared, checked, tries=Tries(2))
    assert (made(shared, 3) or ("",))[0] == "18_4"
    assert (made(shared, 2) is not None) is left


def test_what_takes_minutes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in a while and at the end: to people, to the job's log, and to whoever would take it for hung."""
    signs, told = list[int](), list[object]()

    class Guard(reach._Unguarded):
        def work(self) -> None:
            signs.append(1)

        def tell(self, value: object, /) -> None:
            told.append(value)

    monkeypatch.setattr(reach, "_guard", Guard())
    uniting = Uniting(job_log(tmp_path / "events.jsonl", job=1))
    for done in (1, 2, 3, 4_000_000_000):
        uniting(Tag.parse("17_4"), done, 4_000_000_000)
    assert told == [f"unites what the ranks saved as 17_4, to resume from it: {n}% of 4.0 GB" for n in (0, 100)]
    assert len(signs) == 2
    assert (tmp_path / "events.jsonl").read_text().count('"uniting_progress"') == 2
