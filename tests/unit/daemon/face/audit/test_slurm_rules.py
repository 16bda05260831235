"""What the audit knows of trainings on nodes of Slurm: each kind made by hand, and nothing where all is well."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.core.presence import Presence
from daemon.core.slurm_names import ID_FILE
from daemon.core.states import Job, State
from daemon.core.store import NewJob
from daemon.face.audit import Disagreement, Kind, check, check_state
from daemon.face.audit.slurm_rules import ON_ITS_WAY
from handlers.records.job_dir import Step
from handlers.records.nodes import NodesDir, Owner
from handlers.records.slurm import Intent, Submitted
from handlers.records.step_exit import StepExit
from handlers.slurm.queue import Row
from tests.unit.daemon.face.audit.conftest import NOW, Place

ID = "0123abcd"


class OnNodes:
    """A job on two nodes, and what Slurm has."""

    def __init__(self, place: Place) -> None:
        self.place = place
        (place.root.path / ID_FILE).write_text(ID)
        self.rows: list[Row] | None = []
        job = place.store.add(NewJob("claim of nodes", "run", nodes=2, ranks=4, prefix="glm-6b"))
        directory = place.directory(job)
        directory.path.mkdir()
        for name in ("submitted.yaml", "config.yaml"):
            (directory.path / name).write_text("x")
        self.nodes = NodesDir(directory.step(1, Step.TRAIN))
        self.nodes.lay_out(2)
        Intent(name=self.name(job.id), tries=1, sent=NOW, script="x").publish(self.nodes.intent)
        Submitted(id="7", how="sbatch").publish(self.nodes.job)
        self.move(job, State.PREPARING, State.SUBMITTED)
        place.plan(self.job)
        self.number = job.id

    @property
    def job(self) -> Job:
        """The job as the store has it."""
        return self.place.store.jobs()[-1]

    def move(self, job: Job, *states: State) -> None:
        """Let the job go there."""
        for state in states:
            job = self.place.store.move(job, state)

    def begun(self) -> None:
        """Let its shim have begun."""
        Owner(job="7", host="n1", pid=1, start_time=1, boot_id="x", nodelist="n[1-2]").publish(self.nodes.owner)
        self.move(self.job, State.TRAINING)

    @staticmethod
    def name(job: int, attempt: int = 1, root: str = ID) -> str:
        """Return what an attempt is called in Slurm."""
        return f"glmd-{root}-{job:04d}-{attempt}-train"

    def slurm(self, *names: str) -> None:
        """Let Slurm have jobs of these names."""
        self.rows = [Row(str(7 + i), "RUNNING", "None", "N/A", "n[1-2]", name) for i, name in enumerate(names)]

    def older(self) -> None:
        """Let the job have come where it is long ago."""
        long_ago = (datetime.now(UTC) - timedelta(seconds=ON_ITS_WAY + 60)).isoformat()
        self.place.sql("UPDATE jobs SET changed = ? WHERE id = ?", long_ago, self.number)

    def found(self) -> tuple[Disagreement, ...]:
        """Return what the audit finds."""
        return check_state(self.place.root, patience=0.0, queue=lambda: self.rows)

    def kinds(self) -> list[Kind]:
        """Return the kinds of it."""
        return [one.kind for one in self.found()]


@pytest.fixture
def on_nodes(place: Place) -> OnNodes:
    """Return a job that is submitted, and that Slurm has."""
    made = OnNodes(place)
    made.slurm(made.name(made.number))
    return made


@pytest.fixture
def is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a daemon run."""
    monkeypatch.setattr(check, "presence", lambda _: Presence.ANSWERS)


def test_what_slurm_has_and_the_store_knows_is_well(on_nodes: OnNodes) -> None:
    """Waiting or begun, beside jobs of others and of other roots."""
    others = (on_nodes.name(on_nodes.number, root="ffffffff"), "glmd-probe-x", "my job")
    on_nodes.slurm(on_nodes.name(on_nodes.number), *others)
    assert on_nodes.kinds() == []
    on_nodes.begun()
    assert on_nodes.kinds() == []


def test_slurm_is_not_asked_where_nothing_was_ever_there(place: Place) -> None:
    """Most roots never had a job in Slurm."""

    def never() -> None:
        raise AssertionError

    assert check_state(place.root, queue=never) == ()


