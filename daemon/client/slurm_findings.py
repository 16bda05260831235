"""`glmd doctor --slurm`: what the site's Slurm has and lacks for trainings on its nodes."""

import importlib.metadata
import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from daemon.client.finding import Finding, Verdict
from daemon.client.slurm_probe import Probed, probes
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmSettings
from handlers.host.file_systems import network_file_system
from handlers.records.probe import Probe
from handlers.slurm.calling import UnclearError, answer
from handlers.slurm.partitions import Partition, hostnames, partitions
from handlers.units.durations import format_duration

ANSWER = 30.0
"""Seconds for each question."""
MOST_PROBED = 16
"""Nodes that are looked at: each takes a job."""
LEAST_FILES = 4096
"""Open files: a rank has some hundreds, for its data and its links to the others."""

_KILL_WAIT = re.compile(r"^KillWait\s*=\s*(\d+) sec", re.ASCII | re.MULTILINE)
_AUTHENTICATION = re.compile(r"^AuthType\s*=\s*(\S+)", re.ASCII | re.MULTILINE)
_NO_MUNGE = re.compile("munge|credential|authenticat", re.IGNORECASE)


def of_slurm(settings: Settings) -> Generator[Finding]:
    """Yield the findings, one after the other; those of nodes take as long as Slurm lets them wait."""
    slurm = settings.slurm
    if slurm is None:
        advice = "write `slurm:` into glmd.yaml; an empty section is enough if all defaults fit"
        yield Finding("slurm", Verdict.MISSING, "the settings have no section `slurm:`", advice)
        return
    try:
        version = answer([slurm.programs.sinfo, "--version"], ANSWER).strip()
        yield Finding("slurm", Verdict.OK, version)
        there = partitions(slurm.programs.sinfo, ANSWER)
        config = answer([slurm.programs.scontrol, "show", "config"], ANSWER)
    except UnclearError as error:
        yield _silent(str(error))
        return
    yield _munge(config)
    yield _kill_wait(config, settings)
    yield _partitions(there, slurm)
    asked = [one for one in there if (one.name in slurm.partition.split(",") if slurm.partition else one.is_default)]
    yield _gres(asked, slurm)
    yield from _paths(settings)
    yield from _nodes(asked, settings, slurm)


def _silent(why: str) -> Finding:
    if _NO_MUNGE.search(why):
        advice = "munged has to run here, with the cluster's key: systemctl status munge"
        return Finding("munge", Verdict.MISSING, why, advice)
    return Finding("slurm", Verdict.MISSING, why, "see slurm.commands in the settings, SLURM_CONF, and `scontrol ping`")


def _munge(config: str) -> Finding:
    found = _AUTHENTICATION.search(config)
    return Finding("munge", Verdict.OK, f"{found[1] if found else 'unknown'}: slurmctld accepts this host")


def _kill_wait(config: str, settings: Settings) -> Finding:
    found, grace = _KILL_WAIT.search(config), settings.training.grace
    if found is None:
        return Finding("KillWait", Verdict.NOTE, "scontrol show config does not say")
    if float(found[1]) < grace:
        text = (
            f"{found[1]} s, and training.grace is {grace:g} s: Slurm kills a job that it ends itself before "
            "the grace is over"
        )
        return Finding("KillWait", Verdict.NOTE, text, "raise KillWait in slurm.conf; glmd cancel works in any case")
    return Finding("KillWait", Verdict.OK, f"{found[1]} s, training.grace {grace:g} s")


def _partitions(there: Sequence[Partition], slurm: SlurmSettings) -> Finding:
    text = "; ".join(map(_partition_text, there)) or "none"
    unknown = [name for name in slurm.partition.split(",") if name and name not in {one.name for one in there}]
    if unknown:
        advice = f"slurm.partition names {', '.join(unknown)}, which is not among them"
        return Finding("partitions", Verdict.MISSING, text, advice)
    if not slurm.partition and not any(one.is_default for one in there):
        return Finding("partitions", Verdict.MISSING, text, "none is the default: set slurm.partition")
    return Finding("partitions", Verdict.OK, text)


def _partition_text(one: Partition) -> str:
    gres = ", ".join(sorted({f"{name}:{count}" for group in one.groups for name, count in group.gres.items()}))
    limit = "no time limit" if one.limit is None else f"up to {format_duration(one.limit)}"
    parts = [f"{one.nodes} node{'s' * (one.nodes != 1)}", gres or "no gres", limit, *([] if one.is_up else ["down"])]
    return f"{one.name}{'*' * one.is_default} ({', '.join(parts)})"


