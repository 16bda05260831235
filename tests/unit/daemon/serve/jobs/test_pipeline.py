"""Promises of daemon.serve.jobs.pipeline that hang on a moment which no running daemon shows at will."""

import fcntl
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.control import RequestRefusedError
from daemon.core.root import Root
from daemon.core.setting_sections import EvaluationSettings, Preflight, WatchSettings
from daemon.core.settings import Settings
from daemon.core.states import Job, Source, State
from daemon.core.store import NewJob, Store
from daemon.core.users import User
from daemon.serve.jobs import after_step
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.pipeline import Pipeline
from daemon.serve.jobs.preflight import Go, Refuse
from daemon.serve.jobs.requests import Requests
from daemon.serve.jobs.runs import LOOK_EVERY
from daemon.serve.jobs.taking_in import STATE_OF
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Lane, Workers
from handlers.gate.gate import Gate
from handlers.records.job_dir import JobDir, Step, StepDir
from handlers.records.process import boot_id
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit
from handlers.resume.decision import GiveUp
from handlers.shim.marks import NAME, mark


class NoRunner:
    """Starts nothing, and says what it was asked for."""

    def __init__(self) -> None:
        self.started: list[tuple[int, Step]] = []

    def start(self, job: Job, step: Step, root: Path) -> None:
        """Note it."""
        del root
        self.started.append((job.attempt, step))

    def cause_of_death(self, directory: StepDir) -> str | None:
        """Nobody saw it."""
        del directory
        return None

    def reap(self) -> None:
        """There is none."""


class House:
    """A pipeline over a root, whose loop a test turns."""

    def __init__(self, path: Path, store: Store, waiting: Waiting) -> None:
        self.root, self.store, self.runner = Root(path), store, NoRunner()
        self.woken = threading.Semaphore(0)
        self.workers = Workers(self.woken.release)
        self.faults = Faults()
        self.pipeline = Pipeline(Settings(), self.root, store, self.runner, waiting, self.workers, self.faults)
        self.requests = Requests(self.root, store, waiting)

    def job_in(self, *states: State) -> Job:
        """Add a job and move it through `states`."""
        job = self.store.add(NewJob("c", "run", devices=(0,)))
        directory = job.directory(self.root.path)
        directory.path.mkdir(parents=True)
        directory.submitted.write_text("seed: 0\n")
        for state in states:
            job = self.store.move(job, state)
        return job

    def job(self) -> Job:
        """Return it as it is now."""
        return self.store.job(1)

    def deliver(self) -> None:
        """Wait for one piece of work, and take its result."""
        assert self.woken.acquire(timeout=10)
        self.workers.deliver()

    def train(self) -> StepDir:
        """Return where the training keeps its records."""
        job = self.job()
        return job.directory(self.root.path).step(job.attempt, Step.TRAIN)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a pipeline over an empty root."""
    with Store.open(tmp_path / "glmd.db") as store, Waiting() as waiting:
        yield House(tmp_path, store, waiting)


def write_dead_shim(directory: StepDir) -> None:
    """Record a shim of this boot that is gone."""
    directory.path.mkdir(parents=True)
    ShimRecord(pid=2**22, start_time=1, boot_id=boot_id(), started=datetime.now(UTC)).publish(directory.shim)


def test_a_look_for_an_attempt_that_was_cancelled_and_retried_meanwhile_counts_for_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """npu-smi may take a minute: what it said of the first attempt must neither move the second nor end the daemon."""
    looked = threading.Event()
    monkeypatch.setattr("daemon.serve.jobs.preflight.examine", lambda *_: looked.wait(10) and Go())
    house.job_in()
    house.pipeline.turn()
    house.requests.cancel(house.job(), User(0))
    house.requests.retry(house.job(), User(0))
    looked.set()
    house.deliver()
    assert (house.job().state, house.job().attempt) == (State.QUEUED, 2)


def test_a_defect_in_the_look_ends_the_job_and_not_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon would meet it again with every start."""
    monkeypatch.setattr("daemon.serve.jobs.preflight.examine", lambda *_: {}[1])
    house.job_in()
    house.pipeline.turn()
    house.deliver()
    assert house.job().state is State.FAILED
    assert "a defect in glmd: KeyError" in house.job().reason


