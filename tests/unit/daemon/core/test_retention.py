"""What would go of a real root: the rules over what store, links and directories say, and what no rule touches."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core import protection
from daemon.core.promotions import Kind, Promotion
from daemon.core.prunings import Pruning
from daemon.core.results import Result
from daemon.core.retention import plan
from daemon.core.root import Root
from daemon.core.settings import Settings, load_settings
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store, TransitionError
from handlers.merging.latest import lead
from handlers.retention.part import Part

NONE = {"last": 0, "daily": 0, "weekly": 0, "monthly": 0, "best": 0, "rollback": 0}
LATER = timedelta(days=30)


class Site:
    """A root with nights that are over, and what people dropped."""

    def __init__(self, path: Path) -> None:
        self.root = Root(path)
        self.root.create()
        self.store = Store.open(self.root.store)
        self.said: dict[str, object] = {"retention": {"keep": NONE, "shards": {"keep_last": 0}}}

    def settings(self) -> Settings:
        """Return the settings of now."""
        file = self.root.path / "glmd.yaml"
        file.write_text(json.dumps(self.said))
        return load_settings(file, self.root.path)

    def over(self, state: State = State.DONE, *, cycle: str = "sft", text: str = "", promote: bool = True) -> Job:
        """Add a job that is over, with shards; where it is done, with an output that is promoted."""
        number = self.store.highest() + 1
        name = f"{cycle}-20261101T{number:06}Z" if cycle else f"run{number}"
        source = Source.NIGHT if cycle else Source.DROP
        job = self.store.add(NewJob(f"c{number}", name, prefix="glm", source=source))
        directory = job.directory(self.root.path)
        ranks = directory.output / "checkpoint" / "rank_0"
        ranks.mkdir(parents=True)
        (ranks / "glm_rank_0-1_4.ckpt").write_bytes(b"x" * 100)
        directory.submitted.write_text(text)
        for way in (State.PREPARING, State.TRAINING, *([State.MERGING] if state is State.DONE else []), state):
            if way is State.DONE:
                directory.merged.mkdir()
                (directory.merged / "glm.ckpt").write_bytes(b"w" * 10)
                files = [{"name": "glm.ckpt", "size": 10, "mtime_ns": 1}]
                text = json.dumps({"format": 2, "prefix": "glm", "index": None, "files": files})
                (directory.merged / "manifest.json").write_text(text)
            if way is State.DONE and promote:
                self.store.promote(Promotion.of(job))
            job = self.store.move(job, way)
        self.store.keep_result(job, Result())
        return job

    def going(self, *, is_asked: bool = False, after: timedelta = LATER) -> set[tuple[int, Part]]:
        """Return what is to go so long after now."""
        found = plan(self.root, self.settings(), datetime.now(UTC) + after, is_asked=is_asked)
        return {(item.job.id, item.part) for item in found.going}

    def why(self, job: Job, part: Part) -> str:
        """Return why a part of a job stays."""
        found = plan(self.root, self.settings(), datetime.now(UTC) + LATER, is_asked=True)
        (item,) = (item for item in found.items if (item.job.id, item.part) == (job.id, part))
        assert not item.goes
        return item.why


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return an empty root."""
    monkeypatch.setattr("daemon.core.protection.SETTLED", 0.0)
    found = Site(tmp_path)
    yield found
    found.store.close()


def both(job: Job) -> set[tuple[int, Part]]:
    """Return shards and output of a job."""
    return {(job.id, Part.SHARDS), (job.id, Part.MERGED)}


def test_what_latest_leads_to_stays_and_all_else_may_go(site: Site) -> None:
    """With settings that keep nothing, one output a prefix is left."""
    jobs = [site.over() for _ in range(3)]
    assert site.going() == both(jobs[0]) | both(jobs[1]) | {(jobs[2].id, Part.SHARDS)}
    assert "latest/glm" in site.why(jobs[2], Part.MERGED)


def test_so_does_what_somebody_has_set_the_link_to(site: Site) -> None:
    """By hand, behind glmd's back: the link counts, and what the store says counts too."""
    old, new = site.over(), site.over()
    lead(site.root.latest / "glm", old.directory(site.root.path).merged)
    assert both(old) & site.going() == {(old.id, Part.SHARDS)}
    assert (new.id, Part.MERGED) not in site.going()


