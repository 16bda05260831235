"""Trainings on two nodes of a real Slurm, under a real daemon; a stand-in trains."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir, NodeState, Owner
from handlers.records.step_exit import Outcome, StepExit
from tests.acceptance.house import CONFIG, House
from tests.slurm.cluster import DEVICES, Cluster
from tests.slurm.house import section

pytestmark = pytest.mark.slurm


def drop(house: House, name: str = "run", more: str = "  launcher: cluster\n") -> None:
    """Drop a file for four ranks, two on each of two nodes, with `more` in its section."""
    text = CONFIG.format(data=house.data, devices="x").replace('  devices: "x"\n', f"  slurm: {{nodes: 2}}\n{more}")
    house.drop(f"{name}.yaml", text=text.replace("data_parallel: 2", "data_parallel: 4"))


def directory(house: House, attempt: int = 1) -> NodesDir:
    """Return where an attempt of job 1 has its records."""
    return NodesDir(house.directory().step(attempt, Step.TRAIN))


def until_attempt(house: House, attempt: int) -> str:
    """Wait until the ranks of an attempt wait at the gate; return why it was begun."""
    house.wait(lambda: house.job().attempt == attempt, f"attempt {attempt}")
    until_gate(house)
    return next(one for one in reasons(house)[::-1] if one.startswith("resumed"))


def state(house: House, node: int) -> NodeState:
    """Return what a node says; an empty one until it says something."""
    return NodeState.now(directory(house, house.job().attempt).state(node)) or NodeState()


def exit_of(house: House, attempt: int = 1) -> StepExit:
    """Return how an attempt ended."""
    return StepExit.read(house.directory().step(attempt, Step.TRAIN).exit)


def gated(house: House, **more: str) -> None:
    """Let ranks wait at the gate before their last round."""
    house.training["environment"] = {"STANDIN_GATE": str(house.gate), **more}


def until_gate(house: House) -> None:
    """Wait until all ranks wait there."""
    house.until(State.TRAINING)
    logs = [house.directory().rank_log(rank) for rank in range(4)]
    house.wait(lambda: all(log.exists() and "Epoch:[ 30/" in log.read_text() for log in logs), "the gate")


def reasons(house: House) -> list[str]:
    """Return why job 1 went from state to state."""
    told = house.run("status", "1", "--json").stdout
    return re.findall(r'"reason": "([^"]*)"', told)


def fill(cluster: Cluster) -> str:
    """Let another job have all devices; return its number."""
    holds = ["--nodes=2", f"--gres=npu:{DEVICES}", "--output=/dev/null", "--job-name=another", "--wrap", "sleep 600"]
    number = cluster.run("sbatch", "--parsable", *holds).strip()
    return number.partition(";")[0]


def waits(house: House) -> bool:
    """Say whether Slurm's own word is why job 1 is where it is."""
    job = house.job()
    return job.state is State.SUBMITTED and "waits for Resources" in job.reason


def runs_of(cluster: Cluster) -> list[tuple[str, str]]:
    """Return name and state of glmd's jobs that Slurm knows."""
    return [(name, told) for _, name, told in cluster.jobs() if name.startswith("glmd-")]


def test_a_dropped_file_trains_on_two_nodes_and_is_merged(house: House, cluster: Cluster) -> None:
    """From the inbox to the published output. The job is found in Slurm by its name, and is there once."""
    house.start()
    drop(house)
    job = house.until(State.DONE)
    assert (job.nodes, job.devices, list(job.ranks)) == (2, (), [0, 1, 2, 3])
    ((name, told),) = runs_of(cluster)
    assert re.fullmatch(r"glmd-[0-9a-f]{8}-0001-1-train", name)
    assert told in {"COMPLETED", "COMPLETING", "RUNNING"}  # it may hear late of it
    assert {(one.rank, one.device, one.node) for one in exit_of(house).processes if one.rank is not None} == {
        (0, 0, "n1"), (1, 1, "n1"), (2, 0, "n2"), (3, 1, "n2"),
    }  # fmt: skip
    assert (house.directory().merged / "manifest.json").exists()
    assert "Epoch:[ 31/" in house.run("logs", "1", "--rank", "3").stdout
    assert house.run("doctor", "--state").stdout.count("job 1") == 0


