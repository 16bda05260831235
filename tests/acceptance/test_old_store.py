"""An older store is put back, or a new one begun: no job is lost whose directory is there."""

import signal
from pathlib import Path

import pytest

from daemon.core.read_store import ReadStore
from daemon.core.states import State
from tests.acceptance.house import CONFIG, House
from tests.acceptance.test_living import agree, copy_store, put_back


def drop(house: House, name: str, devices: str, priority: int = 0) -> None:
    """Drop a file, and wait until it is a job."""
    text = f"{CONFIG.format(data=house.data, devices=devices)}  priority: {priority}\n# {name}\n"
    house.drop(f"{name}.yaml", text=text)
    house.until_taken(f"{name}.yaml")


def history(house: House, number: int) -> list[tuple[State, int]]:
    """Return through which states and attempts a job went."""
    with ReadStore.open(house.root / "glmd.db") as store:
        return [(step.state, step.attempt) for step in store.history(number)]


@pytest.mark.parametrize("when", ("before all", "before the second one failed", "never"))
def test_jobs_that_the_store_does_not_know_are_where_they_were(house: House, tmp_path: Path, when: str) -> None:
    """What is over stays so, what waited waits with its priority, and what trains is followed to its end."""
    copy = tmp_path / "copy.db"
    house.start()
    copy_store(house, copy)
    drop(house, "done", "[0,2)")
    house.until(State.DONE)
    house.environment(STANDIN_GATE=str(house.gate))
    house.stop()
    house.start()
    drop(house, "failed", "[0,2)")
    house.until(State.TRAINING, 2)
    if when == "before the second one failed":
        copy_store(house, copy)
    house.shim(2).signal(signal.SIGKILL)
    house.until(State.FAILED, 2)
    drop(house, "trains", "[0,2)")
    house.until(State.TRAINING, 3)
    house.shim(3)
    drop(house, "waits", "[0,2)", priority=3)
    drop(house, "cancelled", "[0,2)")
    assert house.run("cancel", "5").returncode == 0
    before = house.jobs()
    histories = {number: history(house, number) for number in (1, 2, 4, 5)}
    if when == "never":
        house.stop(signal.SIGKILL)
        for path in house.root.glob("glmd.db*"):
            path.unlink()
        house.start()
    else:
        put_back(house, copy)
    house.until(State.FAILED, 2)
    house.until(State.TRAINING, 3)
    for job in before:
        again = house.job(job.id)
        assert (again.name, again.state, again.attempt, again.devices) == (job.name, job.state, 1, job.devices)
        assert again.priority == (job.priority if job.id != 3 else 0)
        assert job.reason in again.reason
        assert "recovered" in again.reason or when == "before the second one failed"
    assert {number: history(house, number) for number in histories} == histories
    house.gate.touch()
    house.until(State.DONE, 3)
    house.until(State.DONE, 4)
    drop(house, "new", "[0,2)")
    assert house.until(State.DONE, 6).name == "new"
    agree(house)