def test_what_a_rollback_could_go_back_to_stays(site: Site) -> None:
    """As many as `rollback` says, each once, however often it was promoted, and none that was taken back."""
    jobs = [site.over() for _ in range(4)]
    site.said = {"retention": {"keep": NONE | {"rollback": 2}, "shards": {"after_merge": "keep"}}}
    assert site.going() == {(jobs[0].id, Part.MERGED)}
    goal = site.store.promoted("glm")[1]
    site.store.roll_back(replace(goal, kind=Kind.ROLLBACK, by="eve"), goal)
    assert site.going() == set(), "the last one was taken back, and all before it could be wanted"


def test_each_cycles_own_base_stays(site: Site) -> None:
    """Two cycles of one prefix: the one that was promoted before goes on from its own."""
    mine, other = site.over(cycle="mine"), site.over(cycle="other")
    for cycle in ("mine", "other"):
        site.store.set_last_due(cycle, datetime.now(UTC))
    assert site.going() == {(mine.id, Part.SHARDS), (other.id, Part.SHARDS)}


@pytest.mark.parametrize("state", (State.QUEUED, State.TRAINING, State.FAILED))
def test_what_a_job_goes_on_from_stays(site: Site, state: State) -> None:
    """While it waits, while it runs, and while it may be retried."""
    base, _ = site.over(), site.over()
    job = site.store.add(NewJob("next", "next", prefix="glm"))
    for way in {State.QUEUED: (), State.TRAINING: (State.PREPARING, State.TRAINING)}.get(
        state, (State.PREPARING, State.TRAINING, State.FAILED)
    ):
        job = site.store.move(replace(job, continues=base.id), way)
    if state is State.QUEUED:
        directory = job.directory(site.root.path)
        directory.path.mkdir()
        directory.submitted.write_text(f"continue_from: {base.directory(site.root.path).merged}/glm.ckpt")
    found = site.going(after=timedelta(days=3))
    assert (base.id, Part.MERGED) not in found
    assert (base.id, Part.SHARDS) in found


def waiting(site: Site, text: str) -> None:
    """Let a file wait in the inbox."""
    (site.root.inbox / "next.yaml").write_text(text)


def claimed(site: Site, text: str) -> None:
    """Let one be taken at the moment."""
    claim = site.root.claims / "token"
    claim.mkdir()
    (claim / "next.yaml").write_text(text)


def a_template(site: Site, text: str) -> None:
    """Let a nightly cycle's template say it."""
    template = site.root.path / "template.yaml"
    template.write_text(text)
    cycle = {"name": "sft", "cron": "0 2 * * *", "template": str(template)}
    site.said = {**site.said, "nightly": [cycle]}


def an_evaluation(site: Site, text: str) -> None:
    """Let the settings say it."""
    site.said = {**site.said, "evaluations": {"bleu": {"command": ["/bin/true", text]}}}


def a_watched_tree(site: Site, text: str) -> None:
    """Let it be a tree that is watched."""
    site.said = {**site.said, "watch": [{"path": text.partition(" ")[2] or text}]}


WAYS = (waiting, claimed, a_template, an_evaluation)


@pytest.mark.parametrize("say", WAYS)
def test_whatever_names_an_output_keeps_it(site: Site, say: object) -> None:
    """A file that waits, one being taken, a template, the settings."""
    base, _ = site.over(), site.over()
    assert callable(say)
    say(site, f"{base.directory(site.root.path).merged}/glm.ckpt")
    assert both(base) & site.going() == {(base.id, Part.SHARDS)}


