"""Ranks that meet at a scheduler: what becomes of a job when they do not, or lose it. MindSpore is a stand-in."""

import json
import os
import signal

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.step_exit import StepExit
from tests.acceptance.house import CONFIG, House


def drop(house: House, *, launcher: str = "cluster") -> None:
    """Drop a file that begins once only, with two ranks."""
    text = CONFIG.format(data=house.data, devices="[0,2)") + f"  launcher: {launcher}\n  resume: {{attempts: 0}}\n"
    house.drop(text=text)


def end_of(house: House) -> StepExit:
    """Return how the training ended."""
    return StepExit.read(house.directory().step(1, Step.TRAIN).exit)


def started(house: House) -> list[dict[str, object]]:
    """Return the job's processes that were started, in order, as its events tell of them."""
    events = [json.loads(line) for line in house.directory().events.read_text().splitlines()]
    return [event for event in events if event["event"] == "process_started"]


def logs(house: House) -> list[str]:
    """Return what the ranks have printed so far."""
    paths = [house.directory().rank_log(rank) for rank in (0, 1)]
    return [path.read_text() if path.exists() else "" for path in paths]


def environments(house: House) -> list[dict[str, str]]:
    """Return those of the scheduler and the ranks."""
    kept = house.directory().step(1, Step.TRAIN).environment
    found: list[dict[str, str]] = json.loads(kept.read_text())["processes"]
    return found


def test_ranks_meet_at_a_scheduler_and_need_no_rank_table(house: House) -> None:
    """Nor the addresses of the devices: nothing of it is made. All are gone with the job."""
    house.settings["rank_table"] = {"hccn_tool": "/nowhere", "hccn_conf": "/nowhere"}
    house.start()
    drop(house, launcher="msrun")
    house.until(State.DONE)
    assert [process.exit_code for process in end_of(house).processes] == [0, 0, 0]
    assert list(house.directory().path.glob("hccl_*")) == []
    assert not any("RANK_TABLE_FILE" in each for each in environments(house))
    assert house.processes() == []


def test_ranks_get_a_rank_table_beside_it_where_the_settings_ask_for_it(house: House) -> None:
    """It is made as for ranks that meet by it; the scheduler has no use for it."""
    house.training["with_rank_table"] = True
    house.start()
    drop(house)
    house.until(State.DONE)
    table = house.directory().path / "hccl_2p_01_192.168.1.196.json"
    assert table.is_file()
    assert [each.get("RANK_TABLE_FILE") for each in environments(house)] == [None, str(table), str(table)]


def test_a_rank_that_never_reaches_the_scheduler_is_named(house: House) -> None:
    """The job fails with its code, as soon as the scheduler gives up, and nothing is left."""
    house.environment(STANDIN_ABSENT="1", MS_TOPO_TIMEOUT="2")
    house.start()
    drop(house)
    job = house.until(State.FAILED)
    end = end_of(house)
    assert end.code == "rank.scheduler-not-reached"
    assert job.reason.startswith("rank 1 on device 1 never reached the scheduler: loads a package")
    assert "raise MS_TOPO_TIMEOUT in `training.environment`" in job.reason
    assert house.processes() == []


def test_a_scheduler_that_is_killed_ends_the_training(house: House) -> None:
    """It is named; the ranks, which would notice nothing for half a minute, are ended at once."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start()
    drop(house)
    house.until(State.TRAINING)
    house.wait(lambda: all("Epoch" in each for each in logs(house)), "the ranks to have met")
    scheduler = started(house)[0]
    assert scheduler["role"] == "scheduler"
    os.kill(int(str(scheduler["pid"])), signal.SIGKILL)
    job = house.until(State.FAILED)
    assert end_of(house).code == "rank.SIGKILL"
    assert job.reason.startswith("the scheduler was killed by SIGKILL first (")
    assert house.processes() == []
