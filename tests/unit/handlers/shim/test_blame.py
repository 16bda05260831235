"""Who is to blame when a training fails."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from handlers.rank_log.last_words import last_words
from handlers.records.job_plan import ProcessPlan, Role
from handlers.records.step_exit import ProcessExit
from handlers.shim.begun import oom_kills
from handlers.shim.blame import Blame, blame, witnesses_of

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop

ECHO = "EI0006: [PID: 1] 2026-11-24-09:14:07.000.000 Getting socket times out. Reason: Remote Rank did not send."
LOST = "[ERROR] [gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:50262"
CAUSE = "EI0004: [PID: 2] 2026-11-24-09:14:05.000.000 The ranktable is invalid."


class Ranks:
    """The ranks of a training that has failed, whose logs are what a test makes them."""

    def __init__(self, workshop: "Workshop", *logs: str) -> None:
        self.plans: dict[int, ProcessPlan] = {}
        for rank, text in enumerate(logs):
            plan = workshop.process("pass", rank)
            plan.log.parent.mkdir(parents=True, exist_ok=True)
            plan.log.write_text(text)
            self.plans[100 + rank] = plan

    def exit(self, rank: int, signal: str | None = None) -> ProcessExit:
        """Return how a rank ended: with exit code 1, or by a signal."""
        return ProcessExit(
            role=Role.RANK,
            rank=rank,
            device=rank + 4,
            pid=100 + rank,
            exit_code=None if signal else 1,
            signal=signal,
            ended=datetime(2026, 11, 24, 9, 14, 7, tzinfo=UTC),
            line=last_words(self.plans[100 + rank].log),
        )

    def blame(self, *failed: ProcessExit, kills: int | None = None) -> Blame:
        """Ask."""
        return blame(witnesses_of(failed, self.plans, oom_kills=kills))


def test_the_only_one_that_failed(workshop: "Workshop") -> None:
    """Its exit, its last words, and what they mean."""
    ranks = Ranks(workshop, "", CAUSE)
    found = ranks.blame(ranks.exit(1))
    assert found.witness.pid == 101
    assert found.reason.startswith("rank 1 on device 5 exited 1 first (")
    assert "EI0004: " in found.reason
    assert found.reason.endswith(
        "; cause: HCCL rejects the rank table as illegal; to do: `glmd rank-table check FILE` says which rule it breaks"
    )
    assert found.diagnosis is not None
    assert (found.diagnosis.error, found.diagnosis.may_pass) == ("EI0004", False)


def test_unknown_error_is_told_without_advice(workshop: "Workshop") -> None:
    """Nothing is made up."""
    ranks = Ranks(workshop, "Error: no data")
    found = ranks.blame(ranks.exit(0))
    assert found.diagnosis is None
    assert found.reason.endswith("): Error: no data")


def test_of_two_that_ended_in_the_same_moment_the_cause_counts(workshop: "Workshop") -> None:
    """The order in which exits are collected is the order of the ranks' starts, not of their ends."""
    ranks = Ranks(workshop, ECHO, LOST, CAUSE)
    found = ranks.blame(ranks.exit(0), ranks.exit(1), ranks.exit(2))
    assert found.witness.pid == 102
    assert "; ranks 0, 1 only lost their peer; cause: HCCL rejects" in found.reason


def test_a_killed_rank_is_the_cause_whatever_its_log_says(workshop: "Workshop") -> None:
    """Nothing announces a kill; an old complaint about a connection does not make it an echo."""
    ranks = Ranks(workshop, ECHO, LOST)
    found = ranks.blame(ranks.exit(0), ranks.exit(1, "SIGKILL"))
    assert found.witness.pid == 101
    assert found.reason.startswith("rank 1 on device 5 was killed by SIGKILL first")
    assert "rank 0 only lost its peer" in found.reason


