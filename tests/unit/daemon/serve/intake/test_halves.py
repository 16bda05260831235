"""Two dropped files of one name within a minute may be halves of one: who looks at either learns of the other."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.names import reason_file
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from tests.faults.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a root with a service over it."""
    with World(tmp_path, monkeypatch) as world:
        yield world


def drop(world: World, name: str, text: str | None = None) -> Job:
    """Drop a file, wait until nothing is left to do, and return what it has become."""
    wanted = len(all_jobs(world)) + 1
    world.drop(name, text)
    world.turn_until(lambda: world.are_over(wanted), f"{name} to be decided")
    return all_jobs(world)[-1]


def all_jobs(world: World) -> tuple[Job, ...]:
    """Return every row of the store."""
    with ReadStore.open(world.root.store) as store:
        return store.jobs()


def reason(world: World, name: str) -> str:
    """Return what lies beside a rejected file."""
    return reason_file(world.root.rejected / name).read_text()


def age(world: World, name: str, seconds: float) -> None:
    """Let a rejection be so long ago."""
    path = reason_file(world.root.rejected / name)
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_both_halves_rejected(world: World) -> None:
    """Each reason names the other file and the setting, on disk and, for the second, in the store."""
    drop(world, "run.yaml", "seed: [")
    second = drop(world, "run.yaml", "0]\n  nonsense")
    for text in (reason(world, "run.yaml.2"), second.reason):
        assert "rejected/run.yaml" in text
        assert "inbox.settle" in text
    first = reason(world, "run.yaml")
    assert first.startswith("run.yaml:")
    assert "rejected/run.yaml.2" in first
    assert "inbox.settle" in first


@pytest.mark.parametrize("name", ("run.yaml", "run (1).yaml", "微调.yaml", "no_ending", "a\nb.yaml"))
def test_the_first_half_became_a_job(world: World, name: str) -> None:
    """The dangerous case: the rest's reason names the job that runs with the first half, whatever the file's name."""
    job = drop(world, name)
    rest = drop(world, name, "rest: [")
    assert rest.state is State.REJECTED
    for text in (reason(world, name), rest.reason):
        assert f"job {job.id} " in text
        assert "inbox.settle" in text


def test_the_second_is_taken(world: World) -> None:
    """Its job's log has the warning that a file of its name was rejected just before."""
    drop(world, "run.yaml", "seed: [")
    job = drop(world, "run.yaml")
    events = job.directory(world.root.path).events.read_text()
    assert "rejected/run.yaml" in events
    assert "inbox.settle" in events


@pytest.mark.parametrize("name", ("other.yaml", "run.yml.bak", "Run.yaml"))
def test_other_names_are_others(world: World, name: str) -> None:
    """Only the same name is a hint."""
    drop(world, "run.yaml", "seed: [")
    assert "inbox.settle" not in drop(world, name, "seed: [").reason
    assert "inbox.settle" not in reason(world, "run.yaml")


def test_names_that_make_the_same_job_name_are_others(world: World) -> None:
    """Jobs of two Chinese names are both `unnamed`, which is no hint."""
    drop(world, "微调.yaml")
    assert "inbox.settle" not in drop(world, "训练.yaml", "seed: [").reason


def test_a_jobs_log_that_is_cut_off(world: World) -> None:
    """Without knowing under which name the job's file was dropped, nothing is claimed; the second is judged as ever."""
    job = drop(world, "run.yaml")
    job.directory(world.root.path).events.write_bytes(b'{"path": "run.ya')
    rest = drop(world, "run.yaml", "rest: [")
    assert (rest.state, "inbox.settle" in rest.reason) == (State.REJECTED, False)


def test_a_minute_later_it_is_another_file(world: World) -> None:
    """What was rejected longer ago was mended and dropped anew."""
    drop(world, "run.yaml", "seed: [")
    age(world, "run.yaml", 61.0)
    assert "inbox.settle" not in drop(world, "run.yaml", "seed: {").reason
    assert "inbox.settle" not in reason(world, "run.yaml")


def test_a_restart_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is on disk: another daemon knows as much."""
    world = World(tmp_path, monkeypatch)
    with world:
        job = drop(world, "run.yaml")
        drop(world, "bad.yaml", "seed: [")
    with world:
        assert f"job {job.id} " in drop(world, "run.yaml", "rest: [").reason
        assert "rejected/bad.yaml" in drop(world, "bad.yaml", "rest: [").reason
        assert "rejected/bad.yaml.2" in reason(world, "bad.yaml")


def test_a_claim_that_waited_for_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that counts is when the second was taken out of the inbox, not when it was judged."""
    world = World(tmp_path, monkeypatch)
    with world:
        drop(world, "run.yaml", "seed: [")
        age(world, "run.yaml", 3600.0)
        claim = world.root.claims / "0123456789abcdef"
        claim.mkdir()
        (claim / "run.yaml").write_text("rest: [")
        then = reason_file(world.root.rejected / "run.yaml").stat().st_mtime + 5.0
        os.utime(claim, (then, then))
    with world:
        world.turn_until(lambda: world.are_over(2), "the claim to be finished")
        assert "inbox.settle" in reason(world, "run.yaml.2")


def test_three_parts(world: World) -> None:
    """The third names the second and the job of the first."""
    job = drop(world, "run.yaml")
    drop(world, "run.yaml", "rest: [")
    third = drop(world, "run.yaml", "more: [").reason
    assert f"job {job.id} " in third
    assert "rejected/run.yaml" in third


def test_a_reason_that_somebody_removed(world: World) -> None:
    """Or replaced by a link: the second is rejected as ever, and nothing is followed."""
    drop(world, "run.yaml", "seed: [")
    reason_file(world.root.rejected / "run.yaml").unlink()
    assert drop(world, "run.yaml", "rest: [").state is State.REJECTED
    linked = world.root.path / "elsewhere"
    linked.write_text("as it was")
    drop(world, "two.yaml", "seed: [")
    reason_file(world.root.rejected / "two.yaml").unlink()
    reason_file(world.root.rejected / "two.yaml").symlink_to(linked)
    assert drop(world, "two.yaml", "rest: [").state is State.REJECTED
    assert linked.read_text() == "as it was"


def test_the_code_stays_the_last_line_of_a_reason(world: World) -> None:
    """Whatever is added to it later, once."""
    drop(world, "run.yaml", "seed: [")
    assert reason(world, "run.yaml").splitlines()[-1] == "code: yaml.syntax"
    drop(world, "run.yaml", "0]\n  nonsense")
    for name, code in (("run.yaml", "code: yaml.syntax"), ("run.yaml.2", "code: yaml.not-a-mapping")):
        lines = reason(world, name).splitlines()
        assert [line for line in lines if line.startswith("code: ")] == [code]
        assert lines[-1] == code
        assert "inbox.settle" in lines[-2]
