"""Makes, merges, reads and writes rank tables: which rank runs on which device, and the devices' addresses."""

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path

from handlers.ckpt.files.durable import make_directory, publish_bytes
from handlers.codes import Code
from handlers.errors import BadInputError, RefusedError
from handlers.rank_table.contents import Device, RankTable, Server
from handlers.rank_table.file import load
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.host_address import host_address
from handlers.rank_table.rules import find_problems, find_warnings
from handlers.rank_table.topology import Topology
from handlers.units.devices import bracket_hint, format_devices

__all__ = ["AUTO", "Device", "RankTable", "Server", "inspect", "make", "merge", "read", "write"]

AUTO = "auto"
"""As a server's address: find it."""


def make(
    devices: Sequence[int],
    *,
    visible_devices: Sequence[int] | None = None,
    server_ip: str = AUTO,
    ip_source: HccnLookup,
    topology: Topology = Topology.ANY,
) -> tuple[RankTable, tuple[str, ...]]:
    """Return the table of this one server, rank i on the i-th of `devices`, and warnings.

    `devices` are physical ids. With `visible_devices` (physical ids, as in a container that sees some of a host's
    cards) they are positions in that list instead: visible 4,5,6,7 and devices [0,4) puts ranks 0-3 on devices 4-7.
    Raises BadInputError for an unusable `server_ip` or position, RefusedError for a table that HCCL would not take.
    """
    physical = _physical(devices, visible_devices)
    server_id, warnings = _server_id(server_ip)
    _refuse(find_problems(_table(server_id, physical, {}), topology=topology))
    found = ip_source.addresses(physical)
    if found.missing:
        warnings.append(_without_address(physical, found.missing, ip_source))
    table = _table(server_id, physical, found.ips)
    _refuse(find_problems(table, topology=topology))
    return table, (*warnings, *found.warnings, *find_warnings(table, topology=topology))


def merge(tables: Iterable[RankTable], *, topology: Topology = Topology.ANY) -> RankTable:
    """Return one table of all the servers in `tables`, the same whatever their order.

    Servers are sorted by the string order of server_id, which MindSpore wants the ranks to follow ("10.0.0.10" is
    before "10.0.0.9"), and ranks are numbered again. Raises RefusedError for a table that HCCL would not take.
    """
    servers = []
    rank = 0
    for server in sorted((server for table in tables for server in table.servers), key=lambda server: server.server_id):
        in_order = sorted(server.devices, key=lambda device: device.rank_id)
        devices = tuple(Device(d.device_id, d.device_ip, rank + index) for index, d in enumerate(in_order))
        servers.append(Server(server.server_id, devices, server.host_nic_ip))
        rank += len(devices)
    merged = RankTable(tuple(servers))
    _refuse(find_problems(merged, topology=topology))
    return merged


def write(table: RankTable, directory: Path) -> Path:
    """Write `table` into `directory` (made if need be) under its own name, whole or not at all; return its path."""
    make_directory(directory, mode=0o755)
    path = directory / table.file_name()
    publish_bytes(path, table.to_json().encode(), mode=0o644)
    return path


def read(path: Path) -> RankTable:
    """Read a table that HCCL would take. Raises BadInputError when it is no JSON, RefusedError for broken rules."""
    table, problems = inspect(path)
    if table is None or problems:
        _refuse([f"{path}: {problem}" for problem in problems], "this rank table cannot be used:")
        raise AssertionError(path)  # no table without a problem
    return table


def inspect(
    path: Path, *, ranks: int | None = None, topology: Topology = Topology.ANY
) -> tuple[RankTable | None, list[str]]:
    """Read a table and return it with every rule of HCCL that it breaks; None where it is too malformed for one.

    `ranks` is how many there should be. Raises BadInputError when the file cannot be read or is no JSON.
    """
    table, problems = load(path)
    if not path.name.endswith(".json"):
        problems.append("HCCL takes files whose name ends in .json only")
    if table:
        problems += find_problems(table, ranks=ranks, topology=topology)
    return table, problems


def _table(server_id: str, physical: Sequence[int], ips: dict[int, str]) -> RankTable:
    devices = tuple(Device(device, ips.get(device, ""), rank) for rank, device in enumerate(physical))
    return RankTable((Server(server_id, devices),))


def _refuse(problems: Sequence[str], headline: str = "HCCL would not take this rank table:") -> None:
    if problems:
        raise RefusedError("\n".join([headline, *(f"  {problem}" for problem in problems)]), Code.RANK_TABLE_REFUSED)


def _physical(devices: Sequence[int], visible: Sequence[int] | None) -> tuple[int, ...]:
    if visible is None:
        return tuple(devices)
    if absent := [position for position in devices if position >= len(visible)]:
        raise BadInputError(
            f"devices {format_devices(devices)}: {format_devices(visible)} are visible, so the positions are "
            f"[0,{len(visible)}) and {format_devices(absent)} is not there{bracket_hint(devices, absent)}",
            Code.DEVICE_NOT_VISIBLE,
        )
    return tuple(visible[position] for position in devices)


def _server_id(server_ip: str) -> tuple[str, list[str]]:
    """Return what names this server in the table, and warnings."""
    if server_ip != AUTO:
        try:
            return str(ipaddress.ip_address(server_ip)), []
        except ValueError as error:
            raise BadInputError(
                f"server address {server_ip!r} is not an IP address; give --server-ip IP",
                Code.RANK_TABLE_SERVER_ADDRESS,
            ) from error
    found = host_address()
    if not found:
        raise BadInputError(
            "this host has no address but loopback ones, which all hosts share; give --server-ip IP",
            Code.RANK_TABLE_NO_SERVER_ADDRESS,
        )
    if not found.others:
        return found.ip, []
    others = ", ".join(found.others)
    warning = (
        f"no default route says which address is this server's; used {found.ip} of {found.interface}, "
        f"not {others}: give --server-ip if that is wrong"
    )
    return found.ip, [warning]


def _without_address(devices: Sequence[int], missing: dict[int, str], source: HccnLookup) -> str:
    """Return a warning where HCCL needs no addresses (one device talks to nobody); raises RefusedError elsewhere."""
    by_reason: dict[str, list[int]] = {}
    for device, why in missing.items():
        by_reason.setdefault(why, []).append(device)
    reasons = "\n".join(f"  device {format_devices(those)}: {why}" for why, those in by_reason.items())
    if len(devices) == 1:
        return f"no address, which is enough for a single device:\n{reasons}"
    raise RefusedError(
        f"no address for {len(missing)} of {len(devices)} devices{bracket_hint(devices, missing)}\n{reasons}\n"
        f"Set it with `hccn_tool -i N -ip -s address IP netmask MASK` for each device N (root), or write address_N=IP "
        f"into {source.conf}",
        Code.RANK_TABLE_NO_DEVICE_ADDRESS,
    )
