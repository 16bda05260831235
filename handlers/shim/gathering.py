"""What a node brings to a training, and what becomes of the parts of all: one rank table, and who is which rank."""

import ipaddress
import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from handlers.codes import Code
from handlers.errors import BadInputError, RefusedError
from handlers.rank_table import file as table_file
from handlers.rank_table.hccn import HccnLookup
from handlers.rank_table.host_address import host_address
from handlers.rank_table.table import RankTable, make, merge
from handlers.rank_table.topology import Topology
from handlers.records.nodes import Part, RankPlace
from handlers.records.nodes_plan import NodesPlan
from handlers.slurm.indexes import given_devices
from handlers.units.devices import parse_devices

VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"
"""Which devices a node's Slurm, or its task prolog, has given to the job."""
_ANSWER = 30.0
"""Seconds in which scontrol has to answer."""


def part_of(plan: NodesPlan, node: str, environment: Mapping[str, str]) -> tuple[Part, tuple[str, ...]]:
    """Return what this host, which Slurm calls `node`, brings to a training, and warnings.

    Raises BadInputError and RefusedError where it has no address, too few devices, or some that HCCL would not take.
    """
    address = _address(plan.address, node)
    devices = _devices(plan, node, environment)
    table, warnings = None, tuple[str, ...]()
    if plan.has_table:
        made, warnings = make(
            devices,
            server_ip=address,
            ip_source=HccnLookup(tool=plan.hccn_tool, conf=plan.hccn_conf),
            topology=Topology(plan.topology),
        )
        table = made.to_json()
    return Part(seq=1, node=node, host=os.uname().nodename, address=address, devices=devices, table=table), warnings


def _devices(plan: NodesPlan, node: str, environment: Mapping[str, str]) -> tuple[int, ...]:
    if plan.devices_from == "all":
        return tuple(range(plan.devices_per_node))
    if plan.devices_from == "slurm":
        return _given_by_slurm(plan, node, environment)
    given = environment.get(VISIBLE, "")
    try:
        devices = tuple(parse_devices(given)) if given else ()
    except ValueError as error:
        raise BadInputError(f"{VISIBLE} is {given!r}: {error}", Code.SLURM_NODE_UNFIT) from error
    if len(devices) < plan.devices_per_node:
        raise BadInputError(
            f"{VISIBLE} is {given!r}, which is not {plan.devices_per_node} devices; see slurm.devices_from in "
            "the settings, and the gres.conf and TaskProlog of the cluster",
            Code.SLURM_NODE_UNFIT,
        )
    return devices[: plan.devices_per_node]


def _given_by_slurm(plan: NodesPlan, node: str, environment: Mapping[str, str]) -> tuple[int, ...]:
    devices = given_devices(environment.get("SLURM_JOB_ID", ""), node, plan.gres, environment)
    if len(devices) < plan.devices_per_node:
        raise BadInputError(
            f"Slurm names {len(devices)} devices {plan.gres} that the job has of it, "
            f"not {plan.devices_per_node}; see slurm.devices_from in the settings, and File= in gres.conf",
            Code.SLURM_NODE_UNFIT,
        )
    return devices[: plan.devices_per_node]


def _address(wish: str, node: str) -> str:
    """Return the address by which the other nodes know this one."""
    if wish == "auto":
        found = host_address()
        address = found.ip if found is not None else ""
    elif wish == "slurm":
        address = _known_to_slurm(node)
    else:
        addresses = psutil.net_if_addrs().get(wish, [])
        address = next((one.address for one in addresses if one.family is socket.AF_INET), "")
    if not address:
        raise BadInputError(
            f"it has no address by {wish!r}; set slurm.address: auto, slurm, or the name of an interface",
            Code.RANK_TABLE_NO_SERVER_ADDRESS,
        )
    return address


def _known_to_slurm(node: str) -> str:
    """Return the IPv4 address of a node's NodeAddr; empty where Slurm does not tell."""
    try:
        done = subprocess.run(
            ["scontrol", "-o", "show", "node", node],  # noqa: S607 - wherever the node has it
            capture_output=True,
            text=True,
            timeout=_ANSWER,
            check=False,
        )
        found = re.search(r"\bNodeAddr=(\S+)", done.stdout)
        return "" if found is None else socket.gethostbyname(found[1])
    except (OSError, subprocess.TimeoutExpired):
        return ""


@dataclass(frozen=True)
class Gathered:
    """What the parts of all nodes come to."""

    table: RankTable | None
    ranks: tuple[tuple[RankPlace, ...], ...]
    """By the number of the node."""


def gathered(parts: Sequence[Part]) -> Gathered:
    """Return who is which rank. Raises BadInputError and RefusedError for what HCCL would not take.

    The order of the servers is that of their addresses as text, with a rank table and without: MindSpore wants the
    ranks to follow it, whatever the numbers are that Slurm has given to the nodes.
    """
    if all(part.table is None for part in parts):
        return Gathered(None, _by_address(parts))
    tables = []
    for part in parts:
        table, problems = table_file.parse((part.table or "").encode(), f"the rank table of {part.node}")
        if table is None or problems:
            what = "; ".join(problems) or "it has none"
            raise RefusedError(f"the rank table of {part.node} cannot be used: {what}", Code.RANK_TABLE_REFUSED)
        tables.append(table)
    merged = merge(tables)
    servers = {server.server_id: server for server in merged.servers}
    return Gathered(
        merged,
        tuple(
            tuple(
                RankPlace(rank=one.rank_id, device=one.device_id) for one in servers[table.servers[0].server_id].devices
            )
            for table in tables
        ),
    )


def _by_address(parts: Sequence[Part]) -> tuple[tuple[RankPlace, ...], ...]:
    ranks: dict[int, tuple[RankPlace, ...]] = {}
    first = 0
    for number in sorted(
        range(len(parts)), key=lambda number: (str(ipaddress.ip_address(parts[number].address)), number)
    ):
        devices = parts[number].devices
        ranks[number] = tuple(RankPlace(rank=first + index, device=device) for index, device in enumerate(devices))
        first += len(devices)
    return tuple(ranks[number] for number in range(len(parts)))
