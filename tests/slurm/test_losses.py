"""What is lost of a training on nodes of a real Slurm: nodes, shims, answers, jobs. What follows, and what does not."""

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.nodes import Owner
from handlers.records.slurm import Intent, Submitted, Verdict
from handlers.slurm.client import SlurmClient
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.house import section
from tests.slurm.test_training import (
    directory,
    drop,
    exit_of,
    fill,
    gated,
    reasons,
    runs_of,
    state,
    until_attempt,
    until_gate,
    waits,
)  # fmt: skip

pytestmark = pytest.mark.slurm


def nodelist(house: House, attempt: int) -> str:
    """Return on which nodes an attempt ran."""
    return Owner.read(directory(house, attempt).owner).nodelist


@contextlib.contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """Let these processes do nothing, as if their host had no power."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("cluster", (3,), indirect=True)
def test_whatever_is_lost_the_training_goes_on_from_its_newest_save(house: House, cluster: Cluster) -> None:
    """The shim of the job, a node by Slurm's word, a node by glmd's own: four attempts.

    A node that was lost is left out as long as there are others, and its user is told; where too few are left Slurm
    refuses that, and the job has it all the same. What was frozen ends when it wakes up.
    """
    gated(house, STANDIN_SAVE="17")
    section(house)["node_silence"] = 6
    house.start()
    drop(house)
    until_gate(house)
    os.kill(Owner.read(directory(house, 1).owner).pid, signal.SIGKILL)
    why = until_attempt(house, 2)
    assert "the shim of the job ended without a record" in why
    assert "without" not in why.partition("a word")[2]

    assert nodelist(house, 2) == "n[1-2]"
    cluster.end("n2", signal.SIGKILL)
    why = until_attempt(house, 3)
    assert why.startswith("resumed from 17_4 after: Slurm says ")
    assert why.endswith("a node was lost; without n2 (lost in attempt 2: Not responding)")
    cluster.start_node("n2")
    assert nodelist(house, 3) == "n[1,3]"
    assert any(
        one.endswith(" runs on n[1,3]; without n2 (lost in attempt 2: Not responding)") for one in reasons(house)
    )
    verdict = Verdict.read(directory(house, 2).verdict)
    assert (verdict.reason, verdict.down) == ("NodeDown", {"n2": "Not responding"})

    lost = state(house, 1)
    assert lost.node == "n3"
    pids = [lost.pid or 0, *lost.pids.values()]
    with frozen(pids):
        why = until_attempt(house, 4)
    assert "n3 gave no sign of life for 6 s (slurm.node_silence)" in why
    assert why.endswith("without n2 (lost in attempt 2: Not responding), n3 (lost in attempt 3)")
    assert exit_of(house, 3).nodes_without_record == ("n3",)
    runs = next(one for one in reasons(house) if re.search(r" runs on .*n3 \(lost in", one))
    assert "n3 (lost in attempt 3) are not left out: sbatch: error: " in runs
    assert runs.endswith("Requested node configuration is not available")
    events = list(map(json.loads, house.directory().events.read_text().splitlines()))
    told = [(event["event"], event.get("node")) for event in events if event["event"].endswith("_left_out")]
    assert told == [("node_left_out", node) for node in ("n2", "n2", "n3")] + [("no_node_left_out", None)]
    house.gate.touch()
    assert house.until(State.DONE).attempt == 4
    assert "without n2 (lost in attempt 2" in house.run("status", "1").stdout
    house.wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the end of what was frozen")


def test_a_request_in_flight_to_a_frozen_slurmctld_becomes_one_job(
    house: House, cluster: Cluster, tmp_path: Path
) -> None:
    """Whoever sent it has had no answer, and was killed before it looked again; it appears when slurmctld is thawed."""
    controller, sbatch = cluster.pid("slurmctld"), tmp_path / "sbatch"
    sbatch.write_text(
        f'#!/bin/sh\ncase "$*" in *--test-only*) exec sbatch "$@";; esac\n'
        f"[ -e {tmp_path}/frozen ] || {{ kill -STOP {controller}; touch {tmp_path}/frozen; }}\n"
        'exec sbatch "$@"\n'
    )
    sbatch.chmod(0o755)
    section(house)["commands"] = {"sbatch": str(sbatch)}
    house.start()
    drop(house)
    try:
        house.wait(
            lambda: any(re.search("no clear answer since .*: sbatch", job.reason) for job in house.jobs()), "no answer"
        )
        house.stop(signal.SIGKILL)
    finally:
        os.kill(controller, signal.SIGCONT)
    house.start()
    house.until(State.DONE)
    assert len(runs_of(cluster)) == 1
    assert Intent.read(directory(house).slurm / "intent.json").tries == 1


def test_what_happens_to_a_job_that_waits_in_slurms_queue(house: House, cluster: Cluster) -> None:
    """Cancelled there by others it is not glmd's cancel. A wish that Slurm does not hear is kept.

    Which nodes it is not to have is changed by its name. And when Slurm has forgotten the job, and given its number to
    another's, that one is left alone.
    """
    fill(cluster)
    house.start()
    drop(house)
    house.wait(lambda: bool(house.jobs()) and waits(house), "Slurm's reason")
    cluster.run("scancel", Submitted.read(directory(house).slurm / "job.json").id)
    job = house.until(State.FAILED)
    assert job.code == "slurm.cancelled"
    assert not house.directory().step(1, Step.TRAIN).exit.exists()
    assert house.run("retry", "1").returncode == 0
    house.wait(lambda: waits(house), "Slurm's reason")
    number = Submitted.read(directory(house, 2).slurm / "job.json").id
    client = SlurmClient(environment=cluster.environment)
    name = Intent.read(directory(house, 2).slurm / "intent.json").name
    for nodes, told in (("n1", "n1"), ("", "(null)")):
        client.exclude(name, nodes)
        assert f"ExcNodeList={told}\n" in cluster.run("scontrol", "show", "job", number)
    cluster.end("slurmctld")
    assert house.run("cancel", "1").returncode == 0
    house.wait(lambda: "no clear answer" in house.job().reason, "an unclear answer")
    assert house.job().state is State.SUBMITTED
    house.stop(signal.SIGKILL)
    cluster.forget_jobs()
    cluster.start_controller()
    others = [fill(cluster) for _ in range(int(number))]
    assert others[-1] == number
    house.start()
    house.until(State.CANCELLED)
    alive = {one for one, name, told in cluster.jobs() if name == "another" and told in {"PENDING", "RUNNING"}}
    assert number in alive
