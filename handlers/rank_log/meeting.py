"""Which ranks have reached the scheduler of their cluster, read from its log."""

import re
from pathlib import Path

from handlers.ckpt.files.bounded import without_waiting

NOT_REACHED = "scheduler not reached"
"""The known error of a cluster that did not come about."""

_MOST = 16 << 20
"""Bytes of the log that are read: while it waits, MindSpore writes two lines a second."""

_REGISTERED = re.compile(rb"The new node: (\d{1,9})\(role: MS_WORKER\)[^\n]*is registered successfully")
"""MindSpore 2.0 and 2.9: cluster/topology/meta_server_node.cc, ProcessRegister. A node's id is MS_NODE_ID, the rank."""


def reached(log: Path) -> frozenset[int] | None:
    """Return the ranks that a scheduler has registered; None where its `log` cannot be read."""
    try:
        with open(log, "rb", opener=without_waiting) as stream:
            return frozenset(int(match[1]) for match in _REGISTERED.finditer(stream.read(_MOST)))
    except OSError:
        return None