@pytest.mark.parametrize("what", ("no row", "over", "of before"))
def test_a_job_of_none_is_told_with_what_ends_it(on_nodes: OnNodes, what: str) -> None:
    """By its name and number: the number alone may be another's by then."""
    on_nodes.begun()
    if what == "no row":
        name = on_nodes.name(99)
        on_nodes.slurm(on_nodes.name(on_nodes.number), name)
    else:
        name = on_nodes.name(on_nodes.number)
        on_nodes.slurm(name)
        if what == "over":
            on_nodes.move(on_nodes.job, State.FAILED)
        else:
            on_nodes.place.store.move(on_nodes.job, State.TRAINING, attempt=2)
            on_nodes.slurm(name, on_nodes.name(on_nodes.number, 2))
        assert Kind.SLURM_JOB_OF_NONE not in on_nodes.kinds()  # Slurm may yet hear of the end
        on_nodes.older()
    (found,) = (one for one in on_nodes.found() if one.kind is Kind.SLURM_JOB_OF_NONE)
    assert found.repair == f"scancel --name={name} {8 if what == 'no row' else 7}"


def test_two_jobs_of_one_attempt_are_told(on_nodes: OnNodes) -> None:
    """The younger is the one too much."""
    on_nodes.slurm(on_nodes.name(on_nodes.number), on_nodes.name(on_nodes.number))
    (found,) = on_nodes.found()
    assert found.kind is Kind.SLURM_DUPLICATE
    assert found.repair.endswith(f"scancel --name={on_nodes.name(on_nodes.number)} 8")


def test_what_slurm_has_not_is_told(on_nodes: OnNodes) -> None:
    """Of a job that it took; not of one that it is yet to get, or that has ended, nor where it does not answer."""
    on_nodes.slurm()
    (found,) = on_nodes.found()
    assert (found.kind, found.job) == (Kind.SUBMITTED_UNKNOWN, on_nodes.number)
    on_nodes.rows = None
    assert on_nodes.kinds() == []
    on_nodes.slurm()
    on_nodes.nodes.job.unlink()
    assert on_nodes.kinds() == []


def test_a_daemon_finds_out_by_itself_and_has_time_for_it(on_nodes: OnNodes, is_up: None) -> None:
    """Minutes, since one empty answer of Slurm's is none."""
    del is_up
    on_nodes.slurm()
    assert on_nodes.kinds() == []
    on_nodes.older()
    assert on_nodes.kinds() == [Kind.SUBMITTED_UNKNOWN]


def test_an_owner_without_an_intent_is_told(on_nodes: OnNodes) -> None:
    """Nothing would follow that job any more."""
    on_nodes.begun()
    on_nodes.nodes.intent.unlink()
    (found,) = on_nodes.found()
    assert (found.kind, found.where) == (Kind.OWNER_WITHOUT_INTENT, on_nodes.nodes.owner)


def test_a_training_on_nodes_has_what_its_state_says(on_nodes: OnNodes) -> None:
    """An intent where it is submitted, an owner where it trains."""
    intent = on_nodes.nodes.intent.read_bytes()
    on_nodes.nodes.intent.unlink()
    assert on_nodes.kinds() == [Kind.FILE_MISSING]
    on_nodes.nodes.intent.write_bytes(intent)
    on_nodes.begun()
    on_nodes.nodes.owner.unlink()
    assert on_nodes.kinds() == [Kind.NO_SHIM]


@pytest.mark.parametrize("begun", (False, True), ids=("submitted", "training"))
def test_an_end_that_is_not_acted_upon_is_told(
    on_nodes: OnNodes, monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    """Where no daemon runs; one that does waits for Slurm's word of some ends, for minutes."""
    if begun:
        on_nodes.begun()
    on_nodes.place.end(on_nodes.job, Step.TRAIN)
    assert on_nodes.kinds() == [Kind.EXIT_CONTRADICTS]
    monkeypatch.setattr(check, "presence", lambda _: Presence.ANSWERS)
    assert on_nodes.kinds() == [Kind.EXIT_CONTRADICTS]  # of days ago
    path = on_nodes.nodes.path / "exit.json"
    StepExit.read(path).model_copy(update={"ended": datetime.now(UTC)}).publish(path)
    assert on_nodes.kinds() == []
