"""What every launcher keeps: handlers.training.launchers.Launcher says it."""

from dataclasses import replace
from pathlib import Path

import pytest

from handlers.records.job_dir import JobDir
from handlers.records.job_plan import Environments, JobPlan, ProcessPlan, RankPlan, Role, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from handlers.training.launchers import Launch, Launcher
from handlers.training.plan import LAUNCHERS

SECRET = "hunter2"  # noqa: S105 - looked for where it must not be
GIVEN = {"HOME": "/home/glm", "HCCL_CONNECT_TIMEOUT": "600", "MY_TOKEN": SECRET}
MADE_BY_HAND = {"RANK_ID": "7", "RANK_SIZE": "99", "DEVICE_ID": "5", "RANK_TABLE_FILE": "/old.json"}


@pytest.fixture(params=LAUNCHERS.values(), ids=LAUNCHERS.keys())
def launcher(request: pytest.FixtureRequest) -> Launcher:
    """Return each launcher that a training can ask for."""
    found: Launcher = request.param
    return found


@pytest.fixture(params=((0,), (6, 4), tuple(range(8))), ids=("one device", "two, out of order", "a server"))
def launch(request: pytest.FixtureRequest, tmp_path: Path) -> Launch:
    """Return trainings of several sizes, whose environment holds a secret."""
    return Launch(
        job_dir=JobDir(tmp_path),
        devices=request.param,
        device_target="Ascend",
        rank_table=tmp_path / "hccl.json",
        python=Path("/opt/python"),
        command=("/opt/python", "run_mindformer.py", "--config=config.yaml"),
        environment=GIVEN,
    )


def ranks(processes: tuple[ProcessPlan, ...]) -> list[RankPlan]:
    """Return all that train, whichever process they are in."""
    return [rank for process in processes for rank in process.ranks]


def environment(process: ProcessPlan) -> dict[str, str]:
    """Return a planned process's environment, which it must have."""
    assert process.environment is not None
    return process.environment


def test_every_rank_is_planned_once(launcher: Launcher, launch: Launch) -> None:
    """From 0 on, each on its own device and with its own log, behind whatever they meet at."""
    processes = launcher(launch)
    assert ranks(processes) == [
        RankPlan(number=rank, device=device, log=launch.job_dir.rank_log(rank))
        for rank, device in enumerate(launch.devices)
    ]
    trains = [bool(process.ranks) for process in processes]
    assert trains == sorted(trains)
    assert trains == [process.role is not Role.SCHEDULER for process in processes]


def test_a_process_that_is_a_rank_knows_it_and_runs_the_command(launcher: Launcher, launch: Launch) -> None:
    """Whatever a run by hand has left in the environment."""
    processes = launcher(replace(launch, environment=GIVEN | MADE_BY_HAND))
    for process, rank in ((process, process.rank) for process in processes if process.rank is not None):
        assert (process.argv, process.log) == (launch.command, rank.log)
        assert {
            "RANK_ID": str(rank.number),
            "RANK_SIZE": str(len(launch.devices)),
            "DEVICE_ID": str(rank.device),
            "RANK_TABLE_FILE": str(launch.rank_table),
        }.items() <= environment(process).items()


def test_every_process_has_what_it_is_given(launcher: Launcher, launch: Launch) -> None:
    """Schedulers too: they load the same libraries."""
    assert all(GIVEN.items() <= environment(process).items() for process in launcher(launch))


def test_nobody_shares_a_file_or_directory(launcher: Launcher, launch: Launch) -> None:
    """MindSpore writes where it runs; and all of it is the job's output."""
    processes = launcher(launch)
    for places in ([process.log for process in processes], [process.directory for process in processes]):
        assert len(set(places)) == len(processes)
        assert all(place.is_relative_to(launch.job_dir.output) for place in places)


def test_nothing_is_made_and_the_same_comes_again(launcher: Launcher, launch: Launch) -> None:
    """It is laid out only: what is planned twice is started once. Ports are whatever is free."""
    first, second = (
        [replace(one, environment={**environment(one), "MS_SCHED_PORT": ""}) for one in launcher(launch)]
        for _ in range(2)
    )
    assert first == second
    assert list(launch.job_dir.path.iterdir()) == []


def test_no_secret_is_where_others_read_it(launcher: Launcher, launch: Launch) -> None:
    """It is in environment.json, for glmd alone, and neither in plan.json nor in what a log would show."""
    train = TrainPlan(processes=launcher(launch), limits=TimeLimits())
    merge = MergePlan(source=launch.job_dir.output, destination=launch.job_dir.merged)
    plan = JobPlan(job=1, name="run", devices=launch.devices, train=train, merge=merge)
    plan.publish(launch.job_dir.plan)
    assert SECRET not in launch.job_dir.plan.read_text() + repr(plan) + repr(launch)
    kept = launch.job_dir.path / "environment.json"
    plan.train.environments.publish(kept)  # type: ignore[union-attr] # it was given one
    assert kept.stat().st_mode & 0o077 == 0
    assert Environments.read(kept) == train.environments
    assert all(one["MY_TOKEN"] == SECRET for one in train.environments.processes)


def test_ranks_of_one_host_of_several_count_on(launcher: Launcher, launch: Launch, tmp_path: Path) -> None:
    """Their numbers begin behind those of the hosts before; each knows how many there are, and writes where all do."""
    tree = tmp_path / "attempts" / "1" / "output"
    processes = launcher(replace(launch, first=8, ranks_in_all=32, own_output=tree))
    assert [rank.number for rank in ranks(processes)] == list(range(8, 8 + len(launch.devices)))
    assert [rank.device for rank in ranks(processes)] == list(launch.devices)
    assert all(rank.log.is_relative_to(tree) for rank in ranks(processes))
    for process in processes:
        assert environment(process)["RANK_SIZE"] == "32"
        assert process.directory.is_relative_to(tree)
        if process.rank is not None:
            assert environment(process)["RANK_ID"] == str(process.rank.number)