@pytest.mark.parametrize("log", (CAUSE, "ValueError: no prefix"))
def test_a_rank_that_still_runs_is_blamed_for_an_earlier_cause(workshop: "Workshop", log: str) -> None:
    """It hangs in its own clean-up, and others time out; an error without a time must have been earlier."""
    ranks = Ranks(workshop, ECHO, log)
    found = ranks.blame(ranks.exit(0))
    assert found.witness.pid == 101
    assert found.reason.startswith("rank 1 on device 5 failed first")
    assert "and had not ended" in found.reason
    assert "rank 0 only lost its peer" in found.reason


def test_the_earliest_of_several_causes_counts(workshop: "Workshop") -> None:
    """By the time that the logs tell."""
    later = CAUSE.replace("09:14:05", "09:14:06").replace("EI0004", "EI0014")
    ranks = Ranks(workshop, ECHO, later, CAUSE)
    assert ranks.blame(ranks.exit(0)).witness.pid == 102


def test_a_later_error_is_no_cause(workshop: "Workshop") -> None:
    """What a rank complains about after the time-out came of it."""
    ranks = Ranks(workshop, ECHO, CAUSE.replace("09:14:05", "09:14:09"))
    found = ranks.blame(ranks.exit(0))
    assert found.witness.pid == 100


def test_echoes_alone_name_the_first_and_say_where_to_look(workshop: "Workshop") -> None:
    """Without a cause in any log, the remedy sends to the rank that fell silent."""
    ranks = Ranks(workshop, ECHO, "loading")
    found = ranks.blame(ranks.exit(0))
    assert found.witness.pid == 100
    assert "cause: another rank did not connect in time" in found.reason
    assert "stopped printing first" in found.reason
    assert "only lost" not in found.reason


def test_where_ranks_have_only_lost_each_other_the_advice_is_no_circle(workshop: "Workshop") -> None:
    """The one that is named ended first: to look for who did leads nowhere, and there is a command to go on with."""
    ranks = Ranks(workshop, "RuntimeError: The state of the cluster is error, total nodes num: 2", LOST)
    found = ranks.blame(ranks.exit(0), ranks.exit(1))
    assert found.witness.pid == 100
    assert "if it is this one, no rank has more: `glmd retry N`" in found.reason


@pytest.mark.parametrize(
    ("kills", "cause"),
    (
        (2, "killed by the kernel because memory ran out: it has killed 2 since the training began"),
        (0, "killed by a person or a program: the kernel has killed none for lack of memory since the training began"),
        (
            None,
            (
                "killed from outside: usually by the kernel, because the host ran out of memory; then the reason"
                " has that, or `killed by a person or a program`"
            ),
        ),
    ),
)
def test_kill_is_told_by_the_kernels_count(workshop: "Workshop", kills: int | None, cause: str) -> None:
    """Its log can be read by root alone, its count of out-of-memory kills by all."""
    ranks = Ranks(workshop, "loading")
    diagnosis = ranks.blame(ranks.exit(0, "SIGKILL"), kills=kills).diagnosis
    assert diagnosis is not None
    assert diagnosis.cause == cause
    assert "`glmd retry N`" in diagnosis.remedy or kills
    assert ("oom" in diagnosis.remedy) == (kills != 0), "who was killed by somebody needs no more memory"


def test_log_says_more_than_the_signal_of_an_abort(workshop: "Workshop") -> None:
    """C++ aborts after it has printed why."""
    ranks = Ranks(workshop, "terminate called after throwing an instance of 'std::bad_alloc'", "")
    for rank, error in ((0, "host memory"), (1, "SIGABRT")):
        diagnosis = ranks.blame(ranks.exit(rank, "SIGABRT")).diagnosis
        assert diagnosis is not None
        assert diagnosis.error == error