def test_ranks_have_what_the_node_has_and_no_more(
    house: House, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the limits nor the variables of whoever started the daemon; and the files are not for everybody."""
    monkeypatch.setenv("SLURM_NTASKS", "99")
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    gated(house)
    house.start()
    drop(house)
    until_gate(house)
    pid = state(house, 1).pids[2]
    told = dict(re.findall(r"(\w+)=([^\0]*)", Path(f"/proc/{pid}/environ").read_text()))
    assert told["RANK_ID"] == "2"
    assert told["MS_SCHED_HOST"] == "127.0.0.11"
    assert not [name for name in told if name.startswith(("SLURM_N", "SBATCH", "MY_", "ASCEND_RT"))]
    assert house.directory().rank_log(2).stat().st_mode & 0o007 == 0
    house.gate.touch()
    house.until(State.DONE)
    del cluster


def test_a_killed_rank_is_named_and_the_training_resumed(house: House, cluster: Cluster) -> None:
    """With its node; as the next attempt, which is another job in Slurm, from the newest save of all ranks.

    So it is when the shim of a node is killed, though that is left without a word.
    """
    gated(house, STANDIN_SAVE="17")
    house.start()
    drop(house)
    until_gate(house)
    os.kill(state(house, 1).pids[3], signal.SIGKILL)
    until_attempt(house, 2)
    os.kill(state(house, 1).pid or 0, signal.SIGKILL)
    house.gate.touch()
    job = house.until(State.DONE)
    assert job.attempt == 3
    assert any(
        "n2 did not record how it ended (srun exited 137)" in one and "without n2" in one for one in reasons(house)
    )
    first = exit_of(house).first
    assert first is not None
    assert (first.rank, first.node, first.signal) == (3, "n2", "SIGKILL")
    resumed = "resumed from 17_4 after: rank 3 on device 1 of n2 was killed by SIGKILL"
    assert any(resumed in one for one in reasons(house))
    assert {name[-7:] for name, _ in runs_of(cluster)} == {"1-train", "2-train", "3-train"}
    assert house.directory().earlier_output(1).is_dir()
    assert house.directory().output_link.readlink() == Path("attempts", "3", "output")


def test_a_daemon_that_is_killed_while_it_waits_or_trains_finds_its_job(house: House, cluster: Cluster) -> None:
    """It is submitted once, trains on meanwhile, and is followed to its end."""
    other = fill(cluster)
    gated(house)
    house.start()
    drop(house)
    house.wait(lambda: bool(house.jobs()) and waits(house), "Slurm's reason")
    house.stop(signal.SIGKILL)
    house.start()
    cluster.run("scancel", other)
    until_gate(house)
    owner = Owner.read(directory(house).owner)
    house.stop(signal.SIGKILL)
    house.gate.touch()
    house.wait(house.directory().step(1, Step.TRAIN).exit.exists, "the end of the training, without a daemon")
    house.start()
    assert house.until(State.DONE).attempt == 1
    assert Owner.read(directory(house).owner) == owner
    assert len(runs_of(cluster)) == 1


def test_while_slurmctld_is_down_nothing_fails_and_nothing_is_submitted_twice(house: House, cluster: Cluster) -> None:
    """What trains goes on; what is to be submitted waits, and is so when it is back."""
    gated(house)
    house.start()
    drop(house)
    until_gate(house)
    cluster.end("slurmctld")
    drop(house, "second", "  launcher: cluster\n  priority: 1\n")
    house.wait(lambda: any("Slurm gives no clear answer" in job.reason for job in house.jobs()), "an unclear answer")
    assert [job.state for job in house.jobs()] == [State.TRAINING, State.SUBMITTED]
    house.gate.touch()
    house.until(State.MERGING if house.job().state is State.MERGING else State.DONE)
    cluster.start_controller()
    house.until(State.DONE, 2)
    assert sorted(name[-12:] for name, _ in runs_of(cluster)) == ["0001-1-train", "0002-1-train"]


@pytest.mark.parametrize("begun", (False, True), ids=("pending", "running"))
def test_a_job_that_is_cancelled_is_so_in_slurm(house: House, cluster: Cluster, *, begun: bool) -> None:
    """Before it has begun by Slurm, later by its own shim; whoever asked is told."""
    gated(house)
    if not begun:
        fill(cluster)
    house.start()
    drop(house)
    if begun:
        until_gate(house)
    else:
        house.wait(lambda: bool(house.jobs()) and waits(house), "Slurm's reason")
    assert house.run("cancel", "1").returncode == 0
    job = house.until(State.CANCELLED)
    assert job.reason.startswith("cancelled by ")
    house.wait(lambda: {told for _, told in runs_of(cluster)} <= {"CANCELLED", "FAILED"}, "Slurm's word")
    assert len(runs_of(cluster)) == 1
    alive = [name for _, name, told in cluster.jobs() if told in {"RUNNING", "PENDING"}]
    assert alive == ([] if begun else ["another"])


def test_a_wish_that_slurm_does_not_hear_is_kept(house: House, cluster: Cluster) -> None:
    """`glmd cancel` needs no Slurm for what runs."""
    gated(house)
    house.start()
    drop(house)
    until_gate(house)
    cluster.end("slurmctld")
    assert house.run("cancel", "1").returncode == 0
    house.until(State.CANCELLED)
    cluster.start_controller()


def test_scancel_is_not_glmds_cancel(house: House, cluster: Cluster) -> None:
    """It says so, and stays ended: somebody wanted that."""
    gated(house)
    house.start()
    drop(house)
    until_gate(house)
    ((number, _, _),) = cluster.jobs()
    cluster.run("scancel", number)
    job = house.until(State.FAILED)
    assert (job.reason, job.code) == (
        "Slurm says CANCELLED: the job was cancelled in Slurm, and not by glmd cancel",
        "slurm.cancelled",
    )


def test_what_slurm_refuses_fails_with_its_words(house: House, cluster: Cluster) -> None:
    """At once: it would be refused again. The check has not seen it: Slurm did not answer then."""
    unheard = {"partition": "npux", "commands": {"sinfo": "/nowhere/sinfo"}}
    section(house).update(unheard)
    house.start()
    drop(house)
    job = house.until(State.FAILED)
    assert "Invalid partition name specified" in job.reason
    assert job.code == "slurm.refused"
    assert cluster.jobs() == []


def test_two_jobs_of_one_attempt_do_not_run_beside_each_other(house: House, cluster: Cluster) -> None:
    """Slurm took a request twice: the second waits for the first, by singleton, and is then refused by the fence."""
    gated(house)
    house.start()
    drop(house)
    until_gate(house)
    owner = Owner.read(directory(house).owner)
    intent = directory(house).slurm / "intent.json"
    options = re.search(r'"options": \[(.*?)\]', intent.read_text(), re.DOTALL)
    assert options is not None
    again = re.findall(r'"(--[^"]*)"', options[1])
    script = str(directory(house).slurm / "script.sh")
    subprocess.run(["sbatch", *again, script], env=cluster.environment, check=True, capture_output=True)
    house.wait(lambda: len(runs_of(cluster)) == 2, "both are known")
    house.gate.touch()
    house.until(State.DONE)
    house.wait(lambda: {told for _, told in runs_of(cluster)} == {"COMPLETED", "FAILED"}, "the end of both")
    assert Owner.read(directory(house).owner) == owner
    assert exit_of(house).outcome is Outcome.COMPLETED
