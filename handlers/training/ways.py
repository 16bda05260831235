"""Which way the ranks of a training are started: what a file's `glmd: launcher` comes to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from handlers.mindformers.version import Version

Word = Literal["auto", "rank_table", "cluster"]
"""What a file may say."""

DeviceTarget = Literal["Ascend", "CPU"]

CLUSTER_SINCE = Version(1, 5)
"""From when on `auto` is a cluster: 1.5 is the last MindFormers with a script for rank tables, beside that of msrun."""


class Way(StrEnum):
    """How ranks find each other."""

    RANK_TABLE = "rank_table"
    """By a file that says where each is."""
    CLUSTER = "cluster"
    """At a scheduler."""


@dataclass(frozen=True)
class Chosen:
    """How a training is started."""

    way: Way
    has_table: bool
    """Whether its ranks get RANK_TABLE_FILE. Those of a cluster do not meet by it: it is for what else reads it."""


def choose(word: Word, version: Version, target: DeviceTarget, *, with_table: bool) -> Chosen:
    """Return what `word` comes to with that version of MindFormers on such devices.

    On a CPU a rank table alone leads nowhere: who asks for one there rehearses what runs on NPUs, and gets it beside a
    cluster. `with_table` asks for it in any case.
    """
    by_table = word == "rank_table" or (word == "auto" and version < CLUSTER_SINCE)
    way = Way.RANK_TABLE if by_table and target != "CPU" else Way.CLUSTER
    return Chosen(way, has_table=by_table or with_table)