def test_a_result_that_cannot_be_taken_holds_up_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as of a job whose directory gives errors; it is got again later."""
    monkeypatch.setattr("daemon.serve.jobs.preflight.examine", lambda *_: Refuse("unfit"))
    monkeypatch.setattr(Moves, "move", lambda *_: Path("/").rmdir())
    house.job_in()
    house.pipeline.turn()
    house.deliver()
    assert house.job().state is State.QUEUED
    assert house.faults.is_paused("job 1")


def test_what_was_got_for_a_row_that_says_nothing_by_now_counts_for_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left alone, and no other result with it."""
    monkeypatch.setattr("daemon.serve.jobs.preflight.examine", lambda *_: Go())
    house.job_in()
    house.pipeline.turn()
    house.store._connection.execute("UPDATE jobs SET state = 'nowhere'")
    house.deliver()
    assert house.store.readable(1) is None
    assert house.faults.summary == ""


def test_a_start_that_waits_for_its_turn_is_not_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand drops are checked before it; the time that a shim may take begins when it was started."""
    monkeypatch.setattr("daemon.serve.jobs.starting.START_ALLOWANCE", 0.0)
    free = threading.Event()
    for number in range(8):
        house.workers.submit(Lane.STARTS, number, lambda: free.wait(10), lambda _: None)
    house.job_in(State.PREPARING, State.TRAINING)
    for _ in range(3):
        house.pipeline.turn()
    assert house.pipeline.is_waiting_for_a_shim is False, "nothing is to be seen before it was started"
    assert not house.train().exit.exists()
    free.set()
    deadline = time.monotonic() + 10
    while not house.pipeline.is_waiting_for_a_shim:
        assert time.monotonic() < deadline
        house.deliver()
    house.pipeline.turn()
    assert house.train().exit.exists(), "now the time is up"


def test_a_shim_of_which_nothing_is_seen_is_started_once_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have found its directory away, and ended; of two that come up, one refuses."""
    monkeypatch.setattr("daemon.serve.jobs.starting.START_AGAIN", 0.0)
    house.job_in(State.PREPARING, State.TRAINING)
    for _ in range(3):
        house.pipeline.turn()
        house.deliver()
    assert house.runner.started == [(1, Step.TRAIN)] * 3
    write_dead_shim(house.train())
    house.pipeline.turn()
    assert house.pipeline.is_waiting_for_a_shim, "for the cause of its death"
    assert house.runner.started == [(1, Step.TRAIN)] * 3


def test_who_cancels_while_a_shim_of_the_daemon_before_comes_up_gets_no_stray_training(house: House) -> None:
    """Its devices are not another job's while it may still begin: it is kept from beginning first."""
    house.store.ask_to_cancel(house.job_in(State.PREPARING, State.TRAINING))
    house.train().path.mkdir(parents=True)
    with house.train().lock.open("ab") as coming_up:
        fcntl.flock(coming_up, fcntl.LOCK_EX)
        house.pipeline.turn()
        assert house.job().state is State.TRAINING
        assert house.store.locks() == {0: 1}
    for _ in range(2):
        house.pipeline.turn()
    assert house.job().state is State.CANCELLED
    assert StepExit.read(house.train().exit).outcome is Outcome.CANCELLED, "a late one finds it, and refuses"
    assert house.runner.started == []


