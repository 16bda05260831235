"""A training on two nodes as a whole: real shims and ranks, with processes of this host in Slurm's place."""

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handlers.records.job_plan import TimeLimits
from handlers.records.nodes import Owner, Start
from handlers.records.step_exit import Outcome
from handlers.shim.run import EXIT_REFUSED
from tests.unit.handlers.shim.local_nodes import NEVER, SAVES, LocalNodes

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop


@pytest.fixture
def nodes(workshop: "Workshop") -> LocalNodes:
    """Two nodes, n1 and n2."""
    return LocalNodes(workshop)


TELLS = SAVES + "print(*(f'{name}={os.environ.get(name)}' for name in sorted(os.environ)), sep='\\n')\n"


def environment(nodes: LocalNodes, rank: int) -> dict[str, str]:
    """Return what a rank that ran TELLS had in its environment."""
    return dict(line.split("=", 1) for line in nodes.log(rank).read_text().splitlines() if "=" in line)


def test_all_ranks_of_all_nodes_end_well(nodes: LocalNodes) -> None:
    """They are numbered as the merged rank table says, by the text of the addresses: 10.0.0.10 comes before 10.0.0.9.

    All have that table, each its own device of its own node; what the settings give, and nothing that makes it a part
    of a Slurm job.
    """
    end = nodes.run(TELLS)
    assert (end.outcome, end.reason, end.nodes_without_record) == (Outcome.COMPLETED, "", ())
    assert {(one.rank, one.device, one.node, one.exit_code) for one in end.processes} == {
        (0, 2, "n2", 0),
        (1, 3, "n2", 0),
        (2, 2, "n1", 0),
        (3, 3, "n1", 0),
    }
    begun = Start.now(nodes.directory.start)
    assert begun is not None
    assert begun.table is not None
    assert begun.table.name == "hccl_2s_4p.json"
    table = json.loads(begun.table.read_text())
    assert [server["server_id"] for server in table["server_list"]] == ["10.0.0.10", "10.0.0.9"]
    assert [device["device_ip"] for server in table["server_list"] for device in server["device"]] == [
        "192.168.2.102", "192.168.2.103", "192.168.1.102", "192.168.1.103",
    ]  # fmt: skip
    for rank, device in enumerate(("2", "3", "2", "3")):
        found = environment(nodes, rank)
        wanted = {"RANK_ID": str(rank), "RANK_SIZE": "4", "DEVICE_ID": device, "GIVEN": "by the settings"}
        assert (wanted | {"RANK_TABLE_FILE": str(begun.table)}).items() <= found.items()
        assert not [name for name in found if name.startswith("SLURM") or name == "ASCEND_RT_VISIBLE_DEVICES"]


def test_a_cluster_meets_at_a_scheduler_beside_the_jobs_shim(nodes: LocalNodes) -> None:
    """At an address of the first node and a port that is free there; without addresses of devices: none needs them."""
    scontrol = Path(nodes.environment["PATH"].partition(":")[0], "scontrol")
    scontrol.write_text("#!/bin/sh\necho NodeAddr=127.0.0.1\n")
    module = nodes.workshop.job_dir.path / "mindspore"  # what the scheduler imports
    module.mkdir()
    (module / "__init__.py").write_text("GRAPH_MODE = 0\ndef set_context(**given): print(given)\n")
    (module / "communication.py").write_text("def init(): print('scheduled')\n")
    end = nodes.run(TELLS, launcher="cluster", has_table=False, device_target="CPU")
    assert end.outcome is Outcome.COMPLETED, end.reason
    assert [one.exit_code for one in end.processes] == [0] * 5
    assert (nodes.plan("").output / "log" / "scheduler.log").read_text().endswith("scheduled\n")
    begun = Start.now(nodes.directory.start)
    assert begun is not None
    assert begun.table is None
    for rank in range(4):
        wanted = {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "MS_WORKER_NUM": "4"}
        wanted |= {"MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": str(begun.port)}
        assert wanted.items() <= environment(nodes, rank).items()


