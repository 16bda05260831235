"""An evaluation on a node of Slurm's: srun asks for the node, waits for it, and passes on what the program prints.

Anyone who ends srun ends the program, wherever it is; and Slurm itself ends it after its time, should srun be gone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from handlers.gate.evaluation import Evaluation

IN_QUEUE = 7 * 86400.0
"""Seconds that an evaluation may wait for a node beside those that it may run."""
_WHEN_SLURM_ANSWERS = 'until "$0" -h -n glmd >/dev/null 2>&1; do sleep 5; done; exec "$@"'
"""Of a shell. While slurmctld is away srun ends at once, and that is no fault of what is to be evaluated."""


@dataclass(frozen=True)
class NodeWish:
    """What Slurm is asked for."""

    srun: str
    squeue: str
    name: str
    """What the job is called in Slurm, as no other: a second one of that name waits until the first is over."""
    placing: Sequence[str]
    """Options that say where it may run, on what, and by whose account."""
    prologue: str = ""
    """The site's own lines, before the program."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What srun needs to find Slurm, beside what the program has."""


def on_a_node(evaluation: Evaluation, wish: NodeWish) -> Evaluation:
    """Return `evaluation` as it runs on one node. It has no device of this host: Slurm gives it one of the node's."""
    minutes = max(1, math.ceil(evaluation.timeout / 60))
    asked = (
        *("/bin/sh", "-c", _WHEN_SLURM_ANSWERS, wish.squeue),
        wish.srun,
        f"--job-name={wish.name}",
        f"--comment={wish.name}",
        "--dependency=singleton",
        "--ntasks=1",
        f"--time={minutes}",
        "--quiet",
        "--input=none",
        "--cpu-bind=none",
        "--mpi=none",
        "--export=ALL",
        "--propagate=NONE",
        *wish.placing,
    )
    script = f'{wish.prologue.rstrip()}\nexec "$@"'.lstrip()
    return replace(
        evaluation,
        command=(*asked, "/bin/bash", "-c", script, "glmd", *evaluation.command),
        environment={**evaluation.environment, **wish.environment},
        devices=(),
        timeout=evaluation.timeout + IN_QUEUE,
    )
