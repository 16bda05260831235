"""What Slurm has at all: its partitions, by sinfo(1). What is busy or down now counts as well: it may come back."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from handlers.slurm.calling import UnclearError, answer

_FIELDS = "%P|%a|%l|%s|%D|%T|%G|%N"
_LIMIT = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)", re.ASCII)
_GRES = re.compile(r"(?P<name>\w+)(?::[^:,()]+)*:(?P<count>\d+)(?:\([^)]*\))?(?:,|$)", re.ASCII)
"""`npu:8`, `gpu:a100:4(S:0-1)`, `npu:no_consume:8`; `(null)` has none."""
_AWAY = ("down", "drain", "fail", "maint", "unk", "power", "reboot")
"""How states of nodes begin that take no jobs now."""


@dataclass(frozen=True)
class Group:
    """Nodes of a partition that are alike."""

    count: int
    state: str
    """As `idle`, or `down*` where it does not answer."""
    gres: Mapping[str, int]
    """How many of each a node has."""
    names: str
    """As `n[1-2]`."""

    @property
    def is_away(self) -> bool:
        """Whether they take no jobs now."""
        return self.state.startswith(_AWAY) or self.state.endswith("*")


@dataclass(frozen=True)
class Partition:
    """A part of the cluster that jobs are submitted to."""

    name: str
    is_default: bool
    is_up: bool
    limit: float | None
    """Seconds that a job may run; None for no limit."""
    most_nodes: int | None
    """That a job may have; None for no limit."""
    groups: tuple[Group, ...]

    @property
    def nodes(self) -> int:
        """How many there are, whatever their state."""
        return sum(group.count for group in self.groups)

    def nodes_with(self, gres: str, count: int) -> int:
        """Return how many nodes have so many devices; all, where `gres` is empty."""
        if not gres:
            return self.nodes
        return sum(group.count for group in self.groups if group.gres.get(gres, 0) >= count)


def partitions(
    sinfo: str, seconds: float, environment: Mapping[str, str] = os.environ
) -> tuple[Partition, ...]:  # fmt: skip
    """Return the partitions that there are, hidden ones as well. Raises UnclearError."""
    output = answer([sinfo, "-h", "-a", "-o", _FIELDS], seconds, environment)
    rows = [_fields(line) for line in output.splitlines() if line.strip()]
    in_order = sorted(rows, key=lambda row: row[0])
    return tuple(_partition(name, list(group)) for name, group in groupby(in_order, key=lambda row: row[0]))


def hostnames(
    scontrol: str, names: str, seconds: float, environment: Mapping[str, str] = os.environ
) -> tuple[str, ...]:  # fmt: skip
    """Return the nodes in a list as `n[1-2,7]`. Raises UnclearError."""
    return tuple(answer([scontrol, "show", "hostnames", names], seconds, environment).split())


def _fields(line: str) -> list[str]:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) != _FIELDS.count("|") + 1 or not fields[4].isdecimal():
        raise UnclearError(f"sinfo: says {line[:200]!r}")
    return fields


def _partition(name: str, rows: list[list[str]]) -> Partition:
    _, is_up, limit, nodes, *_ = rows[0]
    return Partition(
        name=name.removesuffix("*"),
        is_default=name.endswith("*"),
        is_up=is_up == "up",
        limit=_seconds(limit),
        most_nodes=int(most) if (most := nodes.rpartition("-")[2]).isdecimal() else None,
        groups=tuple(Group(int(count), state, _gres(gres), names) for *_, count, state, gres, names in rows),
    )


def _seconds(limit: str) -> float | None:
    """Return a time as Slurm writes it, `1-00:00:00` or `30:00`; None for `infinite`, and for what is no time."""
    found = _LIMIT.fullmatch(limit)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds


def _gres(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in _GRES.finditer(text):
        found[one["name"]] = found.get(one["name"], 0) + int(one["count"])
    return found