@pytest.mark.parametrize("killed_by", ("SIGKILL", "SIGSEGV", "SIGTERM"))
def test_a_killed_rank_is_told_with_how_far_it_was(workshop: "Workshop", killed_by: str) -> None:
    """Its progress bar says nothing of why."""
    step = "{ Epoch:[  1/  2], step:[    3/    4], loss:[11.770/11.776], per_step_time: 1237ms, overflow cond: False"
    ranks = Ranks(workshop, f"KeyError: 1\n{step}\n  37.5% |█████     | 6.46 samples/s/p  0:00:06 }}\n")
    reason = ranks.blame(ranks.exit(0, killed_by)).reason
    assert reason.startswith(f"rank 0 on device 4 was killed by {killed_by} first (")
    assert reason.partition("): ")[2].partition("; ")[0] == "after step 3/4 of epoch 1/2"


def test_advice_names_rank_and_device(workshop: "Workshop") -> None:
    """Whoever reads it has not to look them up; the job is filled in where it is known."""
    for log, remedy in (
        ("KeyError: 1", "read its traceback: `glmd logs N --rank 1`"),
        ("EI0009: Transport init error.", "then at the links: `hccn_tool -i 5 -link -g`"),
    ):
        ranks = Ranks(workshop, "", log)
        assert ranks.blame(ranks.exit(1)).reason.endswith(remedy)


def test_a_scheduler_is_no_rank_that_glmd_shows(workshop: "Workshop") -> None:
    """Its log is named by its path."""
    plan = workshop.process("pass", None)
    plan.log.parent.mkdir(parents=True)
    plan.log.write_text("KeyError: 1\n")
    died = ProcessExit(
        role=Role.SCHEDULER, rank=None, device=None, pid=7, exit_code=1, signal=None, ended=datetime.now(UTC), line="x"
    )
    found = blame(witnesses_of([died], {7: plan}, oom_kills=None))
    assert found.reason.endswith(f"read its traceback: `less {plan.log}`")
    assert found.diagnosis is not None
    assert found.diagnosis.remedy == f"read its traceback: `less {plan.log}`"


NOT_ALL = """\
[ERROR] DISTRIBUTED(7,7f,python):2026-11-29-17:50:57.073.841 [a.cc:94] I] Building networking for MS_SCHED failed.
RuntimeError: Failed to initialize distributed job cluster because some processes are not spawned.
"""


def registered(*ranks: int) -> str:
    """Return what MindSpore's scheduler says of ranks that reach it, and then for as long as it waits."""
    came = "[WARNING] DISTRIBUTED(7,7f,python):2026-11-29-17:50:38.163.328 [a.cc:254] ProcessRegister] The new node: {}"
    more = "(role: MS_WORKER), rank id: {}, device id: 0, hostname: vm is registered successfully. Currently: 1\n"
    waits = (
        "[WARNING] DISTRIBUTED(7,7f,python):2026-11-29-17:50:38 [a.cc:3] B] Topology build timed out., retry(1/40).\n"
    )
    return "".join((came + more).format(rank, rank) for rank in ranks) + 1200 * waits


class Cluster(Ranks):
    """Ranks with a scheduler, which has given up."""

    def __init__(self, workshop: "Workshop", scheduler: str, *logs: str) -> None:
        super().__init__(workshop, *logs)
        plan = workshop.process("pass", None)
        plan.log.write_text(scheduler)
        self.plans = {99: plan, **self.plans}
        self.gave_up = ProcessExit(
            role=Role.SCHEDULER,
            rank=None,
            device=None,
            pid=99,
            exit_code=1,
            signal=None,
            ended=datetime(2026, 11, 24, 9, 14, 7, tzinfo=UTC),
            line=last_words(plan.log),
        )


def test_a_rank_that_never_reached_the_scheduler_is_named(workshop: "Workshop") -> None:
    """Not the scheduler, which waited for it in vain, nor the ranks that did come."""
    cluster = Cluster(workshop, registered(0, 2) + NOT_ALL, NOT_ALL, "imports slowly\n", "")
    found = cluster.blame(cluster.gave_up, cluster.exit(0))
    assert found.witness.pid == 101
    assert found.code == "rank.scheduler-not-reached"
    assert found.reason == (
        "rank 1 on device 5 never reached the scheduler: imports slowly; rank 0 only lost its peer; cause: not all "
        "ranks were at the scheduler in time (MS_TOPO_TIMEOUT); to do: see what the rank that did not come has "
        "printed: `glmd logs N --rank 1`; if it was at work, raise MS_TOPO_TIMEOUT in `training.environment`"
    )
    assert found.diagnosis is not None
    assert (found.diagnosis.rank, found.diagnosis.may_pass) == (1, True)


