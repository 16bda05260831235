"""The rank table of two nodes of a real Slurm, made of what each says of itself."""

import json
import shutil
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.nodes import Start
from handlers.records.step_exit import StepExit
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.house import section
from tests.slurm.test_training import directory, drop, exit_of

pytestmark = pytest.mark.slurm

SCONTROL = """#!/bin/sh
case "$1 $2 $3 $4" in
"-o show node n1") echo "NodeName=n1 NodeAddr=10.0.0.9";;
"-o show node n2") echo "NodeName=n2 NodeAddr=10.0.0.10";;
*) exec {real} "$@";;
esac
"""
"""It says other addresses than those of this cluster: no rank table may have a loopback address."""
HCCN_TOOL = """#!/bin/sh
case $SLURM_JOB_NAME-$SLURMD_NODENAME in
*-0002-1-train-n2) exit 1;;
*-n1) echo ipaddr:192.168.1.10$2;;
*) echo ipaddr:192.168.2.10$2;;
esac
"""
"""It knows no address on n2, for the first attempt of the second job."""


@pytest.fixture
def with_tables(house: House, cluster: Cluster, tmp_path: Path) -> House:
    """Return a house whose nodes have addresses that a rank table may have."""
    tools = tmp_path / "tools"
    tools.mkdir()
    real = shutil.which("scontrol", path=cluster.environment["PATH"])
    for name, text in (("scontrol", SCONTROL.format(real=real)), ("hccn_tool", HCCN_TOOL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    section(house)["prologue"] = f"PATH={tools}:$PATH"
    house.settings["rank_table"] = {"hccn_tool": str(tools / "hccn_tool"), "hccn_conf": "/nowhere"}
    return house


def test_ranks_are_numbered_by_the_table_and_a_node_without_addresses_is_unfit(with_tables: House) -> None:
    """Servers are in the order of their addresses as text: n2, 10.0.0.10, comes before n1, 10.0.0.9."""
    house = with_tables
    house.start()
    drop(house, more="  launcher: rank_table\n")
    house.until_taken("run")
    house.wait(directory(house).owner.exists, "the first to have its devices")
    drop(house, "second", "  launcher: rank_table\n  priority: -1\n")
    house.until(State.DONE)
    assert {(one.rank, one.device, one.node) for one in exit_of(house).processes} == {
        (0, 0, "n2"), (1, 1, "n2"), (2, 0, "n1"), (3, 1, "n1"),
    }  # fmt: skip
    start = Start.now(directory(house).start)
    assert start is not None
    assert start.table is not None
    servers = json.loads(start.table.read_text())["server_list"]
    assert [server["server_id"] for server in servers] == ["10.0.0.10", "10.0.0.9"]
    house.until(State.DONE, 2)  # there is no other node, and in its second attempt it has addresses
    refused = StepExit.read(house.directory(2).step(1, Step.TRAIN).exit)
    assert (refused.code, refused.nodes_unfit) == ("rank-table.no-device-address", ("n2",))
    assert "n2 is unfit: no address for 2 of 2 devices" in refused.reason
    assert refused.processes == ()