def test_a_file_that_was_dropped_just_now_is_not_opened(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look as if it were being written, and be taken a minute later."""
    monkeypatch.setattr("daemon.core.protection.SETTLED", 60.0)
    site.over()
    waiting(site, "{}")
    claimed(site, "{}")
    opened: list[Path] = []
    read = protection.read_bounded

    def noted(path: Path, most: int) -> bytes:
        opened.append(path)
        return read(path, most)

    monkeypatch.setattr(protection, "read_bounded", noted)
    site.going()
    assert opened
    assert site.root.inbox not in {path.parent for path in opened}


def test_a_watched_tree_and_its_shards_stay(site: Site) -> None:
    """Whoever watches a job's output tree wants its shards."""
    base, _ = site.over(), site.over()
    a_watched_tree(site, str(base.directory(site.root.path).output))
    assert both(base) & site.going() == {(base.id, Part.MERGED)}


def test_links_are_followed(site: Site, tmp_path: Path) -> None:
    """A path that leads there by a link of somebody's own keeps it as well."""
    base, _ = site.over(), site.over()
    (tmp_path / "mine").symlink_to(base.directory(site.root.path).path)
    waiting(site, f"load_checkpoint: '{tmp_path}/mine/output/checkpoint'")
    assert both(base) & site.going() == {(base.id, Part.MERGED)}
    assert "next.yaml" in site.why(base, Part.SHARDS)


def test_by_itself_glmd_prunes_no_dropped_job_and_none_of_before(site: Site) -> None:
    """An upgrade deletes nothing, nor does it ever what people dropped; asked for, both go."""
    old, dropped, _ = site.over(), site.over(cycle=""), site.over()
    site.store.number_above(site.store.highest() + 5)
    night, newest = site.over(), site.over()
    assert site.going() == both(night) | {(newest.id, Part.SHARDS)}
    assert both(old) | both(dropped) <= site.going(is_asked=True)


def test_nothing_goes_that_is_younger_than_an_hour(site: Site) -> None:
    """Be it the job's end, or a file that was touched since."""
    jobs = [site.over(), site.over()]
    assert site.going(after=timedelta(minutes=59)) == set()
    assert site.going(after=timedelta(minutes=61)) == both(jobs[0]) | {(jobs[1].id, Part.SHARDS)}
    touched = jobs[0].directory(site.root.path).output / "checkpoint" / "rank_0" / "glm_rank_0-1_4.ckpt"
    later = (datetime.now(UTC) + LATER).timestamp()
    os.utime(touched, (later, later))
    assert (jobs[0].id, Part.SHARDS) not in site.going()


def test_nothing_goes_that_was_not_measured(site: Site) -> None:
    """What a night took tells what the next one will need."""
    job, _ = site.over(), site.over()
    site.store.move(site.store.add(NewJob("c9", "failed")), State.FAILED)
    site.store._connection.execute("DELETE FROM results WHERE job = ?", (job.id,))
    assert not both(job) & site.going()


def test_failed_jobs_keep_their_shards_for_a_time(site: Site) -> None:
    """Fourteen days, and the newest of them for ever."""
    failed = [site.over(State.FAILED), site.over(State.CANCELLED)]
    assert site.going(after=timedelta(days=13)) == set()
    assert site.going(after=timedelta(days=15)) == {(failed[0].id, Part.SHARDS)}


def test_what_was_done_and_not_promoted_is_kept_as_long(site: Site) -> None:
    """An output that nobody meant to promote is a good one like others."""
    jobs = [site.over(promote=False) for _ in range(4)]
    site.said = {"retention": {"keep": NONE | {"last": 2}}}
    assert site.going(after=timedelta(days=13)) == {(job.id, Part.MERGED) for job in jobs[:2]}


def test_a_job_that_is_retried_meanwhile_is_not_pruned(site: Site) -> None:
    """What was planned counts only while the job is where it was."""
    job = site.over(State.FAILED)
    site.store.move(job, State.QUEUED, attempt=2)
    with pytest.raises(TransitionError):
        site.store.begin_pruning(job, Pruning(job.id, Part.SHARDS, 1, "old", datetime.now(UTC)))
    assert site.store.unended_prunings() == ()


def test_what_was_taken_back_after_it_was_gone_back_to_is_not_promoted(site: Site) -> None:
    """Two rollbacks on end: the second one takes back what the first one led to, and its shards are not done with."""
    first, second, third = (site.over() for _ in range(3))
    for _ in range(2):
        goal = site.store.promoted("glm")[1]
        site.store.roll_back(replace(goal, kind=Kind.ROLLBACK, by="eve"), goal)
    site.said = {"retention": {"keep": NONE, "shards": {"keep_last": 0, "failed": "off"}}}
    assert site.going() == {(first.id, Part.SHARDS)}
    assert "shards.failed is off" in site.why(second, Part.SHARDS)
    assert (third.id, Part.SHARDS) not in site.going()
