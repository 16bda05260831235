"""Promises of the pages that show a job which Slurm has."""

from daemon.core.states import State
from handlers.records.job_dir import Step
from handlers.records.step_exit import Outcome, ProcessExit, StepExit
from handlers.records.train_plan import Role
from tests.unit.daemon.face.placed import EXPECTED, runs, submitted
from tests.unit.daemon.face.web.views.job_site import JobSite

QUEUED = (State.PREPARING, State.SUBMITTED)
ON_NODES = {"devices": (), "nodes": 2, "ranks": 4}


def test_one_that_waits_says_for_what(jobs: JobSite) -> None:
    """Its Slurm job, partition, reason and expected start are facts, with names of their own in both languages."""
    job = jobs.add("far", *QUEUED, **ON_NODES)
    submitted(job, jobs.root.path)
    page = jobs.get("/jobs/1").text
    for name, text in (
        ("Slurm job", "4711"), ("Slurm says", "PENDING (Resources)"), ("partition", "npu"),
        ("starts about", f"{EXPECTED.astimezone():%Y-%m-%d %H:%M}"), ("Devices", "Slurm 2×2"),
    ):  # fmt: skip
        assert f"<dt>{name}</dt><dd>{text}</dd>" in page, name
    assert "<dt>分区</dt><dd>npu</dd>" in jobs.get("/jobs/1?lang=zh").text
    assert "Slurm 2×2" in jobs.get("/").text
    assert jobs.get("/api/v1/jobs/1").json()["slurm"]["expected_start"] == EXPECTED.isoformat()


def test_one_that_trains_names_nodes(jobs: JobSite) -> None:
    """Of each rank, and which ranks each node has; and the page is asked for anew when Slurm says something else."""
    job = jobs.add("far", *QUEUED, State.TRAINING, **ON_NODES)
    before = jobs.get("/jobs/1").text
    runs(job, jobs.root.path)
    page = jobs.get("/jobs/1").text
    assert "<dt>ranks</dt><dd>n2: 0-1; n1: 2-3</dd>" in page
    assert page.count('data-cell="node">n1<') == 2
    revision = 'data-revision="'
    assert before.partition(revision)[2].partition('"')[0] != page.partition(revision)[2].partition('"')[0]


def test_a_failure_names_the_node(jobs: JobSite) -> None:
    """Of the rank that was first, and of the others."""
    job = jobs.add("far", *QUEUED, State.TRAINING, State.FAILED, **ON_NODES)
    first, other = (
        ProcessExit(
            role=Role.RANK, rank=rank, device=4, node=node, pid=9, exit_code=1, signal=None, ended=EXPECTED, line="no"
        )
        for rank, node in ((2, "n1"), (0, "n2"))
    )
    directory = jobs.directory(job).step(1, Step.TRAIN)
    directory.path.mkdir(parents=True)
    StepExit(
        step=Step.TRAIN, outcome=Outcome.FAILED, reason="rank 2 on device 4 of n1 exited 1 first: no", first=first,
        processes=(first, other), started=EXPECTED, ended=EXPECTED,
    ).publish(directory.exit)  # fmt: skip
    page = jobs.get("/jobs/1/failure").text
    assert "rank 2 on device 4 of n1 failed first" in page
    assert "4&nbsp;·&nbsp;n2" in page
    assert "rank 2（设备 4）（节点 n1） 最先失败" in jobs.get("/jobs/1/failure?lang=zh").text
    assert jobs.get("/api/v1/jobs/1/failure").json()["diagnosis"]["node"] == "n1"


def test_devices_say_what_they_do_not_show(jobs: JobSite) -> None:
    """A job through Slurm has none of them, as long as it is at work."""
    jobs.add("far", *QUEUED, **ON_NODES)
    jobs.add("over", *QUEUED, State.TRAINING, State.FAILED, **ON_NODES)
    page = jobs.get("/devices").text
    assert "Through Slurm, on devices of other hosts, which this page does not show:" in page
    assert "1 far</a> (Slurm 2×2)" in page
    assert "2 over" not in page
    assert jobs.get("/api/v1/devices").json()["through_slurm"] == [1]


def test_what_glmd_prints_on_nodes_is_among_the_logs(jobs: JobSite) -> None:
    """Of the batch step, of srun, and of each node; a job of this host has none of them."""
    job = jobs.add("far", *QUEUED, State.TRAINING, **ON_NODES)
    directory = runs(job, jobs.root.path)
    jobs.write(directory.out, "the batch step")
    jobs.write(directory.log(1), "node 1 begins")
    page = jobs.get("/jobs/1/log?of=slurm-node&rank=1").text
    assert "node 1 begins" in page
    assert "Slurm: node 1" in page
    assert "the batch step" in jobs.get("/jobs/1/log?of=slurm-batch").text
    assert jobs.get("/jobs/1/log?of=slurm-node&rank=2").status_code == 404
