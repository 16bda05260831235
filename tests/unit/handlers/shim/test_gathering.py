"""What nodes bring, and who is which rank."""

from dataclasses import replace
from pathlib import Path

import pytest

from handlers.errors import BadInputError, RefusedError
from handlers.rank_table.contents import Device, RankTable, Server
from handlers.records.nodes import Part
from handlers.records.nodes_plan import NodesPlan
from handlers.records.train_plan import TimeLimits
from handlers.shim.gathering import gathered, part_of
from handlers.slurm.calling import UnclearError
from tests.unit.handlers.slurm.tools import Tools

PLAN = NodesPlan(
    nodes=2,
    devices_per_node=2,
    launcher="cluster",
    has_table=False,
    device_target="CPU",
    python=Path("/opt/python"),
    checkout=Path("/opt/mindformers"),
    command=("python",),
    output=Path("/output"),
    limits=TimeLimits(),
    address="lo",
)


def part(address: str, *devices: int, net: int = 0) -> Part:
    """Return what a node brings; with `net` it has a rank table with addresses of that net."""
    table = RankTable(
        (Server(address, tuple(Device(one, f"192.168.{net}.{one + 1}", i) for i, one in enumerate(devices))),)
    )
    return Part(seq=1, node=f"n{address}", address=address, devices=devices, table=table.to_json() if net else None)


@pytest.mark.parametrize("nets", ((1, 2), (0, 0)), ids=("rank table", "no rank table"))
def test_ranks_follow_the_text_of_the_addresses(nets: tuple[int, int]) -> None:
    """As MindSpore wants it; each node keeps its devices in its own order."""
    found = gathered([part("10.0.0.9", 4, 5, net=nets[0]), part("10.0.0.10", 0, 3, net=nets[1])])
    assert [[(one.rank, one.device) for one in node] for node in found.ranks] == [[(2, 4), (3, 5)], [(0, 0), (1, 3)]]
    assert (found.table is None) == (nets == (0, 0))


def test_what_hccl_would_not_take_is_refused() -> None:
    """Two nodes with one address, nodes with different numbers of devices, a table that is none."""
    with pytest.raises(RefusedError, match="occurs 2 times"):
        gathered([part("10.0.0.9", 0, net=1), part("10.0.0.9", 0, net=2)])
    with pytest.raises(RefusedError, match="the same number of devices"):
        gathered([part("10.0.0.9", 0, net=1), part("10.0.0.10", 0, 1, net=2)])
    with pytest.raises(RefusedError, match=r"the rank table of n10\.0\.0\.10 cannot be used"):
        gathered([part("10.0.0.9", 0, net=1), part("10.0.0.10", 0).model_copy(update={"table": "{}"})])
    with pytest.raises(BadInputError, match=r"the rank table of n10\.0\.0\.10:1:1: not JSON"):
        gathered([part("10.0.0.9", 0, net=1), part("10.0.0.10", 0)])


def test_devices_are_those_that_slurm_has_given() -> None:
    """Or the first ones of a node that is the job's as a whole; the address is that of an interface."""
    found, _ = part_of(PLAN, "n1", {"ASCEND_RT_VISIBLE_DEVICES": "3,6,7"})
    assert (found.node, found.address, found.devices, found.table) == ("n1", "127.0.0.1", (3, 6), None)
    assert part_of(replace(PLAN, devices_from="all"), "n1", {})[0].devices == (0, 1)


def test_slurm_tells_the_devices_that_the_job_has_of_the_node(tmp_path: Path) -> None:
    """By `scontrol -d show job`, of this node and of this gres; too few are refused by the name of the node."""
    plan = replace(PLAN, devices_from="slurm", gres="npu")
    tools = Tools(tmp_path)
    tools.scontrol(SHOWN, {"n1": "n1", "n[2-3]": "n2\nn3"})
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "9", "ASCEND_RT_VISIBLE_DEVICES": "0"}
    assert part_of(plan, "n1", environment)[0].devices == (3, 4)
    assert part_of(plan, "n3", environment)[0].devices == (0, 2)
    with pytest.raises(BadInputError, match="Slurm names 0 devices npu that the job has of it, not 2"):
        part_of(plan, "n4", environment)
    with pytest.raises(BadInputError, match="Slurm names 1 devices gpu"):
        part_of(replace(plan, gres="gpu"), "n1", environment)
    tools.say("scontrol", "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", 1)
    with pytest.raises(UnclearError, match="Unable to contact"):
        part_of(plan, "n1", environment)


SHOWN = """\
JobId=9 JobName=wrap
   JobState=RUNNING Reason=None Dependency=(null)
   NodeList=n[1-3]
   TRES=cpu=2,node=2,billing=2
   JOB_GRES=npu:6,gpu:1
     Nodes=n1 CPU_IDs=1 Mem=0 GRES=gpu:a100:1(IDX:7),npu:2(IDX:3-4)
     Nodes=n[2-3] CPU_IDs=1 Mem=0 GRES=npu:ascend:3(IDX:0,2,5)
   TresPerNode=gres:npu:2
"""
"""As Slurm 22.05.8 tells it, with a gres more."""


@pytest.mark.parametrize("given", ("", "3", "npu", "1,1"))
def test_too_few_devices_are_refused(given: str) -> None:
    """Before anything is started."""
    with pytest.raises(BadInputError, match="ASCEND_RT_VISIBLE_DEVICES is"):
        part_of(PLAN, "n1", {"ASCEND_RT_VISIBLE_DEVICES": given})


@pytest.mark.parametrize("wish", ("slurm", "nosuch0"))
def test_a_node_without_an_address_says_so(wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such interface, or no scontrol that would tell."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInputError, match=f"it has no address by '{wish}'; set slurm.address"):
        part_of(replace(PLAN, address=wish), "n1", {"ASCEND_RT_VISIBLE_DEVICES": "0,1"})