def test_the_loop_rests_when_a_shims_death_is_known(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it turned while what follows was decided."""
    decided = threading.Event()
    monkeypatch.setattr(after_step, "follow_up", lambda *_: decided.wait(10) and GiveUp("it died"))
    house.job_in(State.PREPARING, State.TRAINING)
    write_dead_shim(house.train())
    house.pipeline.turn()
    assert house.pipeline.is_waiting_for_a_shim
    monkeypatch.setattr(after_step, "DEATH_ALLOWANCE", 0.0)
    house.pipeline.turn()
    monkeypatch.setattr(after_step, "DEATH_ALLOWANCE", 60.0)
    house.pipeline.turn()
    decided.set()
    house.deliver()
    assert house.job().state is State.FAILED
    house.pipeline.turn()
    assert not house.pipeline.is_waiting_for_a_shim


@pytest.mark.parametrize("goes_down", (True, False))
def test_a_merge_that_a_shutdown_ended_is_left_to_the_next_daemon(
    house: House, monkeypatch: pytest.MonkeyPatch, *, goes_down: bool
) -> None:
    """As a training is: after the reboot it is done again."""
    monkeypatch.setattr("daemon.serve.jobs.follow_up.host_goes_down", lambda: goes_down)
    job = house.job_in(State.PREPARING, State.TRAINING, State.MERGING)
    records = job.directory(house.root.path).step(1, Step.MERGE)
    records.path.mkdir(parents=True)
    now = datetime.now(UTC)
    StepExit(step=Step.MERGE, outcome=Outcome.CANCELLED, reason="stopped by SIGTERM", started=now, ended=now).publish(
        records.exit
    )
    house.pipeline.turn()
    house.deliver()
    assert house.job().state is (State.MERGING if goes_down else State.FAILED)


def test_devices_of_a_job_that_gives_errors_hold_up_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the next job are freed all the same."""
    for number in (1, 2):
        job = house.store.add(NewJob(f"c{number}", "run", devices=(number,)))
        house.store.move(house.store.move(job, State.PREPARING), State.FAILED, keep_devices=True)

    def surviving_pids(job: Job, root: Root) -> tuple[int, ...]:
        del root
        if job.id == 1:
            raise OSError(5, "Input/output error")
        return ()

    monkeypatch.setattr("daemon.serve.jobs.stuck_devices.surviving_pids", surviving_pids)
    house.pipeline.turn()
    assert house.store.locks() == {1: 1}


def test_what_follows_a_training_that_was_cancelled_meanwhile_counts_for_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To decide it may take a while; the cancel has ended the job by then."""
    decided = threading.Event()
    monkeypatch.setattr(after_step, "follow_up", lambda *_: decided.wait(10) and GiveUp("it died"))
    monkeypatch.setattr(after_step, "DEATH_ALLOWANCE", 0.0)
    house.job_in(State.PREPARING, State.TRAINING)
    write_dead_shim(house.train())
    house.pipeline.turn()
    house.requests.cancel(house.job(), User(0))
    house.pipeline.turn()
    assert house.job().state is State.FAILED
    decided.set()
    house.deliver()
    assert "ended without a record" in house.job().reason


def queue_without_directory(house: House, claim: str, source: Source = Source.DROP) -> Job:
    """Add a waiting job, in whose directory nothing is."""
    (house.root.path / "jobs").mkdir(exist_ok=True)
    return house.store.add(NewJob(claim, "run", devices=(0,), source=source))


def test_a_queued_job_whose_directory_is_gone_fails_and_holds_up_no_other(house: House) -> None:
    """Nobody fills it again; its reason says which file is missing, and its devices are the next one's."""
    gone = queue_without_directory(house, "c1")
    house.pipeline.turn()
    job = house.store.job(gone.id)
    assert job.state is State.FAILED
    assert str(gone.directory(house.root.path).submitted) in job.reason
    with pytest.raises(RequestRefusedError, match="drop the file again"):
        house.requests.retry(job, User(0))


@pytest.mark.parametrize(
    ("claim", "source"), (("c1", Source.DROP), ("c1", Source.NIGHT), ("tree:/data/run:glm:1_4:0123", Source.TREE))
)
def test_a_queued_job_that_is_still_to_be_filled_waits(house: House, claim: str, source: Source) -> None:
    """After a crash or on a full disk: its claim is there, or its tree is looked at again; else it fails."""
    (house.root.claims / "c1").mkdir(parents=True)
    house.pipeline.settings = Settings(watch=(WatchSettings(path=Path("/data/run")),))
    job = queue_without_directory(house, claim, source)
    house.pipeline.turn()
    assert house.store.job(job.id).state is State.QUEUED
    (house.root.claims / "c1").rmdir()
    house.pipeline.settings = Settings()
    house.pipeline.turn()
    assert house.store.job(job.id).state is State.FAILED


def test_a_root_that_is_away_for_a_moment_fails_no_queued_job(house: House) -> None:
    """What vanished with all jobs may come back with them: a fault, not an end."""
    job = queue_without_directory(house, "c1")
    (house.root.path / "jobs").rmdir()
    house.pipeline.turn()
    assert house.store.job(job.id).state is State.QUEUED
    assert house.faults.is_paused(f"job {job.id}")


def test_a_queued_job_that_is_to_be_cancelled_does_not_start(house: House) -> None:
    """Also where the wish could not be written down yet."""
    house.pipeline.settings = Settings(preflight=Preflight.OFF)
    house.store.wish_to_cancel(house.job_in(), "alice")
    house.pipeline.turn()
    assert house.job().state is State.QUEUED
    house.requests.write_wishes()
    assert house.job().state is State.CANCELLED
    assert "by alice" in house.job().reason


def test_devices_that_a_job_that_is_over_keeps_are_looked_at_again_soon(house: House) -> None:
    """A rank that was not quite gone when its job moved on must not hold up the next one until the next rescan."""
    job = house.job_in(State.PREPARING, State.TRAINING)
    job = house.store.move(job, State.FAILED, keep_devices=True)
    with subprocess.Popen(
        ["sleep", "600"], env={NAME: mark(job.directory(house.root.path).step(1, Step.TRAIN).path, job.devices)}
    ) as rank:
        house.pipeline.turn()
        assert house.store.locks() == {0: 1}
        assert house.pipeline.next_due(0.0) == LOOK_EVERY
        rank.kill()
    house.pipeline.turn()
    assert house.store.locks() == {}
    assert house.pipeline.next_due(0.0) is None


@pytest.mark.parametrize("step", Step)
def test_a_training_waits_for_ranks_that_are_on_its_devices_and_a_merge_does_not(house: House, step: Step) -> None:
    """Whatever the store says of them; a merge that is retried needs no devices, and they may train for days.

    An evaluation waits for those that it wants.
    """
    house.pipeline.settings = Settings(
        gate=Gate(evaluate="bleu"), evaluations={"bleu": EvaluationSettings(command=("true",), devices=(0,))}
    )
    states = (State.PREPARING, State.TRAINING, State.MERGING, State.EVALUATING)
    job = house.job_in(*states[: states.index(STATE_OF[step]) + 1])
    other = JobDir(house.root.jobs / "0002-other").step(1, Step.TRAIN)
    with subprocess.Popen(["sleep", "600"], env={NAME: mark(other.path, job.devices)}) as rank, ExitStack() as stack:
        stack.callback(rank.kill)
        house.pipeline.turn()
        assert house.faults.is_paused("job 1") is (step is Step.TRAIN)
        if step is not Step.TRAIN:
            house.deliver()
        house.pipeline.turn()
        assert house.runner.started == ([(1, step)] if step is Step.MERGE else [])


def test_a_move_has_the_code_of_its_reason(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the event and in the store, so that programs know why it failed, whichever they read."""
    monkeypatch.setattr("daemon.serve.jobs.preflight.examine", lambda *_: Refuse("unfit", "device.unhealthy"))
    job = house.job_in()
    house.pipeline.turn()
    house.deliver()
    assert house.job().state is State.FAILED
    events = map(json.loads, job.directory(house.root.path).events.read_text().splitlines())
    moved = [(event["state"], event["code"]) for event in events if event["event"] == "job_moved"]
    assert moved == [("failed", "device.unhealthy")]
    assert house.job().code == "device.unhealthy"
    assert [step.code for step in house.store.history(job.id)] == ["", "device.unhealthy"]
