"""A light stand-in for MindSpore: as much of it as a cluster's scheduler and ranks need to meet."""

GRAPH_MODE = 0


def set_context(**context: object) -> None:
    """Take what is set for nothing."""
    del context
