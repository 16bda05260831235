"""How long one try may wait, and how much it takes in."""

from dataclasses import dataclass

MOST_CHARACTERS = 200
"""Characters that are kept of what the other side says."""


@dataclass(frozen=True)
class Limits:
    """Of one try; tests have shorter ones."""

    seconds: float = 10.0
    """For each thing that the network is asked: to connect, to send, to answer."""
    answer_bytes: int = 64 * 1024
    """What is read of an answer, at most."""
    longest_wait: float = 24 * 3600.0
    """Seconds: what the other side asks to wait for counts up to here."""
