"""`slurm:` of the settings: how this site's Slurm is asked for nodes, and what a node is like."""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from daemon.core.setting_sections import Section, SomePath
from handlers.records.nodes_plan import MOST_NODES
from handlers.slurm.calling import Commands
from handlers.slurm.placement import Site
from handlers.units.devices import LIMIT
from handlers.units.duration_types import Duration, Limit

_OWN = frozenset(
    {
        "array", "batch", "chdir", "clusters", "comment", "dependency", "error", "export", "export-file", "gid",
        "gres", "help", "input", "job-name", "no-requeue", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output",
        "parsable", "propagate", "requeue", "signal", "test-only", "uid", "usage", "version", "wait", "wrap",
    }
)  # fmt: skip
"""Options of sbatch that glmd sets itself, or that would break what it goes by."""
_OPTION = re.compile(r"--(?P<name>[a-z][a-z-]*)(?:=.*)?", re.ASCII)


def _option(value: object) -> str:
    text = str(value)
    found = _OPTION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.100} is no option of sbatch; write it whole, as --switches=1")
    if found["name"] in _OWN:
        raise ValueError(
            f"--{found['name']} is glmd's own: it tells jobs apart, resumes them and finds their files by it"
        )
    return text


def _lines(text: str) -> str:
    if "\0" in text or "\r" in text:
        raise ValueError("has a character that no script may have")
    return text


class DevicesFrom(StrEnum):
    """How a node knows which devices a job has of it."""

    ENVIRONMENT = "environment"
    """By ASCEND_RT_VISIBLE_DEVICES, which Slurm or its task prolog sets."""
    SLURM = "slurm"
    """By what `scontrol -d show job` says that the job has of it: the numbers are those of gres.conf."""
    ALL = "all"
    """The first `devices_per_node`: jobs have nodes as a whole."""


def _mem(memory: str) -> str:
    return "0" if memory == "all" else memory  # sbatch(1): --mem=0 is all of each node


class MergeWhere(StrEnum):
    """Where the shards of a training through Slurm are merged."""

    JOB = "job"
    """On a node, as a job of Slurm's own: where the training was."""
    HOST = "host"
    """On the daemon's host."""


class SlurmMerge(Section):
    """The merge of such a training, as a job without devices. Account, QOS and `exclude` are the training's."""

    where: MergeWhere = MergeWhere.JOB
    partition: str = ""
    """Empty for the training's."""
    cpus: Annotated[int, Strict(), Field(ge=1, le=1 << 12)] = 4
    """It copies with four threads (handlers.ckpt.CopyOptions)."""
    memory: str = "2G"
    """As sbatch's --mem takes it; empty is the site's default, which may be all of a node. A merge itself needs less
    than 100 MiB; what it reads and writes counts as well, where the kernel has room."""
    time: Limit = None
    """Seconds; None for the partition's own limit."""

    @property
    def mem(self) -> str:
        """Return what --mem is given."""
        return _mem(self.memory)


class SlurmCommands(Section):
    """Where Slurm's programs are."""

    sbatch: str = "sbatch"
    squeue: str = "squeue"
    scancel: str = "scancel"
    scontrol: str = "scontrol"
    sinfo: str = "sinfo"


class SlurmSettings(Section):
    """How trainings on several nodes are submitted. Partition to options are what a dropped file may say as well."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    exclude: str = ""
    time: Limit = None
    """Seconds; None for the partition's own limit."""
    options: tuple[Annotated[str, BeforeValidator(_option)], ...] = ()
    gres: str = "npu"
    """What Slurm counts devices as; empty where it counts none."""
    devices_per_node: Annotated[int, Strict(), Field(ge=1, le=LIMIT)] = 8
    devices_from: DevicesFrom = DevicesFrom.ENVIRONMENT
    memory: str = "all"
    """Of a node, as sbatch's --mem takes it; `all` is all, and empty is the site's default."""
    address: str = "auto"
    """What a node is known by to the others: see handlers.records.nodes_plan."""
    python: SomePath | None = None
    """glmd's own interpreter as the nodes see it; None for where it is here."""
    prologue: Annotated[str, AfterValidator(_lines)] = ""
    """Lines of the batch script: `source /usr/local/Ascend/ascend-toolkit/set_env.sh`."""
    submitted: Annotated[int, Strict(), Field(ge=1, le=MOST_NODES)] = 8
    """How many of glmd's jobs wait in Slurm's queue at most: trainings are held back for it, merges are not."""
    poll: Annotated[Duration, Field(ge=1, le=3600)] = 10.0
    gather: Annotated[Duration, Field(ge=1, le=86400)] = 120.0
    node_silence: Annotated[Duration, Field(ge=2, le=86400)] = 60.0
    lease: Annotated[Duration, Field(ge=2, le=86400)] = 120.0
    settle: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    merge: SlurmMerge = SlurmMerge()
    commands: SlurmCommands = SlurmCommands()

    @model_validator(mode="after")
    def _has_gres(self) -> Self:
        if self.devices_from is DevicesFrom.SLURM and not self.gres:
            raise ValueError(
                "devices_from: slurm finds devices by `gres` only: write the name by which Slurm counts them"
            )
        return self

    @property
    def programs(self) -> Commands:
        """Slurm's programs."""
        return Commands(**self.commands.model_dump())

    @property
    def interpreter(self) -> str:
        """Return glmd's own interpreter, as the nodes see it."""
        return str(self.python or Path(sys.executable).absolute())

    @property
    def site(self) -> Site:
        """What is as this site has it, where a file says nothing else."""
        return Site(
            partition=self.partition,
            account=self.account,
            qos=self.qos,
            reservation=self.reservation,
            exclude=self.exclude,
            time=self.time,
            memory=_mem(self.memory),
            gres=self.gres,
            options=self.options,
            commands=self.programs,
        )
