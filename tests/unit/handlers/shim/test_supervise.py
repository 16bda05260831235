"""Real processes run to their common end."""

import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from handlers.job_plan import Role, TimeLimits, TrainPlan
from handlers.outcome import Outcome, StepExit

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

# Supervision reaps every child and ends every descendant of its process, so it gets a process of its own.
DRIVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import structlog
from handlers.events import configure
from handlers.job_dir import Step
from handlers.job_plan import TrainPlan
from handlers.outcome import StepExit
from handlers.shim.supervise import supervise
from handlers.shim.wakeups import Wakeups

configure()
plan = TrainPlan.model_validate_json(sys.argv[1])
now = datetime.now(UTC)
with Wakeups() as wakeups:
    end = supervise(plan, Path(sys.argv[2]), wakeups, structlog.get_logger())
print(StepExit(step=Step.TRAIN, outcome=end.outcome, reason=end.reason, first=end.first, processes=end.processes,
               started=now, ended=datetime.now(UTC)).model_dump_json())
"""

NEVER = "time.sleep(600)"
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
STEP_LINE = "{ Epoch:[  1/  2], step:[    1/    4], loss:[1.0/1.0], per_step_time: 10ms, overflow cond: False,"


def run(workshop: "Workshop", plan: TrainPlan) -> StepExit:
    """Supervise `plan` in a process of its own."""
    command = [sys.executable, "-c", DRIVER, plan.model_dump_json(), str(workshop.job_dir.output)]
    done = subprocess.run(command, env=workshop.environment, capture_output=True, text=True, check=True, timeout=120)
    return StepExit.model_validate_json(done.stdout)


def test_all_ranks_end_well(workshop: "Workshop") -> None:
    """When every rank exits 0 the training is completed, and each exit is told."""
    end = run(workshop, workshop.train("print('over')", "print('over')"))
    assert (end.outcome, end.reason, end.first) == (Outcome.COMPLETED, "", None)
    assert {(exit_.rank, exit_.device, exit_.exit_code, exit_.line) for exit_ in end.processes} == {
        (0, 4, 0, "over"),
        (1, 5, 0, "over"),
    }


def test_first_failing_rank_is_named_and_the_rest_end(workshop: "Workshop") -> None:
    """The reason names rank, device, exit code, time and exception; the others are ended with TERM at once."""
    fails = """
    try:
        {}["prefix"]
    except KeyError as error:
        import traceback
        traceback.print_exc()
        sys.exit(3)
    """
    began = time.monotonic()
    end = run(workshop, workshop.train(NEVER, fails, NEVER, grace=60))
    assert time.monotonic() - began < 50
    assert end.outcome is Outcome.FAILED
    assert re.fullmatch(r"rank 1 on device 5 exited 3 first \(\d\d:\d\d:\d\d\): KeyError: 'prefix'", end.reason)
    assert end.first is not None
    assert (end.first.rank, end.first.exit_code, end.first.signal) == (1, 3, None)
    assert end.processes[0] == end.first
    assert {(exit_.rank, exit_.signal) for exit_ in end.processes[1:]} == {(0, "SIGTERM"), (2, "SIGTERM")}


def test_rank_killed_by_a_signal(workshop: "Workshop") -> None:
    """A rank that a signal killed is told by the signal's name, with the last line it wrote."""
    end = run(workshop, workshop.train("print('loading'); os.kill(os.getpid(), signal.SIGKILL)", NEVER))
    assert end.outcome is Outcome.FAILED
    assert re.fullmatch(r"rank 0 on device 4 was killed by SIGKILL first \(.*\): loading", end.reason)
    assert end.first is not None
    assert (end.first.exit_code, end.first.signal) == (None, "SIGKILL")


def test_rank_without_a_word(workshop: "Workshop") -> None:
    """A silent failure is told as such."""
    assert run(workshop, workshop.train("sys.exit(1)")).reason.endswith("it logged nothing")


