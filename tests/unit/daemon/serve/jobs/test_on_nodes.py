"""The way of a training on nodes: what is decided by its files and Slurm's answers, which a test gives."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.serve.jobs import on_nodes
from daemon.serve.jobs.endings import Finished
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.on_nodes import EXIT_ALLOWANCE, FORGOTTEN, SILENCE_OF_SLURM, YOUNG, OnNodes
from daemon.serve.loop.waiting import Waiting
from daemon.serve.steps.slurm.client import Row
from daemon.serve.steps.slurm.queue import Answer
from daemon.serve.steps.slurm.submission import SlurmRecords
from handlers.records.job_dir import Step
from handlers.records.nodes import NodeState, Owner, Request
from handlers.records.slurm import Intent, Said, Submitted
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import Ending, Failure

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
        monkeypatch.setattr(on_nodes.time, "monotonic", lambda: self.now)
        self.nodes = OnNodes(self.root, store, Moves(self.root, store, waiting), self, self)  # type: ignore[arg-type]
        job = store.add(NewJob("claim", "run", nodes=2, ranks=4))
        self.records = SlurmRecords(job.directory(place), 1)
        self.records.nodes.lay_out(2)
        job.directory(place).submitted.write_text("the dropped file")
        self.intent(1)
        store.move(store.move(job, State.PREPARING), State.SUBMITTED)

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

    def withdraw(self, *_: object) -> None:
        """Take note that Slurm is to have nothing of it."""
        self.asked.append("withdraw")

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
        """Let so much time pass, and follow the job."""
        self.now += seconds
        self.nodes.follow(self.job, SETTINGS)

    def slurm(self, state: str | None, reason: str = "None") -> None:
        """Let Slurm answer now; None when it knows no such job."""
        rows = {} if state is None else {NAME: (Row("7", state, reason, "N/A", "n[1-2]", NAME),)}
        self.answer = Answer(self.now, 0.0, rows)

    def intent(self, tries: int) -> None:
        """Let it have been submitted so often."""
        Intent(name=NAME, tries=tries, sent=NOW, script="x").publish(self.records.intent)

    def submitted(self) -> None:
        """Let Slurm have taken it."""
        Submitted(id="7", how="sbatch").publish(self.records.job)

    def begun(self) -> None:
        """Let its shim have begun."""
        self.submitted()
        Owner(job="7", host="n1", pid=1, start_time=1, boot_id="x", nodelist="n[1-2]").publish(self.records.nodes.owner)
        self.turn()
        assert self.job.state is State.TRAINING

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
    said = house.records.nodes.said
    house.submitted()
    house.turn()
    house.slurm("PENDING", "Resources")
    house.turn()
    assert (Said.read(said).state, Said.read(said).reason) == ("PENDING", "Resources")
    said.unlink()
    house.slurm("PENDING", "Resources")
    house.turn()
    assert not said.exists()
    said.mkdir()
    house.slurm("RUNNING")
    house.turn()
    said.rmdir()
    house.turn()
    assert Said.read(said) == Said(id="7", state="RUNNING", nodes="n[1-2]")
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
    assert end.reason == "Slurm took the job 2 times, and does not know it any more"


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
    assert house.job.reason == "waits for Slurm's word of what this means: why"
    house.slurm("PREEMPTED")
    house.turn()
    (end,) = house.ends
    assert isinstance(end, Failure)
    assert end.code == "slurm.preempted"
    house.slurm("RUNNING")
    house.turn(SILENCE_OF_SLURM)
    assert isinstance(house.ends[1], Failure)
    assert house.ends[1].ending is Ending.STOPPED


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


def test_not_more_than_the_site_wants_wait_in_slurm(house: House) -> None:
    """The rest waits in glmd's own queue, in its order."""
    assert house.nodes.has_room(SETTINGS)
    assert not house.nodes.has_room(Settings(slurm=SlurmSettings(submitted=1)))
    house.begun()
    assert house.nodes.has_room(Settings(slurm=SlurmSettings(submitted=1)))
