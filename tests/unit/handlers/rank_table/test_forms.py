"""Promises about the rank tables that people have in other forms than glmd writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import RefusedError
from handlers.rank_table.contents import Form
from handlers.rank_table.file import parse
from handlers.rank_table.rules import find_problems, find_warnings
from handlers.rank_table.table import Device, RankTable, Server, inspect, merge, read, write
from handlers.rank_table.topology import Topology


def pod(name: str, server_id: str, net: int, devices: range = range(8)) -> dict[str, Any]:
    """Return an instance as ModelArts writes it, its devices' addresses in the network 192.1.`net`."""
    return {
        "pod_name": name,
        "server_id": server_id,
        "devices": [{"device_id": str(d), "device_ip": f"192.1.{net}.{d + 1}"} for d in devices],
    }


def group_list(*instances: dict[str, Any]) -> dict[str, Any]:
    """Return ModelArts' jobstart_hccl.json of one job."""
    group = {
        "group_name": "job-mindspore",
        "device_count": str(sum(len(instance["devices"]) for instance in instances)),
        "instance_count": str(len(instances)),
        "instance_list": list(instances),
    }
    return {"status": "completed", "group_count": "1", "group_list": [group]}


TWO_PODS = group_list(pod("job-1", "10.19.1.79", 79), pod("job-0", "10.19.1.142", 142))


def lab() -> dict[str, Any]:
    """Return a table as MindSpore's first tutorials have it."""
    instances = [
        {
            "devices": [{"device_id": str(rank + 4), "device_ip": f"192.{rank + 1}.27.6"}],
            "rank_id": str(rank),
            "server_id": "10.155.111.140",
        }
        for rank in range(2)
    ]
    return {
        "board_id": "0x0000",
        "chip_info": "910",
        "deploy_mode": "lab",
        "group_count": "1",
        "group_list": [
            {
                "device_num": "2",
                "server_num": "1",
                "group_name": "",
                "instance_count": "2",
                "instance_list": instances,
            }
        ],
        "para_plane_nic_location": "device",
        "para_plane_nic_name": ["eth0", "eth1"],
        "para_plane_nic_num": "2",
        "status": "completed",
    }


def parsed(document: object) -> tuple[RankTable | None, list[str]]:
    """Return what is in a document."""
    return parse(json.dumps(document).encode(), "table.json")


