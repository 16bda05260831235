"""What sinfo's answers say of a cluster. The answers are those of Slurm 22.05.8, but for gres of types."""

import pytest

from handlers.slurm.calling import UnclearError
from handlers.slurm.partitions import Partition, partitions
from tests.unit.handlers.slurm.tools import Tools

DRAINED = """\
main*|up|infinite|1-infinite|1|drained|npu:8|n2
main*|up|infinite|1-infinite|1|idle|npu:8|n1
small|up|30:00|1|1|idle|npu:8|n1
off|down|1-00:00:00|1-infinite|1|drained*|npu:8|n2
"""


def asked(tools: Tools, told: str) -> dict[str, Partition]:
    """Return the partitions that such an answer tells of."""
    tools.say("sinfo", told)
    return {one.name: one for one in partitions(tools.commands.sinfo, 5, tools.environment)}


def test_partitions_are_told_with_what_they_have(tools: Tools) -> None:
    """Also what is down or drained now: it may come back."""
    found = asked(tools, DRAINED)
    assert sorted(found) == ["main", "off", "small"]
    main, small, off = found["main"], found["small"], found["off"]
    assert (main.is_default, main.nodes, main.limit, main.most_nodes, main.is_up) == (True, 2, None, None, True)
    assert [(group.names, group.is_away) for group in main.groups] == [("n2", True), ("n1", False)]
    assert (small.is_default, small.limit, small.most_nodes) == (False, 1800.0, 1)
    assert (off.is_up, off.limit) == (False, 86400.0)
    assert tools.argv("sinfo").startswith("-h -a -o ")


@pytest.mark.parametrize(
    ("gres", "count"),
    (
        ("npu:8", 8),
        ("npu:ascend910b:8(S:0-1)", 8),
        ("gpu:a100:4(S:0,1),npu:no_consume:2", 2),
        ("npu:a:4,npu:b:4", 8),
        ("(null)", 0),
        ("gpu:8", 0),
    ),
)
def test_devices_are_counted(tools: Tools, gres: str, count: int) -> None:
    """Whatever stands beside their number."""
    partition = asked(tools, f"main*|up|2:00:00|1-infinite|3|idle|{gres}|n[1-3]\n")["main"]
    assert partition.limit == 7200.0
    assert partition.nodes_with("npu", max(1, count)) == (3 if count else 0)
    assert partition.nodes_with("npu", count + 1) == 0
    assert partition.nodes_with("", 99) == 3


@pytest.mark.parametrize(
    ("stdout", "stderr", "code"),
    (
        ("", "slurm_load_partitions: Unable to contact slurm controller (connect failure)", 1),
        ("slurm is down for maintenance\n", "", 0),
        ("main*|up|infinite|1-infinite|many|idle|npu:8|n1\n", "", 0),
    ),
)
def test_what_is_not_clear_says_nothing(tools: Tools, stdout: str, stderr: str, code: int) -> None:
    """Neither that there is a partition, nor that there is none."""
    tools.say("sinfo", stdout, stderr, code)
    with pytest.raises(UnclearError, match="sinfo: "):
        partitions(tools.commands.sinfo, 5, tools.environment)
