"""Reads the form that HCCL recommends: version 1.0, a list of servers, each device with its rank."""

from handlers.rank_table.contents import Device, RankTable, Server
from handlers.rank_table.json_values import JsonValues, show

_SUPER_POD = (
    "; 1.2 is for Atlas A3 super pods (super_device_id, super_pod_list), which glmd neither makes nor checks: "
    "HCCL may well take this table. An A3 server outside of a super pod uses 1.0"
)


def read_servers(document: dict[str, object], values: JsonValues) -> RankTable | None:
    """Return the table; None where it is too malformed to judge further."""
    version = document.get("version")
    if version != "1.0":
        values.problems.append(f'version must be "1.0", not {show(version)}{_SUPER_POD if version == "1.2" else ""}')
    entries = values.items(document, "server_list", "the table")
    if entries is None:
        return None
    values.count(document, "server_count", "the length of server_list", len(entries))
    before = len(values.problems)
    servers = [_server(values, entry, f"server_list[{index}]") for index, entry in enumerate(entries)]
    return RankTable(tuple(servers)) if len(values.problems) == before else None


def _server(values: JsonValues, entry: object, where: str) -> Server:
    server = values.entry(entry, where)
    devices = values.items(server, "device", where) or []
    return Server(
        server_id=values.text(server, "server_id", where),
        devices=tuple(_device(values, item, f"{where}.device[{index}]") for index, item in enumerate(devices)),
        host_nic_ip=values.text(server, "host_nic_ip", where, default="reserve"),
    )


def _device(values: JsonValues, entry: object, where: str) -> Device:
    device = values.entry(entry, where)
    return Device(
        device_id=values.number(device, "device_id", where),
        device_ip=values.text(device, "device_ip", where, default=""),
        rank_id=values.number(device, "rank_id", where),
    )