def _gres(asked: Sequence[Partition], slurm: SlurmSettings) -> Finding:
    if not slurm.gres:
        return Finding("gres", Verdict.NOTE, "slurm.gres is empty: Slurm counts no devices")
    wanted = f"{slurm.gres}:{slurm.devices_per_node}"
    nodes = sum(one.nodes_with(slurm.gres, slurm.devices_per_node) for one in asked)
    if not nodes:
        advice = "GresTypes in slurm.conf, Gres= of its nodes, gres.conf; or slurm.gres and devices_per_node here"
        return Finding("gres", Verdict.MISSING, f"no node has {wanted}", advice)
    return Finding("gres", Verdict.OK, f"{nodes} node{'s' * (nodes != 1)} with {wanted}")


def _paths(settings: Settings) -> Iterator[Finding]:
    """Look whether what nodes need is on a file system that several hosts may see."""
    wanted = {"root": settings.root, "training.python": settings.training.python}
    for name, path in (wanted | {"training.checkout": settings.training.checkout}).items():
        there = next((candidate for candidate in (path, *path.parents) if candidate.exists()), Path("/"))
        kind = network_file_system(there)
        if kind is not None:
            yield Finding(f"shared {name}", Verdict.OK, f"{path} is on {kind}")
        else:
            advice = "nodes have to have the same at that path"
            yield Finding(f"shared {name}", Verdict.NOTE, f"{path} is on a local file system of this host", advice)


def _nodes(asked: Sequence[Partition], settings: Settings, slurm: SlurmSettings) -> Iterator[Finding]:
    """Look at the nodes that take jobs now, and name the others."""
    there: dict[str, str] = {}
    try:
        for group in (group for partition in asked for group in partition.groups):
            for node in hostnames(slurm.programs.scontrol, group.names, ANSWER):
                there[node] = group.state if group.is_away else ""
    except UnclearError as error:
        yield _silent(str(error))
        return
    if os.uname().nodename.partition(".")[0] in there and settings.devices:
        text = "this host is also a node of Slurm: glmd and Slurm could give a device to two jobs"
        yield Finding(
            "devices", Verdict.NOTE, text, "leave `devices` of the settings empty, or take this host out of Slurm"
        )
    for node, state in there.items():
        if state:
            advice = f"scontrol show node {node} says why"
            yield Finding(f"node {node}", Verdict.NOTE, f"is {state}, and takes no job now", advice)
    nodes = [node for node, state in there.items() if not state]
    if len(nodes) > MOST_PROBED:
        text = f"glmd looked only at the first {MOST_PROBED} of {len(nodes)}"
        yield Finding("nodes", Verdict.NOTE, text, "glmd looks at a node again when a training begins there")
    try:
        with closing(probes(settings, slurm, nodes[:MOST_PROBED])) as found:
            for probed in found:
                yield of_node(probed, slurm)
    except OSError as error:
        text = f"a job's files cannot be written into {settings.root}: {error.strerror}"
        yield Finding("nodes", Verdict.MISSING, text, "run this as the user that glmd runs as")


def of_node(probed: Probed, slurm: SlurmSettings) -> Finding:
    """Say what a node has and lacks."""
    name, probe = f"node {probed.node}", probed.probe
    if probe is None:
        advice = (
            "check slurm.python, slurm.prologue, and whether the nodes share the root; sbatch runs as the "
            "user who runs this"
        )
        return Finding(name, Verdict.MISSING, probed.why, advice)
    text = (
        f"glmd {probe.glmd}, {probe.python}; training.python {probe.training or probe.training_problem}; "
        f"memlock {_limit(probe.memlock)}, nofile {_limit(probe.nofile)}; addresses of {probe.addresses} devices; "
        f"npu-smi {probe.npu_smi or 'is not there'}"
    )
    if probe.training_problem:
        return Finding(name, Verdict.MISSING, text, "training.python has to be at that path on each node")
    if probe.glmd != (here := importlib.metadata.version("glmd")):
        return Finding(
            name, Verdict.MISSING, text, f"glmd {here} runs here: install the same version there, or set slurm.python"
        )
    lacks = "; ".join(_lacks(probe, slurm))
    return Finding(name, Verdict.NOTE if lacks else Verdict.OK, text, lacks)


def _lacks(probe: Probe, slurm: SlurmSettings) -> Iterator[str]:
    if probe.memlock is not None:
        yield "HCCL's RDMA wants memlock unlimited: LimitMEMLOCK=infinity of slurmd.service"
    if probe.nofile is not None and probe.nofile < LEAST_FILES:
        yield f"nofile is low: LimitNOFILE={LEAST_FILES} or more of slurmd.service"
    if probe.addresses < slurm.devices_per_node:
        yield f"trainings on NPUs need an address for each device: {probe.address_problem}"
    if not probe.npu_smi:
        yield "no Ascend driver"
    elif probe.npu_problem:
        yield f"npu-smi {probe.npu_problem}"


def _limit(number: int | None) -> str:
    return "unlimited" if number is None else str(number)
