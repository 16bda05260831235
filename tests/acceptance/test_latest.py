"""Which of several jobs the link `latest` leads to, as their users meet it."""

import json
import shutil
import signal
import sqlite3
from contextlib import closing

from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from handlers.codes import Code
from handlers.merging.latest import lead
from handlers.records.job_dir import Step
from tests.acceptance.house import CONFIG, House

CYCLE = "glm"
"""A nightly cycle; its runs are known by their files' names."""


def night(house: House, number: int, *, wish: str = "latest") -> Job:
    """Let the cycle's run of a night be done, as job `number`."""
    run(house, f"{CYCLE}-202611{number:02}T020000Z", number, wish)
    return house.job(number)


def run(house: House, name: str, number: int, wish: str = "none") -> None:
    """Let a file be done, as job `number`, that goes on from what it wishes for."""
    text = CONFIG.format(data=house.data, devices="[0,2)") + f"  continue_from: {wish}\n"
    house.drop(f"{name}.yaml", text=f"{text}# {name}\n")
    house.until_taken(name)
    house.until(State.DONE, number)


def began(house: House, number: int) -> str:
    """Return the reason with which a job's training began."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return next(step.reason for step in store.history(number) if step.state is State.TRAINING)


def leads_to(house: House) -> int:
    """Return the job that latest leads to."""
    return int((house.root / "latest" / "glm-6b").resolve().parent.name.partition("-")[0])


def test_a_training_that_began_before_does_not_take_latest_back(house: House) -> None:
    """It is merged last, and its job says why `latest` stays; a third one takes it."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop("old.yaml")
    house.until(State.TRAINING)
    house.wait(house.directory().step(1, Step.TRAIN).shim.exists, "the first training")
    house.stop()
    house.environment()
    house.start().drop("new.yaml", devices="[2,4)")
    house.until(State.DONE, 2)
    latest = house.root / "latest" / "glm-6b"
    assert latest.resolve() == house.directory(2).merged
    house.gate.touch()
    old = house.until(State.DONE)
    assert old.reason.startswith("not promoted: latest/glm-6b stays at job 2, whose training began later; tag ")
    assert old.code == Code.PROMOTION_NOT_NEWEST
    assert latest.resolve() == house.directory(2).merged
    events = map(json.loads, house.directory().events.read_text().splitlines())
    assert any(event["event"] == "latest_kept" for event in events)
    house.drop("newest.yaml")
    house.until(State.DONE, 3)
    assert latest.resolve() == house.directory(3).merged


def test_an_experiment_does_not_move_the_base_of_the_nights(house: House) -> None:
    """A cycle goes on from what it has promoted, after a rollback, too; whoever names the prefix from what is there."""
    house.start()
    assert night(house, 1).continues is None
    run(house, "experiment", 2)
    assert leads_to(house) == 2
    assert night(house, 3).continues == 1
    assert began(house, 3) == f"continues from job 1 (what nightly cycle {CYCLE} has promoted last)"
    plan = json.loads(house.directory(3).plan.read_text())
    weights = house.directory(1).merged / "filtered_transformed.ckpt"
    assert f"--load_checkpoint={weights}" in plan["train"]["processes"][0]["argv"]
    told = house.run("rollback", "glm-6b", "--reason", "it answers in rhymes")
    assert (told.returncode, told.stdout) == (0, "latest/glm-6b leads to job 2 now instead of job 3\n")
    assert night(house, 4).continues == 1, "what was taken back is no base"
    assert leads_to(house) == 4
    run(house, "another", 5, "glm-6b")
    assert began(house, 5) == "continues from job 4 (latest/glm-6b)"
    status = json.loads(house.run("status", "5", "--json").stdout)
    assert (status["continues"], status["cycle"]) == (4, "")
    assert "job 4" in house.run("status", "5").stdout
    rows = json.loads(house.run("promotions", "glm-6b", "--json").stdout)["promotions"]
    assert [(row["kind"], row["job"], row["cycle"]) for row in rows] == [
        ("promotion", 1, CYCLE), ("promotion", 2, ""), ("promotion", 3, CYCLE), ("rollback", 2, ""),
        ("promotion", 4, CYCLE), ("promotion", 5, ""),
    ]  # fmt: skip
    assert (rows[2]["undone"], rows[3]["reason"], rows[5]["is_latest"]) == (rows[3]["id"], "it answers in rhymes", True)
    assert "rollback" in house.run("promotions").stdout
    assert house.run("doctor", "--state").returncode == 0


def test_a_daemon_killed_before_the_link_moves_it_when_it_starts(house: House) -> None:
    """What the store says counts; and what is asked for is refused with its code, or done by force."""
    house.start()
    night(house, 1)
    night(house, 2)
    house.stop(signal.SIGKILL)
    with closing(sqlite3.connect(house.root / "glmd.db", isolation_level=None)) as store:
        store.execute("UPDATE promotions SET followed = 0 WHERE job = 2")
    lead(house.root / "latest" / "glm-6b", house.directory(1).merged)
    assert "a restart of glmd fixes it" in house.run("doctor", "--state").stdout
    house.start()
    house.wait(lambda: leads_to(house) == 2, "the link to follow")
    older = house.run("promote", "1")
    assert older.returncode == 3
    assert Code.PROMOTION_NOT_NEWEST in older.stderr
    forced = house.run("promote", "1", "--force")
    assert (forced.returncode, forced.stdout) == (0, "latest/glm-6b leads to job 1 now instead of job 2\n")
    again = house.run("promote", "1")
    assert (again.returncode, again.stdout) == (0, "latest/glm-6b leads to job 1 already\n")
    assert house.run("rollback", "llama").returncode == 3


def test_a_night_whose_base_is_gone_does_not_begin_from_nothing(house: House) -> None:
    """It is rejected, with what to do; the audit says so before."""
    house.start()
    night(house, 1)
    shutil.rmtree(house.directory(1).merged)
    name = f"{CYCLE}-20261102T020000Z"
    text = CONFIG.format(data=house.data, devices="[0,2)") + "  continue_from: latest\n"
    house.drop(f"{name}.yaml", text=text)
    house.until(State.REJECTED, 2)
    assert Code.PROMOTION_GONE in house.job(2).code
    assert "glmd rollback glm-6b" in house.job(2).reason
