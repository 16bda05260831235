"""Slurm's TaskProlog: says which devices the job has of this node, for Slurm sets no variable for a gres called npu.

What it prints as `export NAME=VALUE` the task gets; see TaskProlog in slurm.conf(5).
"""

import os
import re
import subprocess


def main() -> None:
    """Print the export for this node, where the job has devices of it."""
    shown = ["scontrol", "-d", "show", "job", os.environ["SLURM_JOB_ID"]]
    told = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    for nodes, indexes in re.findall(r"^\s*Nodes=(\S+) .*\(IDX:([\d,-]+)\)", told, re.MULTILINE):
        hosts = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
        if os.environ["SLURMD_NODENAME"] in hosts.stdout.split():
            print(f"export ASCEND_RT_VISIBLE_DEVICES={indexes}")  # noqa: T201 - that is how it is told


if __name__ == "__main__":
    main()
