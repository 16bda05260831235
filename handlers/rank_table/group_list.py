"""Reads the older form, template 2 of HCCL's documentation for the Atlas training series: groups of instances.

    {"status": "completed", "group_count": "1", "group_list": [
        {"group_name": "job", "device_count": "8", "instance_count": "1", "instance_list": [
            {"pod_name": "job-0", "server_id": "192.168.6.101",
             "devices": [{"device_id": "0", "device_ip": "192.1.244.169"}, …]}]}]}

ModelArts writes a training job's jobstart_hccl.json so, and MindX' hccl-controller its first format. HCCL finds a rank
by its pod and numbers the ranks itself: by the string order of server_id, then by device_id. With `deploy_mode` each
instance is one rank instead and has its `rank_id`, a group has `device_num` for `device_count`, and no pod has a name.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from handlers.rank_table.contents import Device, Form, RankTable, Server
from handlers.rank_table.json_values import JsonValues


@dataclass(frozen=True)
class _Found:
    """A device, before its rank is known."""

    server_id: str
    device_id: int
    device_ip: str
    rank: int | None


def read_groups(document: dict[str, object], values: JsonValues) -> RankTable | None:
    """Return the table, with the ranks that HCCL would give; None where it is too malformed to judge further."""
    form = Form.LAB if "deploy_mode" in document else Form.PODS
    groups = values.items(document, "group_list", "the table")
    if groups is None:
        return None
    before = len(values.problems)
    values.count(document, "group_count", "the length of group_list", len(groups))
    found = [
        device for index, group in enumerate(groups) for device in _group(values, group, f"group_list[{index}]", form)
    ]
    if len(values.problems) > before:
        return None
    return RankTable(_servers(found), form)


def _group(values: JsonValues, entry: object, where: str, form: Form) -> list[_Found]:
    group = values.entry(entry, where)
    values.text(group, "group_name", where)
    instances = values.items(group, "instance_list", where)
    if instances is None:
        return []
    values.count(group, "instance_count", "the length of instance_list", len(instances), where)
    before = len(values.problems)
    found = [
        device
        for index, instance in enumerate(instances)
        for device in _instance(values, instance, f"{where}.instance_list[{index}]", form)
    ]
    if len(values.problems) == before:  # otherwise they cannot be counted
        key = "device_count" if form is Form.PODS else "device_num"
        values.count(group, key, "the number of its devices", len(found), where)
    return found


def _instance(values: JsonValues, entry: object, where: str, form: Form) -> list[_Found]:
    instance = values.entry(entry, where)
    server_id = values.text(instance, "server_id", where)
    rank = None
    if form is Form.LAB:
        rank = values.number(instance, "rank_id", where)
    else:
        values.text(instance, "pod_name", where)
    devices = values.items(instance, "devices", where) or []
    if form is Form.LAB and len(devices) != 1:
        values.problems.append(
            f"{where}: devices must be one, with deploy_mode an instance is a rank; here are {len(devices)}"
        )
    found = []
    for index, item in enumerate(devices):
        place = f"{where}.devices[{index}]"
        device = values.entry(item, place)
        number = values.number(device, "device_id", place)
        found.append(_Found(server_id, number, values.text(device, "device_ip", place, default=""), rank))
    return found


def _servers(found: Iterable[_Found]) -> tuple[Server, ...]:
    """Return the devices by server, in the order in which HCCL ranks those that have no rank yet."""
    by_server: dict[str, list[Device]] = {}
    for number, device in enumerate(sorted(found, key=lambda one: (one.server_id, one.device_id))):
        rank = number if device.rank is None else device.rank
        by_server.setdefault(device.server_id, []).append(Device(device.device_id, device.device_ip, rank))
    return tuple(Server(server_id, tuple(devices)) for server_id, devices in by_server.items())