def changed(document: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return `document` after `change`."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    change(copy)
    return copy


def test_a_group_list_has_the_ranks_that_hccl_gives(tmp_path: Path) -> None:
    """By the string order of server_id, then by device: whatever the order and names of the pods."""
    path = tmp_path / "jobstart_hccl.json"
    path.write_text(json.dumps(TWO_PODS))
    table, problems = inspect(path, ranks=16, topology=Topology.A910)
    assert table is not None
    assert (problems, table.form) == ([], Form.PODS)
    assert [server.server_id for server in table.servers] == ["10.19.1.142", "10.19.1.79"]
    assert [device.rank_id for device in table.devices] == list(range(16))
    assert table.devices[8] == Device(0, "192.1.79.1", 8)
    (warning,) = find_warnings(table)
    assert "ModelArts (jobstart_hccl.json)" in warning
    assert "glmd rank-table merge" in warning


def test_a_group_list_is_converted(tmp_path: Path) -> None:
    """`merge` of the one file writes version 1.0, with nothing of the other form."""
    (tmp_path / "jobstart_hccl.json").write_text(json.dumps(TWO_PODS))
    path = write(merge([read(tmp_path / "jobstart_hccl.json")]), tmp_path)
    assert path.name == "hccl_2s_16p.json"
    document = json.loads(path.read_text())
    assert sorted(document) == ["server_count", "server_list", "status", "version"]
    assert document["server_list"][1]["device"][7] == {"device_id": "7", "device_ip": "192.1.79.8", "rank_id": "15"}
    again = read(path)
    assert again.form is Form.SERVER_LIST
    assert not find_warnings(again)


def test_pods_on_one_server_are_one_server() -> None:
    """Two pods of four devices on the same host are eight devices of it, ranked by their number."""
    table, problems = parsed(group_list(pod("a-0", "10.0.0.1", 1, range(4, 8)), pod("a-1", "10.0.0.1", 1, range(4))))
    assert not problems
    assert table is not None
    assert len(table.servers) == 1
    assert [(d.device_id, d.rank_id) for d in table.devices] == [(n, n) for n in range(8)]


def test_a_device_in_two_pods() -> None:
    """One device cannot be two ranks."""
    table, _ = parsed(group_list(pod("a-0", "10.0.0.1", 1, range(2)), pod("a-1", "10.0.0.1", 2, range(1, 3))))
    assert table is not None
    assert any("ranks 1 and 2 are both on device 1" in problem for problem in find_problems(table))


def test_the_form_of_the_first_tutorials() -> None:
    """With deploy_mode an instance is a rank and says which."""
    table, problems = parsed(lab())
    assert not problems
    assert table == RankTable(
        (Server("10.155.111.140", (Device(4, "192.1.27.6", 0), Device(5, "192.2.27.6", 1))),), Form.LAB
    )
    assert "deploy_mode" in find_warnings(table)[0]
    assert merge([table]).form is Form.SERVER_LIST


def group(document: dict[str, Any]) -> dict[str, Any]:
    """Return the first group of a document."""
    first: dict[str, Any] = document["group_list"][0]
    return first


@pytest.mark.parametrize(
    ("document", "why"),
    (
        (changed(TWO_PODS, lambda d: d.pop("status")), 'status must be "completed", not absent'),
        (changed(TWO_PODS, lambda d: d.update(status="initializing")), "wait until it says completed"),
        ({"status": "initializing", "group_list": None}, "wait until it says completed"),
        ({"status": "initializing", "group_list": [], "group_count": "0"}, "wait until it says completed"),
        ({"status": "initializing"}, "wait until it says completed"),
        (changed(TWO_PODS, lambda d: d.update(group_list={})), "group_list must be a list, not an object"),
        (changed(TWO_PODS, lambda d: d.update(group_list=None)), "group_list must be a list, not absent"),
        (changed(TWO_PODS, lambda d: d.update(group_list=[3])), "group_list[0] must be an object, not a number"),
        (changed(TWO_PODS, lambda d: d.update(group_count="2")), 'group_count must be "1", the length of group_list'),
        (
            changed(TWO_PODS, lambda d: d.pop("group_count")),
            'group_count must be "1", the length of group_list, not abs',
        ),
        (
            changed(TWO_PODS, lambda d: group(d).update(device_count="8")),
            'group_list[0]: device_count must be "16", the number of its devices, not "8"',
        ),
        (
            changed(TWO_PODS, lambda d: group(d).update(instance_count="1")),
            'group_list[0]: instance_count must be "2", the length of instance_list, not "1"',
        ),
        (changed(TWO_PODS, lambda d: group(d).update(device_count=16)), "numbers stand without quotes"),
        (
            changed(TWO_PODS, lambda d: group(d).pop("group_name")),
            "group_list[0]: group_name must be a string, not absent",
        ),
        (
            changed(TWO_PODS, lambda d: group(d).pop("instance_list")),
            "group_list[0]: instance_list must be a list, not abs",
        ),
        (
            changed(TWO_PODS, lambda d: group(d)["instance_list"][1].pop("pod_name")),
            "group_list[0].instance_list[1]: pod_name must be a string, not absent",
        ),
        (
            changed(TWO_PODS, lambda d: group(d)["instance_list"][1].pop("server_id")),
            "group_list[0].instance_list[1]: server_id must be a string, not absent",
        ),
        (
            changed(TWO_PODS, lambda d: group(d)["instance_list"][0].update(devices="0,1")),
            "group_list[0].instance_list[0]: devices must be a list, not a string",
        ),
        (
            changed(TWO_PODS, lambda d: group(d)["instance_list"][0]["devices"][3].update(device_id=3)),
            'group_list[0].instance_list[0].devices[3]: device_id must be a number in a string, as "0", not 3',
        ),
        (
            changed(lab(), lambda d: group(d)["instance_list"][0].pop("rank_id")),
            "group_list[0].instance_list[0]: rank_id must be a number in a string",
        ),
        (
            changed(lab(), lambda d: group(d)["instance_list"][0].update(devices=[])),
            "group_list[0].instance_list[0]: devices must be one",
        ),
        (changed(lab(), lambda d: group(d).update(device_num="8")), 'device_num must be "2"'),
        ({"server_group_list": [], "status": "completed"}, "this is a global-ranktable"),
    ),
)
def test_bad_variants(document: object, why: str) -> None:
    """Each names its place and what is wrong there; there is no table to go on with, or the problem is listed."""
    _, problems = parsed(document)
    assert any(why in problem for problem in problems), problems


def test_an_unfinished_table_is_told_that_alone() -> None:
    """What is not there yet is no further fault."""
    assert len(parsed({"status": "initializing"})[1]) == 1


def test_common_rules_hold_for_a_group_list() -> None:
    """Missing addresses, unequal servers and numbers of devices are told as of any table."""
    document = group_list(pod("a-0", "10.0.0.1", 1), pod("a-1", "10.0.0.2", 2, range(3)))
    del document["group_list"][0]["instance_list"][1]["devices"][0]["device_ip"]
    table, problems = parsed(document)
    assert not problems
    assert table is not None
    found = find_problems(table, topology=Topology.A910)
    assert any("same number of devices" in problem for problem in found)
    assert any("takes 1, 2, 4 or 8 devices, not 3" in problem for problem in found)
    assert any("rank 8, device 0 of server 10.0.0.2: device_ip is empty" in problem for problem in found)


SUPER_POD = {
    "version": "1.2",
    "status": "completed",
    "server_count": "1",
    "server_list": [
        {
            "server_id": "node_0",
            "host_ip": "172.16.0.100",
            "device": [
                {"device_id": str(d), "super_device_id": str(d), "device_ip": f"192.168.1.{d + 6}", "rank_id": str(d)}
                for d in range(4)
            ],
        }
    ],
    "super_pod_list": [{"super_pod_id": "0", "server_list": [{"server_id": "node_0"}]}],
}


def test_a_super_pods_table_is_not_called_wrong(tmp_path: Path) -> None:
    """Version 1.2 is beyond glmd, which says so, and not that HCCL would refuse it."""
    path = tmp_path / "rank_table_superPod.json"
    path.write_text(json.dumps(SUPER_POD))
    (problem,) = parsed(SUPER_POD)[1]
    assert "neither makes nor checks: HCCL may well take this table" in problem
    with pytest.raises(RefusedError) as caught:
        read(path)
    assert "HCCL would not take" not in str(caught.value)


def test_bare_numbers_are_told_in_one_line() -> None:
    """A table with ints in place of strings is told so first, before each place of it."""
    document = changed(
        json.loads(merge([parsed(TWO_PODS)[0] or RankTable(())]).to_json()), lambda d: d.update(server_count=2)
    )
    problems = parsed(document)[1]
    assert problems[0].startswith("numbers stand without quotes; HCCL takes strings only")
    assert 'server_count must be "2"' in problems[1]


@pytest.mark.parametrize(("servers", "devices", "refused"), ((1, 1, False), (2, 1, True), (2, 2, False)))
def test_a_single_die_works_alone(servers: int, devices: int, refused: bool) -> None:  # noqa: FBT001
    """Several A3 servers give whole modules each."""
    table = RankTable(
        tuple(
            Server(f"10.0.0.{s}", tuple(Device(d, f"10.{s}.0.{d + 1}", s * devices + d) for d in range(devices)))
            for s in range(servers)
        )
    )
    assert bool(find_problems(table, topology=Topology.A3)) is refused
    assert any("outside of a super pod" in w for w in find_warnings(table, topology=Topology.A3)) is (servers > 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["devices", "instance_list", "rank_id", "server_id", "x"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    json_values,
    st.sampled_from(["deploy_mode", "group_count", "group_list", "status", "server_group_list"]),
    st.sampled_from(["group_name", "device_count", "instance_count", "instance_list", "device_num"]),
    st.sampled_from([TWO_PODS, lab()]),
)
def test_any_json_is_judged(value: object, key: str, in_group: str, document: dict[str, Any]) -> None:
    """Whatever JSON a file holds is read or has its problems listed; nothing else is raised."""
    for altered in (
        changed(document, lambda d: d.update({key: value})),
        changed(document, lambda d: group(d).update({in_group: value})),
        changed(document, lambda d: group(d).update(instance_list=[value])),
    ):
        table, problems = parsed(altered)
        assert problems or table is not None
        if table:
            find_problems(table)
            find_warnings(table)
