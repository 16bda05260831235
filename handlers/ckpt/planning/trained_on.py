"""What the shards of an output were trained on, as its manifest keeps it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainedOn:
    """One file of data, as it was when the training began."""

    path: str
    bytes: int
    sha256: str | None
    """In hexadecimal digits; None where it is another file by now, or cannot be read."""
    changed: str = ""
    """Why there is no hash, for people; empty where there is one."""