def test_several_that_never_reached_it_are_named_together(workshop: "Workshop") -> None:
    """Also one that says so itself; of a silent one, that it is."""
    cluster = Cluster(workshop, registered(1) + NOT_ALL, "", "", NOT_ALL)
    found = cluster.blame(cluster.exit(2), cluster.gave_up)
    assert found.reason.startswith(
        "rank 0 on device 4, rank 2 on device 6 never reached the scheduler: it logged nothing; cause: "
    )


def test_a_cause_counts_before_a_rank_that_never_came(workshop: "Workshop") -> None:
    """It could not come."""
    cluster = Cluster(workshop, registered(0) + NOT_ALL, NOT_ALL, "ModuleNotFoundError: No module named 'mindformers'")
    assert cluster.blame(cluster.gave_up).code == "rank.missing-module"


def test_a_scheduler_that_was_killed_has_no_last_words(workshop: "Workshop") -> None:
    """What it logged is how it met the ranks, long before."""
    cluster = Cluster(workshop, registered(0, 1), "", "")
    found = cluster.blame(cluster.gave_up.model_copy(update={"exit_code": None, "signal": "SIGKILL"}), kills=0)
    assert found.code == "rank.SIGKILL"
    assert re.match(
        r"the scheduler was killed by SIGKILL first \([0-9:]+\); without it the ranks lose each other; "
        r"cause: killed by a person or a program",
        found.reason,
    )


@pytest.mark.parametrize("scheduler", (registered(0, 1) + NOT_ALL, ""))
def test_where_it_is_not_known_who_did_not_come_the_first_that_gave_up_is_named(
    workshop: "Workshop", scheduler: str
) -> None:
    """All did, or the scheduler has been lost with its log."""
    cluster = Cluster(workshop, scheduler, NOT_ALL, "")
    if not scheduler:
        cluster.plans[99].log.unlink()
    found = cluster.blame(cluster.exit(0))
    assert found.reason.startswith("rank 0 on device 4 exited 1 first (")
    assert found.code == "rank.scheduler-not-reached"


def test_of_several_ranks_in_one_process_the_one_whose_log_shows_the_cause_is_named(workshop: "Workshop") -> None:
    """The process ended, and which of its ranks failed only their logs tell."""
    ranks = Ranks(workshop, ECHO, CAUSE, "")
    own = next(iter(ranks.plans.values()))
    node = replace(own, ranks=tuple(rank for plan in ranks.plans.values() for rank in plan.ranks))
    found = blame(witnesses_of([ranks.exit(0)], {100: node}, oom_kills=None))
    assert found.witness.pid == 100
    assert found.reason.startswith("rank 1 on device 5 exited 1 first (")
    assert "; rank 0 only lost its peer; " in found.reason
    assert found.diagnosis is not None
    assert (found.diagnosis.rank, found.diagnosis.error) == (1, "EI0004")


def test_kernel_counts_its_kills() -> None:
    """This host's kernel tells."""
    count = oom_kills()
    assert count is not None
    assert count >= 0


@pytest.mark.parametrize(("log", "code"), ((CAUSE, "rank.EI0004"), ("goodbye", "rank.failed"), ("", "rank.failed")))
def test_an_end_has_the_code_of_its_error(workshop: "Workshop", log: str, code: str) -> None:
    """Where the log shows one that is known."""
    ranks = Ranks(workshop, log)
    assert ranks.blame(ranks.exit(0)).code == code


def test_a_kill_has_the_code_of_its_signal(workshop: "Workshop") -> None:
    """As the kernel calls it."""
    ranks = Ranks(workshop, "")
    assert ranks.blame(ranks.exit(0, "SIGKILL")).code == "rank.SIGKILL"