def test_the_first_failing_rank_is_named_with_its_node_and_all_end(nodes: LocalNodes) -> None:
    """Those of the other node by TERM."""
    end = nodes.run(f"if rank == 2: raise KeyError('prefix')\n{NEVER}")
    assert end.outcome is Outcome.FAILED
    assert end.reason.startswith("rank 2 on device 2 of n1 exited 1 first (")
    assert "KeyError: 'prefix'; cause: " in end.reason
    assert end.first is not None
    assert (end.first.rank, end.first.node) == (2, "n1")
    assert {(one.rank, one.signal) for one in end.processes} == {
        (0, "SIGTERM"),
        (1, "SIGTERM"),
        (2, None),
        (3, "SIGTERM"),
    }


def test_an_echo_on_one_node_gives_way_to_the_cause_on_another(nodes: LocalNodes) -> None:
    """Though it is heard of first: whoever lost a peer says so, and the peer a moment later why."""
    script = f"""
    if rank == 0:
        print("RuntimeError: Connection reset by peer")
        sys.exit(1)
    if rank == 3:
        log = Path(os.environ["LOCAL_DEFAULT_PATH"], "..", "train", "nodes", "1", "state.json")
        while '"failed": []' in log.read_text():
            time.sleep(0.01)
        print("EI0004: The ranktable is invalid.")
        sys.exit(1)
    {NEVER}
    """
    end = nodes.run(script)
    assert end.reason.startswith("rank 3 on device 3 of n1 exited 1 first (")
    assert "; rank 0 only lost its peer; cause: HCCL rejects the rank table as illegal" in end.reason


def test_a_killed_rank_is_named(nodes: LocalNodes) -> None:
    """By its signal."""
    shim = nodes.start(NEVER)
    nodes.until_training()
    os.kill(nodes.state(1).pids[1], signal.SIGKILL)
    assert shim.wait(timeout=30) == 1
    assert nodes.exit().reason.startswith("rank 1 on device 3 of n2 was killed by SIGKILL first (")


def test_a_node_that_cannot_do_its_work_says_why_and_no_rank_starts(nodes: LocalNodes) -> None:
    """Before anybody has begun: it has fewer devices than are wanted."""
    nodes.environment["ASCEND_RT_VISIBLE_DEVICES"] = "2"
    end = nodes.run(NEVER)
    assert end.outcome is Outcome.FAILED
    assert "ASCEND_RT_VISIBLE_DEVICES is '2', which is not 2 devices" in end.reason
    assert (end.code, end.processes, end.nodes_without_record) == ("slurm.node-unfit", (), ())
    assert end.nodes_unfit == ()  # all are so: that is no node's fault


def test_an_unfit_node_is_named_so_that_others_can_have_its_place(nodes: LocalNodes) -> None:
    """The look at each node's devices says so; no rank starts on any node."""
    npu_smi = Path(nodes.environment["PATH"].partition(":")[0], "npu-smi")
    rows = "".join(
        f"| {n} 910B3 | $health | 91.0 36 0 / 0 |\n| 0 | 0000:C{n}:00.0 | 0 0 / 0 3401 / 65536 |\n" for n in (2, 3)
    )
    health = "case $SLURMD_NODENAME in n2) health=Alarm;; *) health=OK;; esac"
    npu_smi.write_text(f"#!/bin/sh\n{health}\ncat <<END\n{rows}END\n")
    npu_smi.chmod(0o755)
    end = nodes.run(NEVER)
    assert end.outcome is Outcome.FAILED
    assert end.reason.startswith("n2 is unfit: the health of device 2 is Alarm (npu-smi info), the health of device 3")
    assert (end.code, end.nodes_unfit, end.nodes_without_record) == ("slurm.node-unfit", ("n2",), ())
    assert end.processes == ()


