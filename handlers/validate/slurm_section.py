"""`glmd: slurm:` of a dropped YAML: the ranks run on nodes that Slurm chooses, and on how many."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from handlers.codes import Code
from handlers.records.nodes_plan import MOST_NODES
from handlers.slurm.placement import Placement, Site
from handlers.units.devices import LIMIT
from handlers.units.duration_types import Limit
from handlers.validate.document import Place
from handlers.validate.problem import Findings, Problem
from handlers.validate.spots import at, spot

KEY = "slurm"

MAY_BE_ASKED = frozenset(
    {
        "begin", "constraint", "contiguous", "core-spec", "cores-per-socket", "cpus-per-task", "deadline", "delay-boot",
        "distribution", "exclusive", "gres-flags", "hint", "licenses", "mem", "mem-per-cpu", "mincpus", "network",
        "nice", "nodelist", "power", "prefer", "priority", "sockets-per-node", "switches", "thread-spec",
        "threads-per-core", "tmp", "use-min-nodes", "wckey",
    }
)  # fmt: skip
"""What a dropped file may ask of sbatch beside its keys: where and when the job runs; and nothing of what runs, of
files that Slurm writes, or of how the job is told from others."""

_WORD = re.compile(r"[A-Za-z0-9_.@+-]{1,100}", re.ASCII)
_NODES = re.compile(r"[A-Za-z0-9_.,\[\]-]{1,1000}", re.ASCII)
_OPTION = re.compile(r"--(?P<name>[a-z][a-z-]*)(?:=[^\0\n]{0,500})?", re.ASCII)


def _word(value: object) -> str:
    if not _WORD.fullmatch(text := str(value)):
        raise ValueError(f"{text!r:.100} is no name that Slurm has")
    return text


def _nodes(value: object) -> str:
    if not _NODES.fullmatch(text := str(value)):
        raise ValueError(f"{text!r:.100} is no list of nodes, as n1 or n[1-4,7]")
    return text


def _option(value: object) -> str:
    text = str(value)
    found = _OPTION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.100} is no option of sbatch; write it whole, as --switches=1")
    if found["name"] not in MAY_BE_ASKED:
        raise ValueError(
            f"--{found['name']} is not for a dropped file: glmd itself sets what runs and where its files are; "
            "for the site use `slurm: options` of the settings"
        )
    return text


_Name = Annotated[str, BeforeValidator(_word)]


def _positive(seconds: float | None) -> float | None:
    if seconds is not None and seconds < 60:
        raise ValueError("is less than a minute, in which Slurm counts")
    return seconds


class SlurmWish(BaseModel):
    """What a file asks of Slurm. What is not said is as the settings say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: Annotated[int, Strict(), Field(ge=1, le=MOST_NODES)]
    devices_per_node: Annotated[int, Strict(), Field(ge=1, le=LIMIT)] | None = None
    partition: _Name | None = None
    account: _Name | None = None
    qos: _Name | None = None
    reservation: _Name | None = None
    exclude: Annotated[str, BeforeValidator(_nodes)] | None = None
    """Nodes that the job is not to have."""
    time: Annotated[Limit, AfterValidator(_positive)] = None
    """Seconds; None for the settings', or the partition's own."""
    wait: Annotated[Limit, AfterValidator(_positive)] = None
    """Seconds within which it has to have begun, once it is submitted; None for as long as it takes."""
    options: tuple[Annotated[str, BeforeValidator(_option)], ...] = ()


def placed(site: Site, wish: SlurmWish | None, nodes: int, devices_per_node: int) -> Placement:
    """Return what Slurm is asked for: what the file says, and else what the site has."""
    wish = wish or SlurmWish(nodes=nodes)
    return Placement(
        nodes=nodes,
        devices_per_node=devices_per_node,
        gres=site.gres,
        time=wish.time or site.time,
        memory=site.memory,
        partition=wish.partition or site.partition,
        account=wish.account or site.account,
        qos=wish.qos or site.qos,
        reservation=wish.reservation or site.reservation,
        exclude=wish.exclude or site.exclude,
        extra=(*site.options, *wish.options),
    )


def check_slurm(
    root: Place, wish: SlurmWish, default: int | None, findings: Findings, *, names_devices: bool
) -> int:  # fmt: skip
    """Return how many devices each node has for the job; 0 where that cannot be said.

    `default` is what the settings have; None where they know of no Slurm.
    """
    place = spot(root.get("glmd", KEY) or root)
    problems: list[Problem] = []
    if default is None:
        hint = "the settings have no section `slurm:`; leave it out, or ask an administrator"
        problems.append(at(place, Code.CONFIG_VALUE, "glmd runs nothing through Slurm here", hint))
    if names_devices:
        hint = "Slurm chooses the devices: leave `devices` out, and say `slurm: devices_per_node`"
        problems.append(at(place, Code.CONFIG_VALUE, "is beside `devices`", hint))
    findings.problems.extend(problems)
    return 0 if problems else wish.devices_per_node or default or 0