def test_deaf_rank_with_a_deaf_grandchild_is_killed(workshop: "Workshop") -> None:
    """What ignores TERM is killed after the grace, also in a session of its own."""
    deaf = """
    grandchild = subprocess.Popen(
        [sys.executable, "-SEc", '''import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(600)'''.replace("\\n    ", "\\n")],
        start_new_session=True, stdout=subprocess.PIPE)
    grandchild.stdout.readline()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("deaf").touch()
    time.sleep(600)
    """
    fails = """
    while not Path("../rank_0/deaf").exists():
        time.sleep(0.01)
    sys.exit(1)
    """
    end = run(workshop, workshop.train(deaf, fails, grace=0.5))
    assert end.reason.startswith("rank 1 on device 5 exited 1 first")
    assert [exit_.signal for exit_ in end.processes] == [None, "SIGKILL"]


def test_left_over_grandchild_of_a_good_rank_is_ended(workshop: "Workshop") -> None:
    """A process that a rank left behind, even one that daemonized itself, does not outlive the training."""
    leaves = f"""
    subprocess.Popen([sys.executable, "-SEc", "import time; {NEVER}"], start_new_session=True)
    """
    assert run(workshop, workshop.train(leaves, grace=0.5)).outcome is Outcome.COMPLETED


def test_orphans_are_reaped_while_the_training_runs(workshop: "Workshop") -> None:
    """Weeks of data workers whose parent died do not fill the process table with zombies."""
    orphans = """
    if os.fork() == 0:
        orphan = os.fork()
        if orphan == 0:
            os._exit(0)
        print(orphan, flush=True)
        os._exit(0)
    os.wait()
    orphan = int(Path("../../log/rank_0/mindformer.log").read_text())
    while Path(f"/proc/{orphan}").exists():
        time.sleep(0.01)
    """
    assert run(workshop, workshop.train(orphans)).outcome is Outcome.COMPLETED


def test_silent_training_is_ended(workshop: "Workshop") -> None:
    """After the first step silence ends the training; the reason has the limit and the quietest rank's last line."""
    steps = f"""
    print("{STEP_LINE}")
    print("waits for a peer")
    {NEVER}
    """
    later = f"""
    while "waits" not in Path("../../log/rank_0/mindformer.log").read_text():
        time.sleep(0.01)
    time.sleep(0.1)
    print("{STEP_LINE}")
    {NEVER}
    """
    end = run(workshop, workshop.train(steps, later, limits=TimeLimits(silence=1.5, first_step=60)))
    assert end.outcome is Outcome.TIMED_OUT
    assert end.reason == (
        "no log line and no shard for 1.5 s (timeout.silence); "
        "quiet for longest is rank 0 on device 4: waits for a peer"
    )
    assert {exit_.signal for exit_ in end.processes} == {"SIGTERM"}


def test_first_step_never_comes(workshop: "Workshop") -> None:
    """Before the first step its own limit counts, not silence."""
    end = run(workshop, workshop.train(NEVER, limits=TimeLimits(silence=0.01, first_step=1)))
    assert end.outcome is Outcome.TIMED_OUT
    assert end.reason == (
        "no first step, no log line and no shard for 1 s (timeout.first_step); "
        "quiet for longest is rank 0 on device 4: it logged nothing"
    )


def test_total_time_is_up(workshop: "Workshop") -> None:
    """A training that talks all the time is ended by the total."""
    talks = """
    while True:
        print("still here")
        time.sleep(0.05)
    """
    end = run(workshop, workshop.train(talks, limits=TimeLimits(silence=60, first_step=60, total=1)))
    assert end.outcome is Outcome.TIMED_OUT
    assert end.reason.startswith("not finished for 1 s (timeout.total)")


def test_new_shards_are_signs_of_life(workshop: "Workshop") -> None:
    """Saving for longer than the limit is no silence as long as shards grow or appear."""
    saves = f"""
    print("{STEP_LINE}")
    shards = Path("../../checkpoint/rank_0")
    shards.mkdir(parents=True)
    for number in range(40):
        (shards / f"glm-6b_rank_0-{{number // 2}}_4.ckpt").open("ab").write(b"x")
        time.sleep(0.1)
    """
    end = run(workshop, workshop.train(saves, limits=TimeLimits(silence=2, first_step=60)))
    assert end.outcome is Outcome.COMPLETED


