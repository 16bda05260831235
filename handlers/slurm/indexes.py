"""Which devices Slurm has given to a job on a node, by `scontrol -d show job`.

It sets no variable for a gres of a name of the site's own, as npu.
"""

import os
import re
from collections.abc import Mapping

from handlers.slurm.calling import UnclearError, answer
from handlers.slurm.partitions import hostnames
from handlers.units.devices import parse_devices

ANSWER = 30.0
"""Seconds in which scontrol has to answer."""

_NODES = re.compile(r"^\s*Nodes=(\S+) .*?\bGRES=(\S*)", re.ASCII | re.MULTILINE)
"""`     Nodes=n[1-2] CPU_IDs=1 Mem=0 GRES=npu:2(IDX:3-4)`, a line for nodes that have the same."""


def given_devices(
    job: str, node: str, gres: str, environment: Mapping[str, str] = os.environ, scontrol: str = "scontrol"
) -> tuple[int, ...]:
    """Return the numbers of the devices `gres` that `job` has of `node`; none where Slurm tells none.

    They are those of gres.conf, whose File= the devices have to be in the order of their own numbers. Raises
    UnclearError.
    """
    output = answer([scontrol, "-d", "show", "job", job], ANSWER, environment)
    devices = re.compile(rf"\b{re.escape(gres)}(?::[^:,()]+)*:\d+\(IDX:([\d,-]+)\)", re.ASCII)
    for nodes, given in _NODES.findall(output):
        if node not in hostnames(scontrol, nodes, ANSWER, environment):
            continue
        try:
            return tuple(sorted(number for one in devices.findall(given) for number in parse_devices(one)))
        except ValueError as error:
            raise UnclearError(f"scontrol: says {given!r}: {error}") from error
    return ()