def test_a_node_that_never_says_what_it_has_goes_by_slurms_name(nodes: LocalNodes) -> None:
    """So that the next attempt can do without it."""
    nodes.environment["SLURM_JOB_NODELIST"] = "n[1-3]"
    nodes.environment["ABSENT"] = "2"
    end = nodes.run(NEVER, nodes=3, gather=8.0)
    assert end.reason.startswith("n3 did not report its devices in 8 s (slurm.gather)")
    assert (end.code, end.nodes_unfit) == ("slurm.node-unfit", ("n3",))


def test_who_asks_for_the_end_gets_it(nodes: LocalNodes) -> None:
    """By request.json, without Slurm."""
    shim = nodes.start(NEVER)
    nodes.until_training()
    nodes.ask("glmd cancel")
    assert shim.wait(timeout=30) == 1
    end = nodes.exit()
    assert (end.outcome, end.reason) == (Outcome.CANCELLED, "stopped by glmd cancel")
    assert {one.signal for one in end.processes} == {"SIGTERM"}


def test_a_wish_of_before_the_beginning_is_not_lost(nodes: LocalNodes) -> None:
    """It was written while the job waited in Slurm's queue."""
    nodes.directory.lay_out(2)
    nodes.ask("glmd cancel")
    assert nodes.run(NEVER).outcome is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("signum", "outcome", "limit"),
    ((signal.SIGTERM, Outcome.ENDED_OUTSIDE, None), (signal.SIGUSR1, Outcome.TIMED_OUT, "slurm.time")),
)
def test_slurms_signals(nodes: LocalNodes, signum: signal.Signals, outcome: Outcome, limit: str | None) -> None:
    """TERM may mean anything; USR1 comes before the time limit of the job."""
    shim = nodes.start(NEVER)
    nodes.until_training()
    shim.send_signal(signum)
    assert shim.wait(timeout=30) == 1
    assert (nodes.exit().outcome, nodes.exit().limit) == (outcome, limit)


def test_a_second_job_touches_nothing(nodes: LocalNodes) -> None:
    """Slurm has been asked twice, and took both: the first that runs is the one, now and when it has ended."""
    shim = nodes.start(NEVER)
    nodes.until_training()
    owner = Owner.read(nodes.directory.owner)
    assert (owner.pid, owner.job) == (shim.pid, "4711")
    assert nodes.again().wait(timeout=30) == EXIT_REFUSED
    nodes.ask("glmd cancel")
    assert shim.wait(timeout=30) == 1
    end = nodes.records.exit.read_bytes()
    assert nodes.again().wait(timeout=30) == EXIT_REFUSED
    assert nodes.records.exit.read_bytes() == end
    assert Owner.read(nodes.directory.owner) == owner


def test_a_killed_shim_of_a_node_is_missed_and_the_others_end(nodes: LocalNodes) -> None:
    """Its ranks die with it, those of the other node are ended; what ran there has left no word."""
    shim = nodes.start(NEVER)
    nodes.until_training()
    os.kill(nodes.state(1).pid or 0, signal.SIGKILL)
    assert shim.wait(timeout=30) == 1
    end = nodes.exit()
    assert end.outcome is Outcome.FAILED
    assert end.reason.startswith("n2 did not record how it ended (srun exited 137): see ")
    assert (end.code, end.nodes_without_record) == ("slurm.node-lost", ("n2",))
    assert {one.node for one in end.processes} == {"n1"}


def test_a_frozen_node_is_given_up_and_ends_when_it_wakes(nodes: LocalNodes) -> None:
    """As one whose power fails: the others are ended, and exit.json comes without it."""
    shim = nodes.start(NEVER, node_silence=2.0, grace=1.0)
    nodes.until_training()
    frozen = nodes.state(1)
    os.kill(frozen.pid or 0, signal.SIGSTOP)
    try:
        nodes.workshop.eventually(lambda: nodes.state(0).exit, "the other node has ended")
        assert (nodes.state(0).exit or frozen).was_told  # type: ignore[union-attr] # it has ended
    finally:
        os.kill(frozen.pid or 0, signal.SIGCONT)
    assert shim.wait(timeout=60) == 1
    end = nodes.exit()
    assert end.reason == "n2 gave no sign of life for 2 s (slurm.node_silence)"
    assert end.code == "slurm.node-lost"


