"""Looks what a node of Slurm's has, for `glmd doctor --slurm`: the batch step of a job of a minute.

    python -m handlers.shim.probe FILE --training PYTHON --devices 8 --hccn-tool hccn_tool --hccn-conf /etc/hccn.conf

It writes FILE, whole and last, on the file system that all share, and changes nothing else.
"""

import argparse
import importlib.metadata
import os
import platform
import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from handlers.cards.ask import ask
from handlers.cards.preflight import TOOL
from handlers.ckpt.files.durable import UMASK
from handlers.rank_table.hccn import HccnLookup
from handlers.records.probe import Probe

PATIENCE = 20.0
"""Seconds for each program that is asked: all have to come to an end within the job's minute."""

_VERSIONS = """
import platform, importlib.metadata as m
found = [platform.python_version()]
for name in ("mindspore", "mindformers"):
    try: found.append(f"{name} {m.version(name)}")
    except m.PackageNotFoundError: pass
print(", ".join(found))
"""
"""Asks an interpreter for what is installed: to import MindSpore takes too long."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Look, and write what was found; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m handlers.shim.probe", description="Looks what this node has.")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--training", type=Path, required=True, metavar="PYTHON")
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--hccn-tool", default="hccn_tool")
    parser.add_argument("--hccn-conf", type=Path, default=Path("/etc/hccn.conf"))
    given = parser.parse_args(arguments)
    lookup = HccnLookup(tool=given.hccn_tool, conf=given.hccn_conf, timeout=2.0)
    found = lookup.addresses(range(given.devices))
    training, problem = _asked([str(given.training), "-c", _VERSIONS])
    npu_smi = shutil.which(TOOL) or ""
    Probe(
        node=os.environ.get("SLURMD_NODENAME") or os.uname().nodename,
        host=os.uname().nodename,
        glmd=importlib.metadata.version("glmd"),
        python=f"{sys.executable} {platform.python_version()}",
        training="" if problem else training,
        training_problem=problem,
        memlock=_limit(resource.RLIMIT_MEMLOCK),
        nofile=_limit(resource.RLIMIT_NOFILE),
        addresses=len(found.ips),
        address_problem=next((f"device {device}: {why}" for device, why in found.missing.items()), ""),
        npu_smi=npu_smi,
        npu_problem=_asked([npu_smi, "info"])[1] if npu_smi else "",
    ).publish(given.file)
    return 0


def _asked(argv: Sequence[str]) -> tuple[str, str]:
    """Return what a program says, and what is wrong; empty where nothing is."""
    try:
        output, code = ask(argv, PATIENCE)
    except OSError as error:
        return "", f"cannot be run: {error.strerror}"
    answer = " ".join(output.split())[:300]
    if code is None:
        return answer, f"gave no answer in {PATIENCE:g} s"
    return answer, f"ended with code {code}: {answer}" if code else ""


def _limit(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft


if __name__ == "__main__":
    os.umask(UMASK)
    sys.exit(main())
