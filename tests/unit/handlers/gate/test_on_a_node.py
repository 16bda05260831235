"""An evaluation on a node of Slurm's, with programs in the place of Slurm's."""

import subprocess
from pathlib import Path

from handlers.gate.evaluation import Evaluation
from handlers.gate.on_a_node import IN_QUEUE, NodeWish, on_a_node
from handlers.records.job_dir import JobDir, Step

SRUN = '#!/bin/sh\nfor one; do [ "$one" = /bin/bash ] && exec "$@"; echo "$one"; shift; done\n'
"""Says what it is asked for, and runs the rest here."""


def evaluation(place: Path, *command: str) -> Evaluation:
    """Return one of ninety seconds, and of a device of this host."""
    records = JobDir(place).step(1, Step.EVALUATE)
    return Evaluation(
        name="x", command=command, records=records, merged=place, champion=None, environment={"A": "1"}, devices=(3,),
        timeout=90.0,
    )  # fmt: skip


def test_the_program_runs_behind_the_sites_lines(tmp_path: Path) -> None:
    """With its words as they are, and its own exit code; Slurm is asked for whole minutes, this host for nothing."""
    for name, text in (("srun", SRUN), ("squeue", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    wish = NodeWish(
        srun=str(tmp_path / "srun"),
        squeue=str(tmp_path / "squeue"),
        name="glmd-evaluate",
        placing=("--partition=npu",),
        prologue="export SAID='by the site'\n\n",
        environment={"SLURM_CONF": "/etc/slurm.conf"},
    )
    found = on_a_node(evaluation(tmp_path, "/bin/sh", "-c", 'echo "$SAID|$1"; exit 7', "sh", "two  words; $HOME"), wish)
    done = subprocess.run(found.command, capture_output=True, text=True, check=False, timeout=30)
    *asked, last = done.stdout.splitlines()
    assert (done.returncode, last) == (7, "by the site|two  words; $HOME")
    assert {"--job-name=glmd-evaluate", "--dependency=singleton", "--ntasks=1", "--time=2", "--partition=npu"} <= set(
        asked
    )
    assert (found.devices, found.timeout) == ((), 90.0 + IN_QUEUE)
    assert found.environment == {"A": "1", "SLURM_CONF": "/etc/slurm.conf"}


def test_without_lines_of_the_site_there_is_just_the_program(tmp_path: Path) -> None:
    """And at least a minute."""
    wish = NodeWish(srun="srun", squeue="squeue", name="glmd-evaluate", placing=())
    found = on_a_node(evaluation(tmp_path, "python", "eval.py"), wish)
    assert found.command[-6:] == ("/bin/bash", "-c", 'exec "$@"', "glmd", "python", "eval.py")