def test_rank_that_cannot_start(workshop: "Workshop") -> None:
    """An interpreter that is not there is told, and the ranks started before are ended."""
    plan = workshop.train(NEVER, NEVER)
    broken = plan.processes[1].model_copy(update={"argv": ("/no/such/python",)})
    end = run(workshop, plan.model_copy(update={"processes": (plan.processes[0], broken)}))
    assert end.outcome is Outcome.FAILED
    assert end.reason.startswith("rank 1 on device 5 could not be started: ")
    assert "/no/such/python" in end.reason
    assert [(exit_.rank, exit_.signal) for exit_ in end.processes] == [(0, "SIGTERM")]


def test_scheduler_that_stays_is_ended_after_the_ranks(workshop: "Workshop") -> None:
    """A scheduler gets the grace to leave by itself; how it ends then is no failure."""
    end = run(workshop, workshop.train("pass", scheduler=NEVER, grace=0.5))
    assert end.outcome is Outcome.COMPLETED
    assert [exit_.role for exit_ in end.processes] == [Role.RANK, Role.SCHEDULER]


def test_scheduler_that_fails_fails_the_training(workshop: "Workshop") -> None:
    """A scheduler without its port is the named cause, instead of ranks that retry for minutes."""
    end = run(workshop, workshop.train(NEVER, scheduler="sys.exit('Error: port 8118 is in use')"))
    assert end.outcome is Outcome.FAILED
    assert re.fullmatch(r"the scheduler exited 1 first \(.*\): Error: port 8118 is in use", end.reason)
    assert end.first is not None
    assert end.first.role is Role.SCHEDULER


def test_scheduler_that_leaves_early_is_no_failure(workshop: "Workshop") -> None:
    """A scheduler may be the first to exit 0."""
    waits = """
    while "bye" not in Path("../../log/scheduler.log").read_text():
        time.sleep(0.01)
    """
    assert run(workshop, workshop.train(waits, scheduler="print('bye')")).outcome is Outcome.COMPLETED


def test_next_attempt_has_a_log_of_its_own(workshop: "Workshop") -> None:
    """The last words of an earlier attempt are kept, and not taken for the later one's."""
    run(workshop, workshop.train("sys.exit('Error: first')"))
    end = run(workshop, workshop.train("sys.exit('Error: second')"))
    assert end.reason.endswith("Error: second")
    log = workshop.job_dir.rank_log(0)
    assert (log.with_name("mindformer.log.1").read_text(), log.read_text()) == ("Error: first\n", "Error: second\n")


def test_ranks_have_no_terminal_and_their_own_session(workshop: "Workshop") -> None:
    """A rank cannot read a terminal, and a signal to the daemon's group does not reach it."""
    end = run(
        workshop,
        workshop.train("print(os.getsid(0) == os.getpgid(0) == os.getpid(), os.readlink('/proc/self/fd/0'))"),
    )
    assert end.processes[0].line == "True /dev/null"


@pytest.mark.parametrize("signum", (signal.SIGTERM, signal.SIGINT))
def test_stop_cancels(workshop: "Workshop", signum: signal.Signals) -> None:
    """TERM or INT ends ranks that listen by TERM, deaf ones by KILL, and is no failure."""
    plan = workshop.train(f"print('ready'); {NEVER}", STUBBORN, grace=0.5)
    command = [sys.executable, "-c", DRIVER, plan.model_dump_json(), str(workshop.job_dir.output)]
    with subprocess.Popen(command, env=workshop.environment, stdout=subprocess.PIPE, text=True) as driver:
        workshop.until_printed(0, "ready")
        workshop.until_printed(1, "deaf")
        driver.send_signal(signum)
        said, _ = driver.communicate(timeout=60)
    end = StepExit.model_validate_json(said)
    assert (end.outcome, end.reason) == (Outcome.CANCELLED, f"told to end by {signum.name}")
    assert [(exit_.rank, exit_.signal) for exit_ in end.processes] == [(0, "SIGTERM"), (1, "SIGKILL")]
