"""Real processes run to their common end."""

import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import TypeAdapter

from handlers.records.job_plan import Role, TimeLimits, TrainPlan
from handlers.records.step_exit import Outcome, StepExit, still_there
from handlers.training.launchers import Launch
from handlers.training.launchers.cluster import cluster

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

# Supervision reaps every child and ends every descendant of its process, so it gets a process of its own.
DRIVER = """
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
import structlog
from pydantic import TypeAdapter
from handlers.events import configure
from handlers.records.job_dir import Step
from handlers.records.job_plan import TrainPlan
from handlers.records.step_exit import StepExit
from handlers.shim.begun import start
from handlers.shim.supervise import supervise
from handlers.shim.wakeups import Wakeups

configure()
plan = TypeAdapter(TrainPlan).validate_json(sys.argv[1])
now = datetime.now(UTC)
output = Path(sys.argv[2])
with Wakeups() as wakeups:
    log = structlog.get_logger()
    begun = start(plan, output, wakeups, log)
    if "over" in sys.argv:
        for pid in begun.started:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    end = supervise(begun, output / "stacks", wakeups, log)
print(StepExit(step=Step.TRAIN, started=now, ended=datetime.now(UTC), **vars(end)).model_dump_json())
"""

NEVER = "time.sleep(600)"
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
STEP_LINE = "{ Epoch:[  1/  2], step:[    1/    4], loss:[1.0/1.0], per_step_time: 10ms, overflow cond: False,"


def told(plan: TrainPlan) -> str:
    """Return a plan as a driver reads it."""
    return TypeAdapter(TrainPlan).dump_json(plan).decode()


def run(workshop: "Workshop", plan: TrainPlan, *words: str) -> StepExit:
    """Supervise `plan` in a process of its own; with the word `over` once all of it is over."""
    command = [sys.executable, "-c", DRIVER, told(plan), str(workshop.job_dir.output), *words]
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
    assert re.match(r"rank 1 on device 5 exited 3 first \(\d\d:\d\d:\d\d\): KeyError: 'prefix'; cause: ", end.reason)
    assert "`glmd logs N --rank 1`" in end.reason
    assert end.diagnosis is not None
    assert (end.diagnosis.error, end.diagnosis.rank) == ("Python error", 1)
    assert end.first is not None
    assert (end.first.rank, end.first.exit_code, end.first.signal) == (1, 3, None)
    assert end.processes[0] == end.first
    assert {(exit_.rank, exit_.signal) for exit_ in end.processes[1:]} == {(0, "SIGTERM"), (2, "SIGTERM")}


def test_rank_killed_by_a_signal(workshop: "Workshop") -> None:
    """A rank that a signal killed is told by the signal's name, with the last line it wrote."""
    end = run(workshop, workshop.train("print('loading'); os.kill(os.getpid(), signal.SIGKILL)", NEVER))
    assert end.outcome is Outcome.FAILED
    assert re.match(r"rank 0 on device 4 was killed by SIGKILL first \(.*\): loading; cause: killed by ", end.reason)
    assert end.first is not None
    assert (end.first.exit_code, end.first.signal) == (None, "SIGKILL")


def test_rank_without_a_word(workshop: "Workshop") -> None:
    """A silent failure is told as such."""
    assert run(workshop, workshop.train("sys.exit(1)")).reason.endswith("it logged nothing")


def test_rank_whose_log_is_away(workshop: "Workshop") -> None:
    """Nobody knows what it said: the job's directory was removed or moved meanwhile."""
    log = workshop.job_dir.rank_log(0)
    end = run(workshop, workshop.train(f"print('why'); os.unlink({str(log)!r}); sys.exit(1)"))
    assert end.reason.endswith(f"its output is not known: {log} is not there")


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
        "no log line and no shard between two steps for 1.5 s (timeout.silence); "
        "quiet for longest is rank 0 on device 4: waits for a peer; it stands in <module> (<string>:5)"
    )
    assert end.limit == "silence"
    assert {exit_.signal for exit_ in end.processes} == {"SIGTERM"}


