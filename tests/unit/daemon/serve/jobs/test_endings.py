"""Promises of daemon.serve.jobs.endings: the records of a step say how it ended, and whether the host went down."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.serve.jobs.endings import Finished, died, ended, host_went_down
from handlers.ckpt.files.durable import make_directory
from handlers.codes import Code
from handlers.records.job_dir import JobDir, Step, StepDir
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import Ending, Failure


@pytest.fixture
def directory(tmp_path: Path) -> StepDir:
    """Return the records of a training."""
    directory = JobDir(tmp_path).step(1, Step.TRAIN)
    make_directory(directory.path)
    return directory


def let_end(directory: StepDir, outcome: Outcome, *, rebooted: bool = False) -> None:
    """Write shim.json and exit.json."""
    now = datetime.now(UTC)
    record = ShimRecord.of_this_process(now)
    record.model_copy(update={"boot_id": "another"} if rebooted else {}).publish(directory.shim)
    StepExit(step=Step.TRAIN, outcome=outcome, reason="stopped by SIGTERM", started=now, ended=now).publish(
        directory.exit
    )


def test_a_completed_step(directory: StepDir) -> None:
    """Also when somebody wanted it cancelled, too late."""
    let_end(directory, Outcome.COMPLETED)
    assert ended(directory, Step.TRAIN, cancel=True) == Finished(is_cancelled=False, reason="stopped by SIGTERM")


def test_who_ended_a_step(directory: StepDir) -> None:
    """Glmd, when it was asked to; else somebody, or the host's shutdown."""
    let_end(directory, Outcome.CANCELLED)
    assert ended(directory, Step.TRAIN, cancel=True) == Finished(is_cancelled=True, reason="stopped by SIGTERM")
    why = "train was stopped by SIGTERM, and not by glmd cancel"
    assert ended(directory, Step.TRAIN, cancel=False) == Failure(Ending.STOPPED, why)
    let_end(directory, Outcome.CANCELLED, rebooted=True)
    why = "train was stopped by SIGTERM, when the host went down"
    assert ended(directory, Step.TRAIN, cancel=False) == Failure(Ending.LOST, why, code=Code.HOST_WENT_DOWN)


def test_an_exit_that_is_no_record_is_a_failure(directory: StepDir) -> None:
    """It is said which file, and nothing is guessed."""
    directory.exit.write_text("{}")
    found = ended(directory, Step.TRAIN, cancel=False)
    assert isinstance(found, Failure)
    assert str(directory.exit) in found.reason


def test_whether_the_host_went_down(directory: StepDir) -> None:
    """By the boot in shim.json; where no shim came up, nothing was lost."""
    assert not host_went_down(directory)
    for rebooted in (False, True):
        let_end(directory, Outcome.FAILED, rebooted=rebooted)
        assert host_went_down(directory) is rebooted


def test_a_shim_that_died() -> None:
    """The service manager's word for it, if there is one; a reboot explains itself."""
    assert died(Step.MERGE, "oom-kill", lost=False) == Failure(
        Ending.FAILED,
        "the shim of merge ended without a record (oom-kill), and so did its processes",
        code=Code.SHIM_DIED,
    )
    assert died(Step.TRAIN, None, lost=True) == Failure(
        Ending.LOST, "the host went down during train", code=Code.HOST_WENT_DOWN
    )


def test_what_shims_could_not_say_has_a_code() -> None:
    """It died, or the host did."""
    assert died(Step.MERGE, "oom-kill", lost=False).code == "shim.died"
    assert died(Step.TRAIN, None, lost=True).code == "host.went-down"