def test_a_frozen_shim_of_the_job_lets_nodes_end_by_themselves(nodes: LocalNodes) -> None:
    """Nobody tells them any more what to do, nor who else has failed."""
    shim = nodes.start(NEVER, lease=2.0)
    nodes.until_training()
    shim.send_signal(signal.SIGSTOP)
    try:
        for number in (0, 1):
            nodes.workshop.eventually(lambda number=number: nodes.state(number).exit, "the node has ended")
            exit_ = nodes.state(number).exit
            assert exit_ is not None
            assert exit_.why == "the shim of the job gave no sign for 2 s (slurm.lease)"
    finally:
        shim.send_signal(signal.SIGCONT)
    assert shim.wait(timeout=60) == 1
    assert (nodes.exit().outcome, nodes.exit().code) == (Outcome.FAILED, "slurm.node-lost")  # nobody wanted it


def test_a_training_that_hangs_is_ended_and_says_where_it_stands(nodes: LocalNodes) -> None:
    """The ranks of all nodes are looked at before they are ended."""
    end = nodes.run("time.sleep(600)", limits=TimeLimits(silence=None, first_step=3.0))
    assert (end.outcome, end.limit) == (Outcome.TIMED_OUT, "first_step")
    assert end.reason.startswith("no log line and no shard while loading for 3 s (timeout.first_step); quiet for")
    assert "it stands in <module>" in end.reason
    assert sorted(path.name for path in nodes.records.stacks.iterdir()) == [f"rank_{rank}.txt" for rank in range(4)]


def test_nothing_saved_is_nothing_trained(nodes: LocalNodes) -> None:
    """As on one host."""
    end = nodes.run("pass")
    assert (end.outcome, end.code) == (Outcome.FAILED, "rank.nothing-saved")


def test_what_ranks_have_written_is_on_the_disk_before_their_node_says_that_they_ended(
    nodes: LocalNodes, tmp_path: Path
) -> None:
    """And their logs with each sign of life: pages of another host nobody else can flush."""
    traced = tmp_path / "traced"
    module = tmp_path / "sitecustomize.py"  # in every process of the nodes; of an interpreter with -S in none
    module.write_text(f"""
import os
fsync = os.fsync
def traced(descriptor):
    with open({str(traced)!r}, "a") as stream:
        stream.write(os.readlink(f"/proc/self/fd/{{descriptor}}") + "\\n")
    return fsync(descriptor)
os.fsync = traced
""")
    nodes.environment["PYTHONPATH"] = str(tmp_path)
    beats = "log = Path(os.environ['LOCAL_DEFAULT_PATH'], '..', 'train', 'nodes')\n"
    beats += "seq = lambda: min(int(re.search('[0-9]+', (log / n / 'state.json').read_text())[0]) for n in '01')\n"
    end = nodes.run(
        f"import re\n{beats}print('trains', flush=True)\nwhile seq() < 5: time.sleep(0.05)\n{SAVES}", lease=10.0
    )
    assert end.outcome is Outcome.COMPLETED, end.reason
    synced = traced.read_text().splitlines()
    for node, ranks in (("0", (2, 3)), ("1", (0, 1))):
        told = [place for place, line in enumerate(synced) if f"/nodes/{node}/.state.json" in line]
        for rank in ranks:
            logs = [place for place, line in enumerate(synced) if line == str(nodes.log(rank))]
            assert [place for place in logs if place < told[-2]], "with a beat before the last"
            saved = nodes.plan("").output / "checkpoint" / f"rank_{rank}" / f"demo_rank_{rank}-1_1.ckpt"
            assert synced.index(str(saved)) < told[-1]
