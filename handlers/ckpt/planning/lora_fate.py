"""What becomes of LoRA adapters: what is asked for, apart from `handlers.ckpt.planning.lora`, which does it."""

from enum import StrEnum


class Lora(StrEnum):
    """What becomes of adapters."""

    KEEP = "keep"
    """They stay beside their weights."""
    MERGE = "merge"
    """They are added to their weights and leave: the output is a checkpoint of the network without LoRA."""
    ONLY = "only"
    """They are all of the output."""
