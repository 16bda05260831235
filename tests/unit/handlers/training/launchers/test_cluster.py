"""MindSpore's dynamic cluster: the environment that msrun gives, and a scheduler that has its port or says so."""

import os
import re
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.records.job_dir import JobDir
from handlers.records.train_plan import ProcessPlan
from handlers.training.binding import Binding
from handlers.training.launchers import Launch
from handlers.training.launchers.cluster import HOST, cluster, free_port
from handlers.training.ways import DeviceTarget

MINDSPORE = """
import os, socket
GRAPH_MODE = "graph"
def set_context(**context): print(sorted(context.items()), flush=True)
"""
COMMUNICATION = """
import os, socket
def init():
    with socket.socket() as listener:
        listener.bind((os.environ["MS_SCHED_HOST"], int(os.environ["MS_SCHED_PORT"])))
        listener.listen()
    print("initialized", flush=True)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Return a training of two NPUs that are not the first of their host."""
    return Launch(
        job_dir=JobDir(tmp_path),
        devices=(2, 3),
        device_target="Ascend",
        rank_table=None,
        python=Path(sys.executable),
        command=(sys.executable, "run_mindformer.py"),
        environment={"HOME": "/home/glm"},
    )


def environments(launch: Launch) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return what the scheduler gets and what the ranks get; of their ports, only that they are the same."""
    scheduler, *ranks = cluster(launch)
    assert re.fullmatch(r"[1-9]\d{3,4}", (scheduler.environment or {})["MS_SCHED_PORT"])
    port = {(process.environment or {})["MS_SCHED_PORT"] for process in (scheduler, *ranks)}
    assert len(port) == 1
    known = [{**(process.environment or {}), "MS_SCHED_PORT": "PORT"} for process in (scheduler, *ranks)]
    return known[0], known[1:]


SHARED = {
    "HOME": "/home/glm",
    "MS_WORKER_NUM": "2",
    "MS_SCHED_HOST": "127.0.0.1",
    "MS_SCHED_PORT": "PORT",
    "MS_TOPO_TIMEOUT": "600",
    "RANK_SIZE": "2",
}


def test_each_gets_what_msrun_gives_it_and_nothing_else(launch: Launch) -> None:
    """As seen in the environments of msrun's processes; DEVICE_ID is the device that the rank has."""
    scheduler, ranks = environments(launch)
    assert scheduler == {**SHARED, "MS_ROLE": "MS_SCHED", "RANK_ID": "0"}
    assert ranks == [
        {**SHARED, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": rank, "RANK_ID": rank, "DEVICE_ID": device}
        for rank, device in (("0", "2"), ("1", "3"))
    ]


def test_on_a_cpu_each_has_one_thread(launch: Launch) -> None:
    """The ranks share the host's cores. Nothing else differs."""
    npus, cpus = environments(launch), environments(replace(launch, device_target="CPU"))
    one_thread = {"OMP_NUM_THREADS": "1"}
    assert cpus == (npus[0] | one_thread, [rank | one_thread for rank in npus[1]])


def test_ranks_get_a_rank_table_beside_it_where_there_is_one(launch: Launch) -> None:
    """As by msrun's --rank_table_file; what the settings name stays where glmd makes none."""
    _, ranks = environments(replace(launch, rank_table=Path("/jobs/hccl.json")))
    assert {rank["RANK_TABLE_FILE"] for rank in ranks} == {"/jobs/hccl.json"}
    _, ranks = environments(replace(launch, environment={"RANK_TABLE_FILE": "/site/hccl.json"}))
    assert {rank["RANK_TABLE_FILE"] for rank in ranks} == {"/site/hccl.json"}


def test_each_process_is_bound_to_its_cpus(launch: Launch) -> None:
    """By its device's number; ranks whose CPUs glmd chose are told them, as msrun's are."""
    binding = Binding({"device3": "4-5", "scheduler": "6"}, is_shared_out=True)
    plain, bound = cluster(launch), cluster(replace(launch, binding=binding))
    assert [after.argv[: -len(before.argv)] for before, after in zip(plain, bound, strict=True)] == [
        ("taskset", "-c", "6"),
        (),
        ("taskset", "-c", "4-5"),
    ]
    assert [(each.environment or {}).get("MSRUN_CPU_LIST") for each in bound] == [None, None, "[4, 5]"]


def test_the_settings_say_how_long_ranks_may_take_to_come(launch: Launch) -> None:
    """A large host may need longer than msrun's ten minutes."""
    scheduler, ranks = environments(replace(launch, environment={"MS_TOPO_TIMEOUT": "7200"}))
    assert {each["MS_TOPO_TIMEOUT"] for each in (scheduler, *ranks)} == {"7200"}


def test_a_port_that_is_held_is_not_chosen() -> None:
    """Held without listening, as a scheduler does that loads MindSpore."""
    with socket.socket() as held, socket.socket() as listener:
        held.bind((HOST, 0))
        taken = held.getsockname()[1]
        assert taken not in {free_port() for _ in range(100)}
        listener.bind((HOST, free_port()))
        listener.listen()


def schedule(scheduler: ProcessPlan, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the scheduler with a MindSpore whose init() listens at the port and returns."""
    package = path / "mindspore"
    package.mkdir()
    (package / "__init__.py").write_text(textwrap.dedent(MINDSPORE))
    (package / "communication.py").write_text(textwrap.dedent(COMMUNICATION))
    given = {**os.environ, **(scheduler.environment or {}), "PYTHONPATH": str(path), **environment}
    return subprocess.run(scheduler.argv, env=given, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("target", "told"), (("Ascend", ""), ("CPU", "('device_target', 'CPU'), ")))
def test_the_scheduler_calls_init_which_gets_the_port(
    launch: Launch, tmp_path: Path, target: DeviceTarget, told: str
) -> None:
    """It held the port until then."""
    scheduler = cluster(replace(launch, device_target=target))[0]
    done = schedule(scheduler, tmp_path)
    assert (done.returncode, done.stdout) == (0, f"[{told}('mode', 'graph')]\ninitialized\n"), done.stderr


def test_a_scheduler_whose_port_is_taken_says_so_before_it_loads_anything(launch: Launch, tmp_path: Path) -> None:
    """Else the ranks would call a stranger until MS_TOPO_TIMEOUT."""
    scheduler = cluster(launch)[0]
    with socket.socket() as stranger:
        stranger.bind((HOST, 0))
        port = str(stranger.getsockname()[1])
        done = schedule(scheduler, tmp_path, MS_SCHED_PORT=port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"the port {port} of 127.0.0.1, at which the ranks were to meet, cannot be had: Address already in use\n"
    )
