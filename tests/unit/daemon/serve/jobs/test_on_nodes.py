"""The way of a training on nodes: what is decided by its files and Slurm's answers, which a test gives."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.slurm_settings import MergeWhere, SlurmMerge, SlurmSettings
from daemon.core.states import STEP_OF, Job, State
from daemon.core.store import NewJob, Store
from daemon.serve.jobs import in_slurms_queue, on_nodes
from daemon.serve.jobs.endings import Finished
from daemon.serve.jobs.in_slurms_queue import LONGEST_REST
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.nodes_looks import WAITED, look
from daemon.serve.jobs.on_nodes import ENOUGH_TIME, EXIT_ALLOWANCE, FORGOTTEN, SILENCE_OF_SLURM, YOUNG, OnNodes
from daemon.serve.loop.waiting import Waiting
from daemon.serve.steps.slurm.naming import called
from daemon.serve.steps.slurm.queue import Answer
from daemon.serve.steps.slurm.submission import SlurmRecords
from handlers.ckpt.files.listing import is_listed
from handlers.records.job_dir import Step
from handlers.records.nodes import Control, NodeState, Owner, Request
from handlers.records.slurm import Intent, SlurmStatus, Submitted, Verdict
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import Ending, Failure
from handlers.slurm.queue import Row

NAME = "glmd-0123abcd-0001-1-train"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
SETTINGS = Settings(slurm=SlurmSettings())


class House:
    """One job on two nodes, and everybody around whom it asks."""

    def __init__(self, place: Path, store: Store, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.store = Root(place), store
        self.now = 1000.0
        self.answer: Answer | None = None
        self.asked: list[str] = []
        self.ends: list[Finished | Failure] = []
        self.withdrawn: Callable[[], object] = lambda: None
        monkeypatch.setattr(on_nodes.time, "monotonic", lambda: self.now)
        self._waiting = waiting
        self.nodes = self._daemon()
        job = store.add(NewJob("claim", "run", nodes=2, ranks=4))
        self.records = SlurmRecords(job.directory(place), 1)
        self.records.nodes.lay_out(2)
        job.directory(place).submitted.write_text("the dropped file")
        self.intent(1)
        store.move(store.move(job, State.PREPARING), State.SUBMITTED)

    def _daemon(self) -> OnNodes:
        moves = Moves(self.root, self.store, self._waiting)
        return OnNodes(self.root, self.store, moves, self, self)  # type: ignore[arg-type] # all that is asked of it

    # What is around it

    def ask(self, _: SlurmSettings) -> None:
        """Take note that Slurm is asked for all jobs."""
        self.asked.append("all")

    def submit(self, *_: object) -> None:
        """Take note that the job is submitted."""
        self.asked.append("submit")

    def end_others(self, _: Job, __: SlurmSettings, others: Sequence[Row]) -> None:
        """Take note of which jobs are to be cancelled that are too much."""
        self.asked += [f"end {row.id}" for row in others]

    def leave_none_out(self, *_: object) -> None:
        """Take note that it is to have all nodes."""
        self.asked.append("all nodes")

    def withdraw(self, _: Job, __: SlurmSettings, then: Callable[[], object]) -> None:
        """Take note that Slurm is to have nothing of it."""
        self.asked.append("withdraw")
        self.withdrawn = then

    def cancelled(self, *_: object) -> None:
        """Take note that it counts as cancelled."""
        self.asked.append("cancelled")

    def go_on(self, job: Job, step: Step, end: Finished | Failure, settings: Settings) -> None:
        """Take note of how it ended."""
        del job, step, settings
        self.ends.append(end)

    # What a test says

    @property
    def job(self) -> Job:
        """The job as the store has it."""
        return self.store.job(1)

    def turn(self, seconds: float = 1.0) -> None:
        """Let so much time pass, and follow the job, unless there is nothing to look at."""
        self.now += seconds
        step = STEP_OF[self.job.state]
        if not self.nodes.rests(self.job, step, SETTINGS):
            self.nodes.follow(self.job, step, SETTINGS)

    def slurm(
        self, state: str | None, reason: str = "None", nodes: str = "n[1-2]", down: Mapping[str, str] | None = None
    ) -> None:
        """Let Slurm answer now; None when it knows no such job. `down` are the nodes that are."""
        name = Intent.read(self.records.intent).name
        rows = {} if state is None else {name: (Row("7", state, reason, "N/A", nodes, name),)}
        self.answer = Answer(self.now, 0.0, rows, down=down or {})

    def restart(self) -> None:
        """Let another daemon follow the job: it knows nothing but the files."""
        self.answer = None
        self.nodes = self._daemon()

    def intent(self, tries: int, wait: float | None = None) -> None:
        """Let it have been submitted so often."""
        Intent(name=NAME, tries=tries, sent=NOW, script="x", wait=wait).publish(self.records.intent)

    def submitted(self) -> None:
        """Let Slurm have taken it."""
        Submitted(id="7", how="sbatch").publish(self.records.job)

    def begun(self) -> None:
        """Let its shim have begun."""
        self.submitted()
        self.has_owner("n[1-2]")
        self.turn()
        assert self.job.state is State.TRAINING

    def has_owner(self, nodelist: str) -> None:
        """Let its shim have taken it."""
        Owner(job="7", host="n1", pid=1, start_time=1, boot_id="x", nodelist=nodelist).publish(self.records.nodes.owner)

    def merges(self) -> None:
        """Let the training have come to its end, and its merge be about to begin."""
        self.store.move(self.store.move(self.job, State.TRAINING), State.MERGING)
        self.records = SlurmRecords(self.job.directory(self.root.path), 1, Step.MERGE)

    def beat(self, seq: int) -> None:
        """Let a node give a sign of life."""
        NodeState(seq=seq, node="n1").publish(self.records.nodes.state(0))

    def ended(self, outcome: Outcome, **more: object) -> None:
        """Let exit.json say so."""
        given = {"step": Step.TRAIN, "outcome": outcome, "reason": "why", "started": NOW, "ended": NOW}
        StepExit.model_validate({**given, **more}).publish(self.records.nodes.path / "exit.json")

    def wants(self) -> str | None:
        """Return why its shim is to end it."""
        return (Request.now(self.records.nodes.request) or Request()).stop


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Return a job that Slurm is about to get."""
    root = Root(tmp_path)
    root.create()
    with Store.open(root.store) as store, Waiting() as waiting:
        yield House(tmp_path, store, waiting, monkeypatch)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was looked at: `all` files of a job, or whether there is an `owner`."""
    seen: list[str] = []
    monkeypatch.setattr(on_nodes, "look", lambda *given: seen.append("all") or look(*given))
    monkeypatch.setattr(in_slurms_queue, "is_listed", lambda path: seen.append("owner") or is_listed(path))
    return seen


def waits(house: House, looks: list[str], seconds: int = 2) -> None:
    """Let it have waited in Slurm's queue for so long, of which Slurm says the same each time."""
    house.submitted()
    house.turn()
    for _ in range(seconds // 2):
        house.slurm("PENDING", "Resources")
        house.turn(2.0)
    looks.clear()


def test_the_files_of_what_waits_are_not_read_again_before_slurm_says_something_else(
    house: House, looks: list[str]
) -> None:
    """There may be hundreds; but a wish is seen at once."""
    waits(house, looks)
    for _ in range(10):
        house.slurm("PENDING", "Resources")
        house.turn()
    assert "all" not in looks
    assert house.asked[-1] == "all"
    house.slurm("PENDING", "Priority")
    house.turn()
    assert house.job.reason == "Slurm job 7 waits for Priority (2 nodes)"
    assert looks.count("all") == 1
    house.store.ask_to_cancel(house.job)
    house.turn()
    assert house.asked[-1] == "withdraw"


@pytest.mark.parametrize(("waited", "soon"), ((10, 4.0), (30, 8.0), (3600, LONGEST_REST + 2.0)))
def test_what_has_waited_for_long_is_looked_for_less_often(
    house: House, looks: list[str], waited: int, soon: float
) -> None:
    """It is found after a fifth of its wait, and after ten seconds at most, however seldom Slurm is asked."""
    waits(house, looks, waited)
    for _ in range(10):
        house.turn(2.0)
    assert looks.count("owner") <= 20.0 / min(LONGEST_REST, waited / 5)
    house.has_owner("n[1-2]")
    began = house.now
    while house.job.state is State.SUBMITTED:
        house.turn(2.0)
    assert house.now - began <= soon


def test_the_files_of_what_waits_are_not_read_while_slurm_does_not_answer(house: House, looks: list[str]) -> None:
    """But once for each question. When it answers again its reason is told again, and what began meanwhile is found."""
    waits(house, looks, 100)
    for asked in (1, 2):
        house.answer = Answer(house.now, 30.0, unclear="squeue: no answer in 30 s")
        for _ in range(30):
            house.turn(2.0)
        assert looks.count("all") == asked
        assert house.job.code == "slurm.no-answer"
    house.slurm("PENDING", "Resources")
    house.turn()
    assert house.job.reason == "Slurm job 7 waits for Resources (2 nodes)"
    house.answer = Answer(house.now, 30.0, unclear="squeue: no answer in 30 s")
    house.turn()
    house.has_owner("n[1-2]")
    house.turn(LONGEST_REST)
    assert house.job.state is State.TRAINING


DEAF = SETTINGS.slurm.lease + SETTINGS.training.grace + ENOUGH_TIME if SETTINGS.slurm else 0.0
"""Seconds after which a shim that gives no sign of life is given up."""


@pytest.mark.parametrize("state", ("RUNNING", "SUSPENDED"))
def test_a_shim_of_the_job_that_is_deaf_for_ever_is_given_up(house: House, state: str) -> None:
    """Its nodes have ended by their lease, and Slurm goes on saying that it runs; but who is suspended is not deaf."""
    house.begun()
    house.turn()
    house.slurm(state)
    for _ in range(int(DEAF)):
        house.turn()
    assert house.ends == []
    for _ in range(5):
        house.turn()
    if state == "SUSPENDED":
        assert house.ends == []
        return
    assert isinstance(house.ends[0], Failure)
    assert (house.ends[0].ending, house.ends[0].code) == (Ending.TAKEN, "slurm.node-lost")
    assert "end 7" in house.asked
    assert house.wants() == "given up"


def test_a_shim_of_the_job_that_beats_is_not_deaf(house: House) -> None:
    """However long it trains."""
    house.begun()
    house.turn()
    house.slurm("RUNNING")
    for seq in range(1, int(DEAF)):
        Control(seq=seq).publish(house.records.nodes.control)
        house.turn(2.0)
    assert house.ends == []


def test_it_is_submitted_until_slurm_has_it(house: House) -> None:
    """Each turn asks for it; whoever does it asks once at a time."""
    house.turn()
    house.turn()
    assert house.asked == ["submit", "submit"]
    house.submitted()
    house.turn()
    assert house.asked[2:] == ["all"]


def test_what_slurm_says_of_its_wait_is_told(house: House) -> None:
    """And when it has begun, on which nodes."""
    house.submitted()
    house.turn()
    house.slurm("PENDING", "Resources")
    house.turn()
    assert house.job.reason == "Slurm job 7 waits for Resources (2 nodes)"
    house.begun()
    assert house.job.reason == "Slurm job 7 runs on n[1-2]"


def test_what_slurm_said_last_is_kept_for_those_who_only_look(house: House) -> None:
    """Written when it says something else, and not with each answer; a disk that takes nothing stops nobody."""
    said = house.records.nodes.status
    house.submitted()
    house.turn()
    house.slurm("PENDING", "Resources")
    house.turn()
    assert (SlurmStatus.read(said).state, SlurmStatus.read(said).reason) == ("PENDING", "Resources")
    said.unlink()
    house.slurm("PENDING", "Resources")
    house.turn()
    assert not said.exists()
    said.mkdir()
    house.slurm("RUNNING")
    house.turn()
    said.rmdir()
    house.turn()
    assert SlurmStatus.read(said) == SlurmStatus(id="7", state="RUNNING", nodes="n[1-2]")
    assert house.ends == []


@pytest.mark.parametrize("begun", (False, True), ids=("submitted", "training"))
def test_unknown_is_not_failed(house: House, *, begun: bool) -> None:
    """No answer, an unclear one, a word that nobody knows: for days."""
    (house.begun if begun else house.submitted)()
    for _ in range(50):
        house.turn(3600)
        house.answer = Answer(house.now, 30.0, unclear="squeue: no answer in 30 s")
        house.turn(3600)
        house.slurm("DREAMING")
        house.turn(3600)
    assert house.ends == []
    assert house.job.state is (State.TRAINING if begun else State.SUBMITTED)


def test_an_answer_of_before_counts_for_nothing(house: House) -> None:
    """Slurm was asked when the job was not there yet."""
    house.slurm(None)
    house.begun()
    for _ in range(10):
        house.turn(60)
    assert house.ends == []


@pytest.mark.parametrize("begun", (False, True), ids=("submitted", "training"))
def test_a_second_job_of_its_name_is_cancelled(house: House, *, begun: bool) -> None:
    """Whichever came first runs; a request that Slurm took very late is none of its own."""
    (house.begun if begun else house.submitted)()
    house.turn()
    first, second = (Row(number, "RUNNING", "None", "N/A", "n[1-2]", NAME) for number in ("7", "8"))
    over = Row("6", "CANCELLED", "None", "N/A", "", NAME)
    house.answer = Answer(house.now, 0.0, {NAME: (over, second, first)})
    house.turn()
    assert house.asked[-1] == "end 8"
    assert [said for said in house.asked if said.startswith("end")] == ["end 8"]
    assert house.ends == []


def test_files_may_come_later_than_slurms_word(house: House) -> None:
    """For a while; then Slurm's word is all there is, and whoever may live of it is told to end."""
    house.begun()
    house.turn()
    house.slurm("NODE_FAIL")
    house.turn(1)
    house.turn(EXIT_ALLOWANCE - 2)
    assert house.ends == []
    house.turn(EXIT_ALLOWANCE)
    (end,) = house.ends
    assert isinstance(end, Failure)
    assert end.ending is Ending.TAKEN
    assert house.wants() == "given up"


def test_no_files_are_waited_for_of_what_never_had_a_node(house: House) -> None:
    """It was cancelled in Slurm while it waited there."""
    house.submitted()
    house.turn()
    house.slurm("CANCELLED", nodes="")
    house.turn()
    house.turn()
    (end,) = house.ends
    assert isinstance(end, Failure)
    assert end.code == "slurm.cancelled"


def test_what_slurm_has_forgotten_is_lost_when_nothing_moves(house: House) -> None:
    """As long as a node gives signs of life it trains, whatever slurmctld knows."""
    house.begun()
    for seq in range(1, 20):
        house.slurm(None)
        house.beat(seq)
        house.turn(30)
    house.turn(10 * FORGOTTEN)
    assert house.ends == []  # nothing was answered since
    house.slurm(None)
    house.turn()
    (end,) = house.ends
    assert isinstance(end, Failure)
    assert (end.ending, end.code) == (Ending.TAKEN, "slurm.forgotten")


def test_a_slurmctld_that_has_just_been_started_forgets_nothing(house: House) -> None:
    """It may learn of its jobs from their nodes only."""
    house.begun()
    for _ in range(20):
        house.answer = Answer(house.now, 0.0, {}, up_for=YOUNG - 1)
        house.turn(30)
    assert house.ends == []
    for _ in range(2):
        house.answer = Answer(house.now, 0.0, {}, up_for=YOUNG)
        house.turn(FORGOTTEN + 1)
    assert len(house.ends) == 1


def test_what_slurm_forgot_before_it_began_is_submitted_again_once(house: House) -> None:
    """By asking for its name first; then it fails."""
    for tries in (1, 2):
        house.intent(tries)
        house.submitted()
        house.turn()
        house.slurm(None)
        house.turn(FORGOTTEN + 1)
        house.slurm(None)
        house.turn()
        assert house.records.job.exists() is (tries == 2)
    (end,) = house.ends
    assert isinstance(end, Failure)
    assert end.reason == "Slurm was asked for the job 2 times, and does not know it any more"


def test_exit_json_counts_before_slurms_word(house: House) -> None:
    """It may say RUNNING for minutes."""
    house.begun()
    house.slurm("RUNNING")
    house.ended(Outcome.COMPLETED)
    house.turn()
    assert house.ends == [Finished(is_cancelled=False, reason="why")]
    assert house.wants() is None


def test_an_end_from_outside_waits_for_slurms_word(house: House) -> None:
    """It is one of many; where Slurm never says which, it was ended by somebody."""
    house.begun()
    house.ended(Outcome.ENDED_OUTSIDE)
    house.turn()
    house.slurm("RUNNING")
    house.turn(60)
    assert house.ends == []
    assert house.job.reason == "waits for Slurm to say what this means: why"
    house.slurm("PREEMPTED")
    house.turn()
    (end,) = house.ends
    assert isinstance(end, Failure)
    assert end.code == "slurm.preempted"


def test_a_wait_for_slurms_word_that_is_over_is_not_begun_anew(house: House) -> None:
    """The daemon was killed after it, before the job had moved on: the next one goes on at once, by the same name."""
    house.begun()
    house.ended(Outcome.ENDED_OUTSIDE)
    house.turn()
    house.turn(SILENCE_OF_SLURM + 1)
    house.restart()
    house.turn()
    first, second = house.ends
    assert isinstance(first, Failure)
    assert first.ending is Ending.STOPPED
    assert first == second


@pytest.mark.parametrize("has_record", (True, False), ids=("exit.json", "no exit.json"))
def test_what_slurm_ended_is_named_the_same_by_every_daemon(house: House, *, has_record: bool) -> None:
    """Slurm forgets what is over, gives numbers away again, and a file may come when all is decided."""
    house.begun()
    if has_record:
        house.ended(Outcome.ENDED_OUTSIDE)
    house.turn()
    house.slurm("NODE_FAIL", "NodeDown", down={"n2": "Not responding", "n7": "Not responding"})
    house.turn()
    house.turn(EXIT_ALLOWANCE + 1)
    kept = Verdict.read(house.records.verdict)
    assert (kept.state, kept.nodes, kept.down, kept.has_record) == (
        "NODE_FAIL", "n[1-2]", {"n2": "Not responding"}, has_record,
    )  # fmt: skip
    house.restart()
    house.slurm("COMPLETED")
    if not has_record:
        house.ended(Outcome.COMPLETED)
    house.turn()
    assert len(set(house.ends)) == 1
    assert Verdict.read(house.records.verdict) == kept


def test_what_slurm_has_forgotten_is_so_for_every_daemon(house: House) -> None:
    """Without waiting anew, and though Slurm may know it again."""
    house.begun()
    house.turn()
    for _ in range(2):
        house.slurm(None)
        house.turn(FORGOTTEN + 1)
    house.restart()
    house.slurm("RUNNING")
    house.turn()
    assert [end.code for end in house.ends if isinstance(end, Failure)] == ["slurm.forgotten"] * 2


def test_nodes_that_are_left_out_are_told_and_had_again_where_there_are_no_others(house: House) -> None:
    """Busy nodes are waited for; those that are not there are not."""
    intent = Intent.read(house.records.intent)
    intent.model_copy(update={"left_out": {"n3": "lost in attempt 1"}}).publish(house.records.intent)
    house.submitted()
    house.turn()
    house.slurm("PENDING", "Resources")
    house.turn()
    assert house.job.reason == "Slurm job 7 waits for Resources (2 nodes); without n3 (lost in attempt 1)"
    assert "all nodes" not in house.asked
    house.slurm("PENDING", "ReqNodeNotAvail, UnavailableNodes:n2")
    house.turn()
    assert house.asked[-1] == "all nodes"
    in_vain = {"left_out": {"n3": "lost in attempt 1"}, "in_vain": "Slurm says so"}
    intent.model_copy(update=in_vain).publish(house.records.intent)
    house.turn()
    assert house.asked.count("all nodes") == 1
    house.begun()
    assert house.job.reason == "Slurm job 7 runs on n[1-2]; n3 (lost in attempt 1) is not left out: Slurm says so"


@pytest.mark.parametrize("how", ("slurm", "lease"))
def test_the_next_attempt_waits_until_a_lost_node_is_certainly_over(house: House, how: str) -> None:
    """By Slurm's word, or because its lease is over."""
    house.begun()
    house.ended(Outcome.FAILED, nodes_without_record=("n2",))
    house.turn()
    house.slurm("RUNNING")
    house.turn(60)
    assert house.ends == []
    assert house.job.reason == "waits until n2 is certainly over, after: why"
    if how == "slurm":
        house.slurm("FAILED")
        house.turn()
    else:
        house.turn(SETTINGS.slurm.lease + SETTINGS.training.grace + 61)  # type: ignore[union-attr] # it is one
    assert len(house.ends) == 1


def test_what_waits_in_slurm_is_cancelled_there(house: House) -> None:
    """And whoever begins meanwhile finds that it is to end."""
    house.submitted()
    house.store.ask_to_cancel(house.job)
    house.turn()
    assert house.asked == ["withdraw"]
    assert house.wants() == "glmd cancel"


def test_what_trains_is_ended_by_its_own_shim_and_by_slurm_when_that_does_not(house: House) -> None:
    """Slurm would kill ranks that are saving."""
    house.begun()
    house.store.ask_to_cancel(house.job)
    house.turn()
    house.turn(SETTINGS.training.grace + 30)
    assert house.wants() == "glmd cancel"
    assert "withdraw" not in house.asked
    house.turn(60)
    assert "withdraw" in house.asked


def test_what_slurm_does_not_answer_is_told_to_who_waits(house: House) -> None:
    """Since when, and that nothing is lost by it; of what trains the reason stays."""
    house.submitted()
    silent = datetime.now().replace(hour=0, minute=2)  # noqa: DTZ005 - people's own
    house.turn()
    house.answer = Answer(house.now, 30.0, unclear="squeue: no answer in 30 s", silent_since=silent)
    house.turn()
    assert house.job.reason == (
        "Slurm does not answer since 00:02 (squeue: no answer in 30 s); running jobs go on, and glmd submits "
        "nothing twice"
    )
    assert house.job.code == "slurm.no-answer"
    house.begun()
    house.answer = Answer(house.now, 30.0, unclear="squeue: no answer in 30 s", silent_since=silent)
    house.turn()
    assert house.job.reason == "Slurm job 7 runs on n[1-2]"


def waits_too_long(house: House) -> None:
    """Let the job's time to begin be over, since it was submitted an hour ago."""
    house.intent(1, wait=3599.0)
    with closing(sqlite3.connect(house.root.store)) as connection, connection:
        connection.execute("UPDATE jobs SET changed = ?", ((datetime.now(UTC) - timedelta(hours=1)).isoformat(),))


@pytest.mark.parametrize("known", (False, True), ids=("unknown", "pending"))
def test_what_does_not_begin_in_time_is_cancelled_in_slurm_and_fails(house: House, *, known: bool) -> None:
    """When nothing of it can come any more: a job that begins meanwhile finds that it is to end."""
    house.intent(1, wait=3600.0)
    if known:
        house.submitted()
    house.turn()
    house.slurm("PENDING" if known else None, "Resources")
    house.turn()
    assert "withdraw" not in house.asked
    waits_too_long(house)
    house.turn()
    assert house.asked[-1] == "withdraw"
    assert house.wants() == WAITED
    assert house.job.state is State.SUBMITTED
    house.withdrawn()
    assert (house.job.state, house.job.code) == (State.FAILED, "slurm.waited")
    assert "had not begun 59m59s after its submission" in house.job.reason


@pytest.mark.parametrize("outcome", (Outcome.CANCELLED, Outcome.ENDED_OUTSIDE, None))
def test_what_began_as_it_was_given_up_fails_for_the_same(house: House, outcome: Outcome | None) -> None:
    """It is not resumed, and nobody is told that somebody else has cancelled it."""
    waits_too_long(house)
    house.turn()
    house.begun()
    if outcome is not None:
        house.ended(outcome)
    for _ in range(3):
        if not house.job.state.is_over:
            house.turn(EXIT_ALLOWANCE + 1)
            house.slurm("CANCELLED")
    assert (house.job.state, house.job.code) == (State.FAILED, "slurm.waited")
    assert house.ends == []


def test_what_has_begun_may_take_its_time(house: House) -> None:
    """`wait` is for what waits."""
    waits_too_long(house)
    house.begun()
    house.turn(3600)
    assert "withdraw" not in house.asked


def test_not_more_than_the_site_wants_wait_in_slurm(house: House) -> None:
    """The rest waits in glmd's own queue, in its order."""
    assert house.nodes.has_room(SETTINGS)
    assert not house.nodes.has_room(Settings(slurm=SlurmSettings(submitted=1)))
    house.begun()
    assert house.nodes.has_room(Settings(slurm=SlurmSettings(submitted=1)))


def test_hundreds_that_wait_for_room_in_slurm_are_counted_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until something changes: each of them asks with every turn."""
    counted: list[object] = []
    jobs = house.store.jobs
    monkeypatch.setattr(house.store, "jobs", lambda states: counted.append(states) or jobs(states))
    one = Settings(slurm=SlurmSettings(submitted=1))
    assert [house.nodes.has_room(one) for _ in range(200)] == [False] * 200
    assert len(counted) == 1
    house.store.move(house.job, State.TRAINING)
    assert house.nodes.has_room(one)


# Merges


def test_a_merge_is_laid_out_before_it_is_submitted(house: House) -> None:
    """For one node without devices; its reason is Slurm's, and then where it is done."""
    house.merges()
    house.turn()
    assert house.asked == ["submit"]
    intent = Intent.read(house.records.intent)
    assert re.fullmatch(r"glmd-[0-9a-f]{8}-0001-1-merge", intent.name)
    assert house.records.script.read_text().endswith(" 1 merge\n")
    assert house.wants() is None
    house.submitted()
    house.turn()
    house.slurm("PENDING", "Priority")
    house.turn()
    assert house.job.reason == "Slurm job 7 waits for Priority (1 node)"
    house.has_owner("n2")
    house.turn()
    assert house.job.reason == "Slurm job 7 merges on n2"
    assert house.ends == []


def test_a_merge_that_waits_counts_as_one_that_waits(house: House) -> None:
    """So that Slurm has no more of glmd's jobs in its queue than the site wants; but no merge is held back for it."""
    one = Settings(slurm=SlurmSettings(submitted=1))
    house.merges()
    house.turn()
    house.submitted()
    house.turn()
    assert house.nodes.has_room(one)
    house.slurm("PENDING", "Priority")
    house.turn()
    assert not house.nodes.has_room(one)
    assert house.nodes.has_room(SETTINGS)
    house.answer = Answer(house.now, 30.0, unclear="squeue: no answer in 30 s")
    house.turn()
    assert not house.nodes.has_room(one)
    house.has_owner("n2")
    house.turn()
    assert house.nodes.has_room(one)


def test_an_evaluation_says_whether_it_waits_or_runs(house: House) -> None:
    """By Slurm's word of its job; what Slurm does not say, or not clearly, changes nothing."""
    house.merges()
    house.store.move(house.job, State.EVALUATING, "evaluation mindformers")
    name = called(house.root, house.job, Step.EVALUATE)

    def told(*rows: Row) -> str:
        house.answer = Answer(house.now, 0.0, {name: rows})
        house.nodes.tell_of_evaluation(house.job, SETTINGS)
        return house.job.reason

    house.nodes.tell_of_evaluation(house.job, SETTINGS)
    assert house.asked == ["all"]
    assert told() == "evaluation mindformers"
    assert told(Row("9", "PENDING", "Priority", "N/A", "", name)) == "Slurm job 9 waits for Priority (1 node)"
    assert told(Row("9", "RUNNING", "None", "N/A", "n2", name)) == "Slurm job 9 evaluates on n2"
    assert told(Row("9", "COMPLETED", "None", "N/A", "n2", name)) == "Slurm job 9 evaluates on n2"
    house.answer = Answer(house.now, 30.0, unclear="squeue: no answer in 30 s")
    house.nodes.tell_of_evaluation(house.job, SETTINGS)
    assert house.job.reason == "Slurm job 9 evaluates on n2"


def test_a_merge_that_is_killed_is_done_again_twice(house: House) -> None:
    """Then it may be the merge that kills: somebody has to look."""
    house.merges()
    house.turn()
    house.submitted()
    house.has_owner("n1")
    for merges in (1, 2, 3):
        house.turn()
        house.slurm("FAILED", "NonZeroExitCode")
        house.turn()
        house.turn(EXIT_ALLOWANCE + 1)
        end = house.ends[-1]
        assert len(house.ends) == merges
        assert isinstance(end, Failure)
        assert end.ending is (Ending.FAILED if merges == 3 else Ending.TAKEN)
        if merges < 3:
            house.store.move(house.job, State.MERGING, attempt=merges + 1)
            house.records = SlurmRecords(house.job.directory(house.root.path), merges + 1, Step.MERGE)
            house.turn()
            house.submitted()
            house.has_owner("n1")
    assert house.ends[-1].reason.endswith("not merged again: 3 in a row ended this way")


def test_a_merge_lives_as_long_as_its_shim_gives_signs_of_life(house: House) -> None:
    """Whatever Slurm says of its node: what is published counts, and two are not to work at one output."""
    house.merges()
    house.turn()
    house.submitted()
    house.has_owner("n1")
    for seq in range(1, 20):
        Control(seq=seq).publish(house.records.nodes.control)
        house.turn(EXIT_ALLOWANCE - 1)
        house.slurm("NODE_FAIL")
    assert house.ends == []
    house.ended(Outcome.COMPLETED, step=Step.MERGE)
    house.turn()
    assert house.ends == [Finished(is_cancelled=False, reason="why")]


def test_a_merge_is_cancelled_before_it_is_laid_out(house: House) -> None:
    """Whatever of it comes up later finds the wish."""
    house.merges()
    house.store.ask_to_cancel(house.job)
    house.turn()
    assert house.asked == ["withdraw"]
    assert house.wants() == "glmd cancel"


def test_where_a_merge_is_done_the_settings_say_until_it_is_begun(house: House) -> None:
    """A setting that is changed meanwhile neither begins it twice nor leaves it alone."""
    here = Settings(slurm=SlurmSettings(merge=SlurmMerge(where=MergeWhere.HOST)))

    def has(settings: Settings, *, was_begun: bool = False) -> bool:
        return house.nodes.has(house.job, Step.MERGE, settings, was_begun=was_begun)

    house.merges()
    assert (has(SETTINGS), has(here), has(Settings()), has(SETTINGS, was_begun=True)) == (True, False, False, False)
    step = house.job.directory(house.root.path).step(1, Step.MERGE)
    step.path.mkdir(parents=True)
    step.lock.touch()
    assert not has(SETTINGS)
    step.lock.unlink()
    house.turn()
    assert has(here)
    assert has(Settings())
    assert not house.nodes.has(house.job, Step.EVALUATE, SETTINGS, was_begun=False)
