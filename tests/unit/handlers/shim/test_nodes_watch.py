"""What the shim of a job sees of its nodes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handlers.records.job_dir import StepDir
from handlers.records.nodes import NodeExit, NodesDir, NodeState
from handlers.records.step_exit import ProcessExit
from handlers.records.train_plan import Role
from handlers.records.witness import Witness
from handlers.shim.nodes_watch import NodesWatch

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> NodesDir:
    """Return the records of two nodes, laid out."""
    directory = NodesDir(StepDir(tmp_path))
    directory.lay_out(2)
    return directory


def witness(rank: int, seconds: float | None) -> Witness:
    """Return what is known of a rank that failed so many seconds after noon by its node's clock, or runs still."""
    ended = None if seconds is None else NOON + timedelta(seconds=seconds)
    exit_ = ended and ProcessExit(
        role=Role.RANK, rank=rank, device=0, pid=rank + 1, exit_code=1, signal=None, ended=ended, line="x", node="n"
    )
    where = {"role": Role.RANK, "rank": rank, "device": 0, "pid": rank + 1, "log": "/log"}
    return Witness.model_validate({**where, "exit": exit_, "error": None, "said": "", "line": "x", "words": "x"})


def say(directory: NodesDir, number: int, seq: int, **state: object) -> None:
    """Let a node say something."""
    NodeState(seq=seq, node=f"n{number + 1}", **state).publish(directory.state(number))  # type: ignore[arg-type]


def test_whose_failure_was_seen_first_failed_first(directory: NodesDir) -> None:
    """Whatever the nodes' own clocks say."""
    watch = NodesWatch(directory, 2, silence=60)
    say(directory, 1, 1, failed=(witness(3, 500), witness(2, None)))
    watch.look()
    say(directory, 0, 1, failed=(witness(1, 1), witness(0, None)))
    watch.look()
    assert [one.rank for one in watch.witnesses()] == [3, 1, 2, 0]


def test_of_those_seen_at_one_look_the_file_servers_clock_decides(directory: NodesDir) -> None:
    """By as much as each node's own differs from that."""
    watch = NodesWatch(directory, 2, silence=60)
    say(directory, 0, 1, failed=(witness(0, 10),), clock_offset=0.0)
    say(directory, 1, 1, failed=(witness(1, 12),), clock_offset=-5.0)
    watch.look()
    assert [one.rank for one in watch.witnesses()] == [1, 0]


def test_who_falls_silent_is_seen(directory: NodesDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not who has not begun yet, nor who has ended."""
    now = 1000.0
    monkeypatch.setattr("handlers.shim.nodes_watch.time.monotonic", lambda: now)
    watch = NodesWatch(directory, 2, silence=5)
    say(directory, 0, 1)
    for seq in range(2, 12):
        now += 1.0
        if seq == 5:
            say(directory, 1, 1)
        watch.look()
    assert [node.name for node in watch.silent] == ["n1", "n2"]
    say(directory, 0, 2, exit=NodeExit(is_good=True, ended=NOON))
    watch.look()
    assert [node.name for node in watch.silent] == ["n2"]
    assert [node.name for node in watch.without_end] == ["n2"]
    assert not watch.have_ended


def test_half_a_record_says_nothing(directory: NodesDir) -> None:
    """What was known before counts on: some server's trouble is no end."""
    watch = NodesWatch(directory, 2, silence=5)
    say(directory, 0, 1)
    watch.look()
    directory.state(0).write_text("{")
    watch.look()
    assert watch.nodes[0].name == "n1"
    assert watch.nodes[1].name == "node 1"
