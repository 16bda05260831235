"""What HCCL requires of a rank table, and what seldom is meant.

The rules are those of HCCL's documentation. A table that breaks one is refused here, where the message can name the
rank and the device, and not minutes into a job as EI0004 or EI0014.
"""

import ipaddress
from collections.abc import Hashable, Iterable, Iterator

from handlers.rank_table.contents import Form, RankTable, Server
from handlers.rank_table.hccn import valid_device_ip
from handlers.rank_table.topology import Topology, topology_note, topology_problem

_SERVER_ID_LIMIT = 64
_SHOWN = 8
_CONVERT = "`glmd rank-table merge FILE -o DIR` writes the form that MindFormers' scripts and glmd use"
_FORMS = {
    Form.PODS: (
        "this is the group_list form of ModelArts (jobstart_hccl.json) and of MindX' hccl-controller: HCCL takes it on "
        f"the Atlas training series (910A), from processes whose RANK_ID is the pod's name; {_CONVERT}"
    ),
    Form.LAB: (
        "this is the group_list form with deploy_mode, of MindSpore's first tutorials: HCCL takes it on the "
        f"Atlas training series (910A); {_CONVERT}"
    ),
}


def find_problems(table: RankTable, *, ranks: int | None = None, topology: Topology = Topology.ANY) -> list[str]:
    """Return every rule that `table` breaks, naming the server, rank and device; `ranks` is the RANK_SIZE expected."""
    return [
        *_server_problems(table),
        *_device_problems(table, topology),
        *_rank_problems(table, ranks),
        *_address_problems(table),
    ]


def find_warnings(table: RankTable, *, topology: Topology = Topology.ANY) -> list[str]:
    """Return what HCCL takes in a `table` without problems, but what seldom is meant."""
    warnings = [_FORMS[table.form]] if table.form in _FORMS else []
    if len(table.servers) == 1 and is_loopback(table.servers[0].server_id):
        warnings.append(
            f"server_id {table.servers[0].server_id} is a loopback address, the same on every host: "
            "this table cannot be merged with another's; give --server-ip"
        )
    order = [server.server_id for server in sorted(table.servers, key=lambda s: min(d.rank_id for d in s.devices))]
    if order != sorted(order):
        warnings.append("ranks do not follow the string order of server_id, as MindSpore wants; merge the tables again")
    if topology is Topology.A3 and len(table.servers) > 1:
        warnings.append(
            "version 1.0 is for A3 servers outside of a super pod; one needs version 1.2 (super_device_id, "
            "super_pod_list), which glmd does not make"
        )
    warnings += [
        f"server {server.server_id}: {note}"
        for server in table.servers
        if (note := topology_note([device.device_id for device in server.devices], topology))
    ]
    return warnings


def is_loopback(server_id: str) -> bool:
    """Return whether `server_id` names the host it is read on, and so every host."""
    try:
        return ipaddress.ip_address(server_id).is_loopback
    except ValueError:
        return server_id == "localhost"


def _server_problems(table: RankTable) -> Iterator[str]:
    if not table.servers:
        yield "server_list is empty"
    ids = [server.server_id for server in table.servers]
    for server_id in sorted({name for name in ids if ids.count(name) > 1}):
        yield (
            f"server_id {server_id!r} occurs {ids.count(server_id)} times; did you give the table of one server twice?"
        )
    for server_id in ids:
        if not 0 < len(server_id) < _SERVER_ID_LIMIT:
            yield f"server_id {server_id!r} must have 1 to {_SERVER_ID_LIMIT - 1} characters"
        if len(ids) > 1 and is_loopback(server_id):
            yield f"server_id {server_id} is a loopback address, the same on every host; give --server-ip"
    if len({len(server.devices) for server in table.servers}) > 1:
        counts = ", ".join(f"{server.server_id} has {len(server.devices)}" for server in table.servers)
        yield f"every server must have the same number of devices, but {counts}"


def _device_problems(table: RankTable, topology: Topology) -> Iterator[str]:
    for server in table.servers:
        where = f"server {server.server_id}"
        for rank, earlier, device in _repeated((d.rank_id, d.device_id) for d in server.devices):
            yield f"{where}: ranks {earlier} and {rank} are both on device {device}"
        if problem := topology_problem([device.device_id for device in server.devices], topology):
            yield f"{where}: {problem}"
        elif topology is Topology.A3 and len(server.devices) == 1 and len(table.servers) > 1:
            yield f"{where}: 1 device; an A3 server that works with others gives whole modules, as 0-1"


def _rank_problems(table: RankTable, ranks: int | None) -> Iterator[str]:
    total = len(table.devices)
    if ranks is not None and total != ranks:
        yield f"the table has {total} ranks, but {ranks} are expected (RANK_SIZE)"
    holders: dict[int, list[str]] = {}
    for server in table.servers:
        for device in server.devices:
            holders.setdefault(device.rank_id, []).append(f"device {device.device_id} of server {server.server_id}")
    for rank, where in sorted(holders.items()):
        if len(where) > 1:
            yield f"rank {rank} is given {len(where)} times: {', '.join(where)}"
    wrong = [f"rank {rank} is missing" for rank in range(total) if rank not in holders]
    wrong += [f"rank {rank} on {holders[rank][0]} is too high" for rank in sorted(holders) if rank >= total]
    if wrong:
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        yield f"rank_ids must be 0 to {total - 1}, each once: {', '.join(wrong[:_SHOWN])}{more}"


def _address_problems(table: RankTable) -> Iterator[str]:
    for server in table.servers:
        for device in server.devices:
            where = f"rank {device.rank_id}, {_place(server, device.device_id)}"
            if device.device_ip and not valid_device_ip(device.device_ip):
                yield f"{where}: device_ip {device.device_ip!r} is not a device's address"
            elif not device.device_ip and len(table.servers) > 1:
                yield f"{where}: device_ip is empty, which HCCL allows on a single server only"
    for rank, earlier, ip in _repeated((d.rank_id, d.device_ip) for d in table.devices if d.device_ip):
        yield f"ranks {earlier} and {rank} have the same device_ip {ip}"


def _place(server: Server, device: int) -> str:
    return f"device {device} of server {server.server_id}"


def _repeated(pairs: Iterable[tuple[int, Hashable]]) -> Iterator[tuple[int, int, Hashable]]:
    """Yield (rank, earlier rank, value) for each value that an earlier rank has."""
    first: dict[Hashable, int] = {}
    for rank, value in pairs:
        if value in first:
            yield rank, first[value], value
        first.setdefault(value, rank)
