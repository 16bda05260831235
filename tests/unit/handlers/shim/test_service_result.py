"""What systemd says of a step's end is kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from handlers.records.job_dir import JobDir, Step
from handlers.shim.service_result import ServiceResult


def stop_post(root: Path, instance: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the module as ExecStopPost= does."""
    argv = [sys.executable, "-I", "-m", "handlers.shim.service_result", "--root", str(root), "--instance", instance]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_the_result_is_kept_beside_the_steps_other_records(tmp_path: Path) -> None:
    """A shim killed for memory, before it made its directory: the daemon can still say why the step ended."""
    job_dir = JobDir(tmp_path / "jobs" / "0042-run_glm_6b")
    job_dir.path.mkdir(parents=True)
    done = stop_post(tmp_path, "0042-3-train", SERVICE_RESULT="oom-kill", EXIT_CODE="killed", EXIT_STATUS="KILL")
    assert (done.returncode, done.stderr) == (0, "")
    result = ServiceResult.read_of(job_dir.step(3, Step.TRAIN))
    assert result == ServiceResult(service_result="oom-kill", exit_code="killed", exit_status="KILL")


def test_a_shim_that_never_started_has_no_exit_code(tmp_path: Path) -> None:
    """Systemd leaves EXIT_CODE and EXIT_STATUS out where there was no process."""
    job_dir = JobDir(tmp_path / "jobs" / "0042-run_glm_6b")
    job_dir.path.mkdir(parents=True)
    assert stop_post(tmp_path, "0042-1-merge", SERVICE_RESULT="resources").returncode == 0
    assert ServiceResult.read_of(job_dir.step(1, Step.MERGE)).exit_code == ""


@pytest.mark.parametrize("instance", ("0042-1-train", "x", "..-1-train", "0042-1-bake", "", "٤٢-1-train"))
def test_an_instance_that_names_no_job_is_refused(tmp_path: Path, instance: str) -> None:
    """Bad usage, said to the journal; nothing is written."""
    (tmp_path / "jobs").mkdir()
    done = stop_post(tmp_path, instance, SERVICE_RESULT="success")
    assert done.returncode == 2
    assert "not one" in done.stderr or "is no instance" in done.stderr
    assert list((tmp_path / "jobs").iterdir()) == []