def test_a_stopped_rank_is_named_before_those_that_wait_for_it(workshop: "Workshop") -> None:
    """Whoever stopped it learns that from the reason, though another rank printed nothing for longer."""
    stops = f"""
    while "waits" not in Path("../../log/rank_0/mindformer.log").read_text():
        time.sleep(0.01)
    time.sleep(0.1)
    print("{STEP_LINE}")
    os.kill(os.getpid(), signal.SIGSTOP)
    """
    waits = f"""
    print("{STEP_LINE}")
    print("waits for a peer")
    {NEVER}
    """
    end = run(workshop, workshop.train(waits, stops, limits=TimeLimits(silence=1.5, first_step=60)))
    assert "quiet for longest is rank 1 on device 5: " in end.reason
    assert end.reason.endswith("(<string>:7), stopped by a signal: SIGSTOP, or a debugger")


def test_first_step_never_comes(workshop: "Workshop") -> None:
    """Before the first step its own limit counts, not silence."""
    end = run(workshop, workshop.train(NEVER, limits=TimeLimits(silence=0.01, first_step=1)))
    assert end.outcome is Outcome.TIMED_OUT
    assert end.reason == (
        "no log line and no shard while loading for 1 s (timeout.first_step); "
        "quiet for longest is rank 0 on device 4: it logged nothing; it stands in <module> (<string>:2)"
    )
    assert end.limit == "first_step"


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
    assert end.limit == "total"


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


def test_what_ranks_did_before_they_were_watched(workshop: "Workshop") -> None:
    """The shim imports half of itself meanwhile. It counts, for the limits that are learned above all."""
    silences = run(workshop, workshop.train(f"print({STEP_LINE!r})"), "over").silences
    assert silences is not None
    assert silences.step is not None


def test_rank_that_cannot_start(workshop: "Workshop") -> None:
    """An interpreter that is not there is told, and the ranks started before are ended."""
    plan = workshop.train(NEVER, NEVER)
    broken = replace(plan.processes[1], argv=("/no/such/python",))
    end = run(workshop, replace(plan, processes=(plan.processes[0], broken)))
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


