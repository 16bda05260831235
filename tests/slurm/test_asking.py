"""What glmd asks a real Slurm beside its trainings: before a job is one, for the doctor, and of what waits too long."""

import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from daemon.core.root import Root
from daemon.core.slurm_names import SlurmName, known_id
from daemon.core.states import State
from handlers.records.nodes import Part
from tests.acceptance.house import GLMD, House
from tests.slurm.cluster import Cluster
from tests.slurm.house import section
from tests.slurm.test_training import directory, drop, fill, runs_of

pytestmark = pytest.mark.slurm


def begun(house: House, *arguments: str) -> subprocess.Popen[str]:
    """Start `glmd ARGUMENTS` where Slurm's programs are."""
    return subprocess.Popen(
        [*GLMD, *arguments, "--root", str(house.root)],
        env={**os.environ, **house.daemon_environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def glmd(house: House, *arguments: str) -> str:
    """Return what `glmd ARGUMENTS` says."""
    output, errors = begun(house, *arguments).communicate(timeout=60)
    return output + errors


def probes(cluster: Cluster, states: Sequence[str]) -> list[str]:
    """Return the doctor's jobs that are in one of these states."""
    return [number for number, name, state in cluster.jobs() if name.startswith("glmd-probe-") and state in states]


def test_the_doctor_looks_at_each_node_and_leaves_nothing(house: House, cluster: Cluster) -> None:
    """By a job of a minute on each, which writes into the root; also at Ctrl-C, while Slurm lets it wait."""
    house.start()
    told = glmd(house, "doctor", "--slurm")
    for line in (
        r"ok +slurm +slurm-wlm \d",
        r"ok +munge +auth/munge",
        r"ok +partitions +main\* \(2 nodes, npu:8, no time limit\)",
        r"ok +gres +2 nodes with npu:2",
        r"node n1 +glmd \S+, \S+python\S* 3\.\d+.*memlock.*nofile \d+",
        r"node n2 +glmd ",
    ):
        assert re.search(line, told), (line, told)
    assert probes(cluster, ("PENDING", "RUNNING")) == []
    assert list(house.root.glob(".probe-*")) == []

    cluster.run("scontrol", "update", "partitionname=main", "state=down")  # jobs are taken, and do not begin
    for number in (signal.SIGINT, signal.SIGTERM):
        doctor = begun(house, "doctor", "--slurm")
        house.wait(lambda: len(probes(cluster, ("PENDING",))) == 2, "the doctor's jobs")
        doctor.send_signal(number)
        doctor.communicate(timeout=30)
        assert probes(cluster, ("PENDING", "RUNNING")) == []
        assert list(house.root.glob(".probe-*")) == []


def test_files_are_held_against_slurm_and_what_waits_too_long_is_given_up(house: House, cluster: Cluster) -> None:
    """What can never be had is rejected; what does not begin in time is cancelled in Slurm; devices are Slurm's own."""
    section(house)["devices_from"] = "slurm"
    house.start()
    drop(house, "run", "  launcher: cluster\n")
    house.until(State.DONE)
    parts = [Part.now(directory(house).part(node)) for node in range(2)]
    assert [part.devices for part in parts if part is not None] == [(0, 1), (0, 1)]

    asked = house.root.parent / "asked.yaml"
    submitted = house.directory().submitted.read_text()
    for wish, said in (
        ("{nodes: 2, partition: npux}", "Slurm has no partition 'npux'"),
        ("{nodes: 4, devices_per_node: 1}", "partition main has 2 nodes with npu:1, and 4 are asked for"),
    ):
        asked.write_text(submitted.replace("{nodes: 2}", wish))
        assert said in glmd(house, "check", str(asked))
    asked.write_text(submitted)
    assert "asked.yaml: good:" in glmd(house, "check", str(asked))

    other = fill(cluster)
    house.drop("late.yaml", text=submitted.replace("{nodes: 2}", "{nodes: 2, wait: 1h}"))
    house.wait(lambda: len(house.jobs()) == 2 and "waits for Resources" in house.job(2).reason, "Slurm's reason")
    with closing(sqlite3.connect(house.root / "glmd.db")) as store, store:
        long_ago = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
        store.execute("UPDATE jobs SET changed = ? WHERE id = 2", (long_ago,))
    job = house.until(State.FAILED, 2)
    assert job.code == "slurm.waited"
    assert "had not begun 1h after its submission" in job.reason
    assert [told for name, told in runs_of(cluster) if "-0002-" in name] == ["CANCELLED"]

    house.drop("nowhere.yaml", text=submitted.replace("{nodes: 2}", "{nodes: 2, partition: npux}"))
    assert house.until(State.REJECTED, 3).code == "config.slurm"

    assert "root and store agree" in glmd(house, "doctor", "--state")
    house.stop()
    none = str(SlurmName(known_id(Root(house.root)) or "", 99, 1, "train"))
    cluster.run("sbatch", f"--job-name={none}", "--output=/dev/null", "--wrap", "sleep 600")
    assert "slurm-job-of-none" in glmd(house, "doctor", "--state")
    cluster.run("scancel", other)
