"""What a node of Slurm's has, as handlers.shim.probe found it there."""

from handlers.records.record import Count, Record


class Probe(Record):
    """What there is on a node, for a job of glmd's user."""

    node: str
    """What Slurm calls it."""
    host: str
    glmd: str
    """The version of glmd."""
    python: str
    """What runs it."""
    training: str = ""
    """What the training's interpreter says of itself; empty where it cannot be run."""
    training_problem: str = ""
    memlock: Count | None
    """Bytes of memory that a process may lock; None for no limit."""
    nofile: Count | None
    """Files that a process may have open; None for no limit."""
    addresses: Count
    """How many devices have an address for HCCL."""
    address_problem: str = ""
    """Why one has none."""
    npu_smi: str = ""
    """Where npu-smi is; empty where it is not."""
    npu_problem: str = ""
    """What it says that is wrong."""