def test_scheduler_whose_port_was_taken_says_which(workshop: "Workshop") -> None:
    """Since the plan was made; the ranks are ended, which would call a stranger."""
    scheduler = cluster(
        Launch(
            job_dir=workshop.job_dir,
            devices=(0, 1),
            device_target="CPU",
            rank_table=None,
            python=Path(sys.executable),
            command=(sys.executable, "-c", NEVER),
            environment=workshop.environment,
        )
    )[0]
    ranks = workshop.train(NEVER, NEVER)
    port = (scheduler.environment or {})["MS_SCHED_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        end = run(workshop, replace(ranks, processes=(scheduler, *ranks.processes)))
    assert (end.outcome, end.code) == (Outcome.FAILED, "rank.port-in-use")
    taken = f"the port {port} of 127.0.0.1, at which the ranks were to meet, cannot be had: Address already in use; "
    assert re.match(rf"the scheduler exited 1 first \([0-9:]+\): {re.escape(taken)}", end.reason), end.reason
    assert [process.signal for process in end.processes] == [None, "SIGTERM", "SIGTERM"]


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
    command = [sys.executable, "-c", DRIVER, told(plan), str(workshop.job_dir.output)]
    with subprocess.Popen(command, env=workshop.environment, stdout=subprocess.PIPE, text=True) as driver:
        workshop.until_printed(0, "ready")
        workshop.until_printed(1, "deaf")
        driver.send_signal(signum)
        said, _ = driver.communicate(timeout=60)
    end = StepExit.model_validate_json(said)
    assert (end.outcome, end.reason) == (Outcome.CANCELLED, f"stopped by {signum.name}")
    assert [(exit_.rank, exit_.signal) for exit_ in end.processes] == [(0, "SIGTERM"), (1, "SIGKILL")]


def test_a_rank_that_only_lost_its_peer_is_not_blamed(workshop: "Workshop") -> None:
    """Rank 1 fails and hangs in its own clean-up; rank 0 exits over it: rank 1 is named, with cause and remedy."""
    fails = f"""
    print("Traceback (most recent call last):")
    print("  File 'run_mindformer.py', line 1, in <module>")
    print("ModuleNotFoundError: No module named 'mindpet'")
    {NEVER}
    """
    loses = """
    while "mindpet" not in Path("../../log/rank_1/mindformer.log").read_text():
        time.sleep(0.01)
    print("EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.")
    sys.exit(1)
    """
    end = run(workshop, workshop.train(loses, fails))
    assert end.reason.startswith(
        "rank 1 on device 5 failed first, and had not ended: ModuleNotFoundError: No module named 'mindpet'; "
        "rank 0 only lost its peer; cause: "
    )
    assert end.diagnosis is not None
    assert (end.diagnosis.error, end.diagnosis.rank, end.diagnosis.may_pass) == ("missing module", 1, False)
    assert end.first is not None
    assert (end.first.rank, end.first.signal) == (1, "SIGTERM")


def test_completed_training_tells_its_longest_silences(workshop: "Workshop") -> None:
    """What is learned from: a silence for each phase that was seen, and of which configuration."""
    phases = f"""
    time.sleep(1.3)
    print(".........Starting Training Model..........")
    time.sleep(1.3)
    print("{STEP_LINE}")
    time.sleep(1.3)
    print("......Saving ckpt......")
    time.sleep(1.3)
    """
    plan = replace(workshop.train(phases), configuration="abc")
    silences = run(workshop, plan).silences
    assert silences is not None
    assert silences.configuration == "abc"
    seen = (silences.load, silences.first_step, silences.step, silences.saving)
    assert all(longest is not None and longest > 0.2 for longest in seen), seen


def test_training_that_failed_teaches_nothing(workshop: "Workshop") -> None:
    """Its silences may be those of a hang."""
    assert run(workshop, workshop.train("sys.exit(1)")).silences is None


def test_stacks_of_a_hung_training_are_kept(workshop: "Workshop") -> None:
    """Each rank's file says where its Python is and where its threads wait."""
    hangs = """
    def all_reduce():
        time.sleep(600)
    all_reduce()
    """
    end = run(workshop, workshop.train(hangs, NEVER, limits=TimeLimits(first_step=1)))
    assert re.search(
        r"rank [01] on device [45]: it logged nothing; it stands in (all_reduce|<module>) \(<string>", end.reason
    )
    stacks = workshop.job_dir.output / "stacks"
    assert "all_reduce (<string>:4)" in (stacks / "rank_0.txt").read_text()
    for rank in (0, 1):
        text = (stacks / f"rank_{rank}.txt").read_text()
        assert re.search(r"^Thread \d+ \(.*\)", text, re.MULTILINE)
        assert re.search(r"^Thread \d+ python\S*: S \(sleeping\), wchan \w+$", text, re.MULTILINE)


QUICK = DRIVER.replace(
    "configure()\n",
    """
import handlers.shim.limit_clock as limit_clock
import handlers.shim.supervise as supervision
supervision._LOOK_EVERY, limit_clock.LONGEST_LOOK = 0.1, 0.3
configure()
""",
    1,
)


def test_limits_do_not_fire_for_time_in_which_the_shim_was_stopped(workshop: "Workshop") -> None:
    """A shim that is stopped for longer than the limit (SIGSTOP, a frozen cgroup) does not end its ranks over it."""
    gated = """
    print("ready")
    while not Path("gate").exists():
        time.sleep(0.01)
    """
    plan = workshop.train(gated, limits=TimeLimits(first_step=4, total=60))
    command = [sys.executable, "-c", QUICK, told(plan), str(workshop.job_dir.output)]

    def let_pass(seconds: float) -> None:
        until = time.monotonic() + seconds
        workshop.eventually(lambda: time.monotonic() > until, f"{seconds} s have passed")

    with subprocess.Popen(command, env=workshop.environment, stdout=subprocess.PIPE, text=True) as driver:
        workshop.until_printed(0, "ready")
        let_pass(0.5)  # it sees that last sign of life
        driver.send_signal(signal.SIGSTOP)
        let_pass(4.5)
        driver.send_signal(signal.SIGCONT)
        let_pass(0.5)  # it looks at its clock
        (plan.processes[0].directory / "gate").touch()
        said, _ = driver.communicate(timeout=60)
    end = StepExit.model_validate_json(said)
    assert (end.outcome, end.reason) == (Outcome.COMPLETED, "")


# No test can put a process into state D at will. Instead the kill goes astray: Children.signal spares whoever has
# `UNKILLABLE` in its command line, so that what is told of a survivor of KILL is told of a real, living process.
SPARING = DRIVER.replace(
    "configure()\n",
    """
import handlers.shim.supervise as supervision
from handlers.shim.children import Children
from handlers.records.process import ProcessIdentity
supervision._KILL_PATIENCE = 0.2
def spare(self, signum):
    for pid in self.pids():
        if b"UNKILLABLE" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            ProcessIdentity.of(pid).signal(signum)
Children.signal = spare
configure()
""",
    1,
)


def test_process_that_survives_kill_needs_an_operator(workshop: "Workshop") -> None:
    """The survivor is named with rank, device, pid and state; it counts as there until it is gone; no other does."""
    leaves = """
    subprocess.Popen([sys.executable, "-SEc", "'UNKILLABLE'; import time; time.sleep(600)"])
    sys.exit("Error: driver hangs")
    """
    plan = workshop.train(NEVER, leaves, grace=0.2)
    command = [sys.executable, "-c", SPARING, told(plan), str(workshop.job_dir.output)]
    done = subprocess.run(command, env=workshop.environment, capture_output=True, text=True, check=True, timeout=60)
    end = StepExit.model_validate_json(done.stdout)
    assert end.needs_operator
    (survivor,) = end.survivors
    assert (survivor.rank, survivor.device, survivor.state) == (1, 5, "S")
    assert end.reason.startswith(
        f"needs operator: rank 1 on device 5 (pid {survivor.pid}, which is in state S) cannot be killed; "
        "the devices stay locked until it is gone"
    )
    assert "; rank 1 on device 5 exited 1 first" in end.reason
    assert still_there(end) == (survivor.pid,)
    other = survivor.model_copy(update={"start_time": survivor.start_time - 1})
    earlier = survivor.model_copy(update={"boot_id": "00000000-0000-0000-0000-000000000000"})
    assert still_there(end.model_copy(update={"survivors": (other, earlier)})) == ()
    survivor.identity.signal(signal.SIGKILL)
    workshop.eventually(lambda: still_there(end) == (), "the survivor is gone")


BLIND = DRIVER.replace(
    "configure()\n",
    """
import errno, os, psutil
looks, real = [], psutil.Process.children
def children(self, recursive=False):
    looks.append(1)
    if len(looks) <= 3:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
    return real(self, recursive=recursive)
psutil.Process.children = children
configure()
""",
    1,
)


@pytest.mark.parametrize(("ranks", "outcome"), (("fine", Outcome.COMPLETED), ("fails", Outcome.FAILED)))
def test_ending_goes_on_when_processes_cannot_be_listed(workshop: "Workshop", ranks: str, outcome: Outcome) -> None:
    """A host without open files left costs no completed training its end, and leaves no process."""
    leaves = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
    scripts = (leaves,) if ranks == "fine" else (NEVER, f"{leaves}; sys.exit('Error: mine')")
    plan = workshop.train(*scripts, grace=3)
    command = [sys.executable, "-c", BLIND, told(plan), str(workshop.job_dir.output)]
    done = subprocess.run(command, env=workshop.environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    end = StepExit.model_validate_json(done.stdout)
    assert (end.outcome, end.survivors) == (outcome, ())
    assert "processes_not_listed" in done.stderr
