"""What counts as an answer of Slurm's programs: tools that answer whatever a test wants."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handlers.slurm.calling import UnclearError
from handlers.slurm.client import NotTakenError
from handlers.slurm.queue import Row
from tests.unit.handlers.slurm.tools import Tools

ROW = "12|PENDING|ReqNodeNotAvail, UnavailableNodes:n[1-2]|2026-11-30T16:20:00||glmd-1-train|main\n"


def test_jobs_are_told_by_name(tools: Tools) -> None:
    """All that have it, those that are over, too; a reason may be free text."""
    tools.say(
        "squeue",
        ROW + "13|COMPLETED|None|N/A|n[1-2]|glmd-1-train|main\n14|RUNNING|None|N/A|n1|my job, it's mine|main\n",
    )
    pending, done = tools.client.jobs_called("glmd-1-train")
    assert pending == Row(
        "12", "PENDING", "ReqNodeNotAvail, UnavailableNodes:n[1-2]", "2026-11-30T16:20:00", "", "glmd-1-train", "main"
    )  # fmt: skip
    assert (done.id, done.state, done.nodes) == ("13", "COMPLETED", "n[1-2]")
    assert [row.name for row in tools.client.jobs()] == ["glmd-1-train", "glmd-1-train", "my job, it's mine"]


def test_nothing_is_an_answer(tools: Tools) -> None:
    """Where it comes with exit code 0 and nothing on standard error. How long it counts is not decided here."""
    tools.say("squeue")
    assert tools.client.jobs_called("glmd-1-train") == ()


@pytest.mark.parametrize(
    ("stdout", "stderr", "code"),
    (
        ("", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", 1),
        ("", "", 1),
        (ROW, "", 1),
        (ROW, "squeue: warning: something", 0),
        ("slurm is down for maintenance\n", "", 0),
        ("12|\n", "", 0),
    ),
)
def test_what_is_not_clear_says_nothing(tools: Tools, stdout: str, stderr: str, code: int) -> None:
    """Neither that there is a job, nor that there is none."""
    tools.say("squeue", stdout, stderr, code)
    with pytest.raises(UnclearError, match="squeue: "):
        tools.client.jobs()


def test_a_program_that_is_not_there_says_nothing(tools: Tools) -> None:
    """No more than one that does not answer in time."""
    with pytest.raises(UnclearError, match="No such file"):
        tools.client.jobs()
    tools.say("squeue")
    (tools.place / "squeue").write_text("#!/bin/sh\nexec sleep 600\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handlers.slurm.client.ANSWER", 0.2)
        with pytest.raises(UnclearError, match=r"no answer in 0\.2 s"):
            tools.client.jobs()


@pytest.mark.parametrize(
    ("stdout", "stderr"), (("4711\n", ""), ("4711;cluster\n", ""), ("4711\n", "sbatch: temporarily unable to …\n"))
)
def test_a_number_is_a_job_whatever_stands_beside_it(tools: Tools, stdout: str, stderr: str, tmp_path: Path) -> None:
    """A warning has once made somebody throw a good number away."""
    tools.say("sbatch", stdout, stderr)
    assert tools.client.submit(["--nodes=2"], tmp_path / "script.sh") == "4711"
    assert tools.argv("sbatch") == f"--parsable --nodes=2 {tmp_path}/script.sh"


def test_slurms_programs_get_no_more_than_they_need(tools: Tools, tmp_path: Path) -> None:
    """What sbatch has the ranks get: no secret of glmd's, and no variable of a job that glmd itself runs in."""
    tools.say("sbatch", "1\n")
    tools.client.submit([], tmp_path / "script.sh")
    given = (tools.place / "sbatch.env").read_text()
    assert "HOME=/root" in given
    assert "SLURM_JOB_ID" not in given
    assert "secret" not in given


@pytest.mark.parametrize(
    ("said", "error"),
    (
        ("sbatch: error: Batch job submission failed: Invalid partition name specified", NotTakenError),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", NotTakenError),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", UnclearError),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            UnclearError,
        ),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", UnclearError),
        ("something that nobody has seen yet", UnclearError),
        ("", UnclearError),
    ),
)
def test_only_what_is_known_for_a_refusal_is_one(
    tools: Tools, said: str, error: type[Exception], tmp_path: Path
) -> None:
    """All else may have been taken."""
    tools.say("sbatch", "", said, 1)
    with pytest.raises(error, match="sbatch: "):
        tools.client.submit([], tmp_path / "script.sh")


