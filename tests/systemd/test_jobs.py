"""A job's unit runs the real shim, and its end is known whatever happens to the shim."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.records.job_plan import JobPlan, ProcessPlan, RankPlan, Role, TimeLimits, TrainPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.step_exit import Outcome, StepExit
from handlers.shim.service_result import ServiceResult
from tests.systemd.box import Box

pytestmark = pytest.mark.systemd

UNIT = "glmd-job@0096-1-train.service"
JOB = Path("/var/glm/jobs/0096-test")
SAVES = JOB / "output/checkpoint/rank_0"
RECORDS = JOB / "attempts/1/train"
LIMITS = TimeLimits(silence=60, first_step=60, total=None)


@pytest.fixture(autouse=True)
def job(box: Box) -> Iterator[None]:
    """Make a job's directory, as the daemon does."""
    box.run("mkdir", str(JOB), user="glm")
    yield
    box.run("systemctl", "stop", UNIT)
    box.run("rm", "-r", str(JOB))


def plan(box: Box, command: str, limits: TimeLimits = LIMITS) -> None:
    """Plan a training whose only rank runs a shell command."""
    log = JOB / "output/log/rank_0/mindformer.log"
    rank = ProcessPlan(
        role=Role.RANK,
        ranks=(RankPlan(number=0, device=0, log=log),),
        argv=("/bin/sh", "-c", command),
        directory=JOB,
        log=log,
    )
    merge = MergePlan(source=JOB / "output", destination=JOB / "merged")
    whole = JobPlan(job=96, name="test", train=TrainPlan(processes=(rank,), limits=limits), merge=merge)
    box.run("mkdir", "-p", str(RECORDS), user="glm")
    box.write(str(RECORDS / "environment.json"), json.dumps({"processes": [{}]}), user="glm")
    box.write(str(JOB / "plan.json"), whole.model_dump_json(), user="glm")


def step_exit(box: Box) -> StepExit:
    """Return how the shim says that the step ended."""
    return StepExit.model_validate_json(box.say("cat", str(RECORDS / "exit.json")))


def service_result(box: Box) -> ServiceResult:
    """Return how systemd says that the step ended."""
    return ServiceResult.model_validate_json(box.say("cat", str(RECORDS / "service_result.json")))


def test_a_training_that_ends_well(box: Box) -> None:
    """Both records say so; the files are for the group."""
    plan(box, f"mkdir -p {SAVES}; touch {SAVES}/glm-6b_rank_0-1_4.ckpt; echo fine")
    box.run("systemctl", "start", "--wait", UNIT, user="glm")
    assert step_exit(box).outcome is Outcome.COMPLETED
    assert service_result(box) == ServiceResult(service_result="success", exit_code="exited", exit_status="0")
    assert box.say("cat", str(JOB / "output/log/rank_0/mindformer.log"), user="alice") == "fine"


def test_a_stopped_unit_ends_its_ranks(box: Box) -> None:
    """`systemctl stop` goes to the shim alone, which ends its ranks and says why."""
    plan(box, "touch started; exec sleep 600")
    box.run("systemctl", "start", UNIT, user="glm")
    box.until(lambda: box.run("test", "-e", str(JOB / "started"), check=False).returncode == 0, "the rank runs")
    box.run("systemctl", "stop", UNIT, user="glm")
    assert step_exit(box).outcome is Outcome.CANCELLED
    assert box.run("pgrep", "-u", "glm", "sleep", check=False).stdout == ""


def test_a_killed_shim_leaves_a_record_and_no_process(box: Box) -> None:
    """As when memory runs out: no exit.json, but systemd's word, and the cgroup is empty."""
    plan(box, "touch started; exec sleep 600")
    box.run("systemctl", "start", UNIT, user="glm")
    box.until(lambda: box.run("test", "-e", str(JOB / "started"), check=False).returncode == 0, "the rank runs")
    box.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT, user="glm")
    box.until(lambda: box.shows(UNIT, "ActiveState") == "inactive", "the unit is gone")
    assert box.run("test", "-e", str(RECORDS / "exit.json"), check=False).returncode != 0
    assert service_result(box) == ServiceResult(service_result="signal", exit_code="killed", exit_status="KILL")
    assert box.run("pgrep", "-u", "glm", "sleep", check=False).stdout == ""


def test_a_hung_trainings_stacks_are_read_inside_the_sandbox(box: Box, training_python: Path) -> None:
    """The unit's seccomp filter forbids ptrace, which py-spy is told to do without; its capabilities are none."""
    hang = "import time\ndef all_reduce():\n    time.sleep(600)\nall_reduce()"
    plan(box, f"exec {training_python} -SEc '{hang}'", TimeLimits(silence=None, first_step=3))
    box.run("systemctl", "start", UNIT, user="glm")
    box.until(lambda: box.run("test", "-e", str(RECORDS / "exit.json"), check=False).returncode == 0, "it is ended")
    events = box.say("cat", str(JOB / "events.jsonl"))
    assert "python_stack_not_read" not in events
    assert "it stands in all_reduce (<string>:3)" in step_exit(box).reason, events
    assert "What the kernel says" in box.say("cat", str(RECORDS / "stacks/rank_0.txt"))


def test_a_rank_that_nobody_may_look_at_is_ended_all_the_same(box: Box, training_python: Path) -> None:
    """One that is not dumpable is hidden even from its parent (ProtectProc=): an event says what that costs."""
    hides = "import ctypes, time\nctypes.CDLL(None).prctl(4, 0)\ntime.sleep(600)"
    plan(box, f"exec {training_python} -SEc '{hides}'", TimeLimits(silence=None, first_step=3))
    box.run("systemctl", "start", UNIT, user="glm")
    box.until(lambda: box.run("test", "-e", str(RECORDS / "exit.json"), check=False).returncode == 0, "it is ended")
    end, events = step_exit(box), box.say("cat", str(JOB / "events.jsonl"))
    assert end.outcome is Outcome.TIMED_OUT
    assert [exit_.signal for exit_ in end.processes] == ["SIGTERM"], events
    assert '"python_stack_not_read"' in events