@pytest.mark.parametrize("answers", (True, False))
def test_who_names_a_partition_that_is_none_is_told_which_there_are(
    tools: Tools, tmp_path: Path, *, answers: bool
) -> None:
    """As far as sinfo tells."""
    tools.say("sbatch", "", "sbatch: error: Batch job submission failed: Invalid partition name specified", 1)
    tools.say(
        "sinfo",
        "main*|up|infinite|1-infinite|2|idle|npu:8|n[1-2]\nnpu|up|30:00|1|1|idle|npu:8|n1\n",
        "",
        0 if answers else 1,
    )
    with pytest.raises(NotTakenError) as refused:
        tools.client.submit([], tmp_path / "script.sh")
    assert str(refused.value).endswith("specified (sinfo knows: main, npu)" if answers else "specified")


def test_a_job_is_cancelled_by_name_and_number(tools: Tools) -> None:
    """The number alone may be another's by now. That there is none of that number is no trouble."""
    tools.say("scancel", "", "scancel: error: Kill job error on job id 12: Invalid job id specified", 1)
    tools.client.cancel("glmd-1-train", "12")
    assert tools.argv("scancel") == "--name=glmd-1-train 12"
    tools.say("scancel", "", "scancel: error: Unable to contact slurm controller", 1)
    with pytest.raises(UnclearError):
        tools.client.cancel("glmd-1-train", "12")


def test_how_long_slurmctld_is_up(tools: Tools) -> None:
    """By its configuration, in this host's own time; its clock may be ahead."""
    for ago, least in ((100, 100), (-3600, 0)):
        started = datetime.now(UTC).astimezone() - timedelta(seconds=ago)
        tools.say(
            "scontrol", f"Configuration data as of X\nBOOT_TIME               = {started:%Y-%m-%dT%H:%M:%S}\nX = 1\n"
        )
        assert least <= tools.client.up_for() < least + 60
    assert tools.argv("scontrol") == "show config"


@pytest.mark.parametrize(
    ("stdout", "stderr", "code"), (("", "", 0), ("BOOT_TIME = 2026-11-30T10:00:00\n", "warning", 0), ("", "no", 1))
)
def test_an_unclear_configuration_says_nothing(tools: Tools, stdout: str, stderr: str, code: int) -> None:
    """Neither that it is young, nor that it is not."""
    tools.say("scontrol", stdout, stderr, code)
    with pytest.raises(UnclearError, match="scontrol"):
        tools.client.up_for()


NODES = """\
NodeName=n1 Arch=x86_64 CPUTot=8 State=MIXED ThreadsPerCore=1 AveWatts=0
NodeName=n2 Arch=x86_64 CPUTot=8 State=DOWN+NOT_RESPONDING Weight=1 Reason=Not responding [root@2026-11-30T03:31:25]
NodeName=n3 Arch=x86_64 State=IDLE*+DRAIN Weight=1
NodeName=n4 Arch=x86_64 State=IDLE+DRAIN Weight=1 Reason=fan [ops@2026-11-30T03:31:25]
"""


def test_nodes_that_are_down_are_told_with_the_reason(tools: Tools) -> None:
    """One that is drained runs what it has."""
    tools.say("scontrol", NODES)
    assert tools.client.down() == {"n2": "Not responding", "n3": "IDLE*+DRAIN"}
    assert tools.argv("scontrol") == "-o show node"


def test_a_job_that_waits_is_kept_off_other_nodes_by_its_name(tools: Tools) -> None:
    """A number may be another's by now."""
    tools.say("scontrol")
    tools.client.exclude("glmd-1-train", "n9")
    assert tools.argv("scontrol") == "update JobName=glmd-1-train ExcNodeList=n9"
    tools.say("scontrol", stderr="Job has already finished for job 5", code=1)
    with pytest.raises(UnclearError, match="already finished"):
        tools.client.exclude("glmd-1-train", "")
