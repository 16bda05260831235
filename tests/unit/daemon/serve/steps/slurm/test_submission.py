"""Exactly one job of an attempt: what a later daemon finds, and does then."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.serve.steps.slurm.leaving_out import left_out_text
from daemon.serve.steps.slurm.submission import SlurmRecords, Wanted, lay_out, leave_none_out, submit, withdraw
from handlers.records.job_dir import JobDir
from handlers.records.nodes import Owner
from handlers.records.slurm import Intent, Submitted
from handlers.slurm.calling import UnclearError
from handlers.slurm.client import NotTakenError, SlurmClient
from handlers.slurm.placement import Placement
from handlers.slurm.queue import Row

NAME = "glmd-0123abcd-0042-1-train"
PLACEMENT = Placement(nodes=2, devices_per_node=8, gres="npu", partition="main")
WANTED = Wanted(name=NAME, placement=PLACEMENT, warning=80, python="/shared/python")


@dataclass(frozen=True)
class Slurm(SlurmClient):
    """A Slurm that knows the jobs that a test gives it, and takes what comes."""

    rows: list[Row] = field(default_factory=list)
    done: list[tuple[str, ...]] = field(default_factory=list)
    answers: list[Exception] = field(default_factory=list)
    """What the next calls fail with."""
    refusals: list[NotTakenError] = field(default_factory=list)
    """What the next submissions are refused with."""

    def jobs_called(self, name: str) -> tuple[Row, ...]:
        """Return those."""
        assert name == NAME
        self._fail()
        return tuple(self.rows)

    def submit(self, options: Sequence[str], script: Path) -> str:
        """Take a job."""
        assert Intent.read(script.with_name("intent.json")).sent is not None  # it is written down first
        self.done.append(("sbatch", *options))
        self._fail()
        if self.refusals:
            raise self.refusals.pop(0)
        self.rows.append(row(str(len(self.rows) + 1)))
        return self.rows[-1].id

    def cancel(self, name: str, number: str) -> None:
        """Cancel one."""
        self.done.append(("scancel", name, number))

    def exclude(self, name: str, nodes: str) -> None:
        """Keep a job off these nodes alone."""
        self.done.append(("exclude", name, nodes))

    def _fail(self) -> None:
        if self.answers:
            raise self.answers.pop(0)


def row(number: str, state: str = "PENDING") -> Row:
    """Return what Slurm says of a job of ours."""
    return Row(number, state, "None", "N/A", "", NAME)


@pytest.fixture
def job_dir(tmp_path: Path) -> JobDir:
    """Return a job whose attempt is laid out."""
    directory = JobDir(tmp_path)
    SlurmRecords(directory, 1).nodes.lay_out(2)
    lay_out(directory, 1, WANTED)
    return directory


def sent(job_dir: JobDir, ago: float) -> None:
    """Let an earlier daemon have died in sbatch, so many seconds ago."""
    slurm = Slurm(answers=[UnclearError("no answer"), UnclearError("no answer")])
    with pytest.raises(UnclearError):
        submit(job_dir, 1, slurm)
    path = SlurmRecords(job_dir, 1).intent
    at = datetime.now(UTC) - timedelta(seconds=ago)
    Intent.read(path).model_copy(update={"tries": 1, "sent": at}).publish(path)


def test_it_is_submitted_once(job_dir: JobDir) -> None:
    """However often it is asked for."""
    slurm = Slurm()
    first = submit(job_dir, 1, slurm)
    assert submit(job_dir, 1, slurm) == first == Submitted(id="1", how="sbatch")
    assert len(slurm.done) == 1
    options = set(slurm.done[0])
    assert {f"--job-name={NAME}", "--dependency=singleton", "--no-requeue", "--nodes=2", "--gres=npu:8"} <= options
    assert {"--export=ALL", "--propagate=NONE", "--signal=B:USR1@80", "--partition=main"} <= options
    script = SlurmRecords(job_dir, 1).script.read_text()
    assert script.endswith(f"umask 0027\nexec /shared/python -P -m handlers.shim.job {job_dir.path} 1 train\n")


def test_what_was_taken_before_its_number_was_written_down_is_found_by_name(job_dir: JobDir) -> None:
    """The daemon died right after sbatch."""
    sent(job_dir, ago=1)
    slurm = Slurm(rows=[row("9")])
    assert submit(job_dir, 1, slurm) == Submitted(id="9", how="by name")
    assert slurm.done == []


def test_a_request_in_flight_is_waited_for(job_dir: JobDir) -> None:
    """A frozen slurmctld takes it when nobody waits for its answer any more."""
    sent(job_dir, ago=1)
    slurm = Slurm()
    with pytest.raises(UnclearError, match="may still accept it for 5"):
        submit(job_dir, 1, slurm)
    assert slurm.done == []
    sent(job_dir, ago=61)
    assert submit(job_dir, 1, slurm).how == "sbatch"
    assert Intent.read(SlurmRecords(job_dir, 1).intent).tries == 2


def test_nothing_is_submitted_while_slurm_does_not_answer(job_dir: JobDir) -> None:
    """Nor noted as sent."""
    slurm = Slurm(answers=[UnclearError("squeue: no answer")])
    with pytest.raises(UnclearError):
        submit(job_dir, 1, slurm)
    assert slurm.done == []
    assert Intent.read(SlurmRecords(job_dir, 1).intent).tries == 0


def test_of_two_jobs_the_one_that_is_not_over_counts(job_dir: JobDir) -> None:
    """The other of those that are not is cancelled, by its name and number."""
    slurm = Slurm(rows=[row("12", "RUNNING"), row("9", "FAILED"), row("15")])
    assert submit(job_dir, 1, slurm) == Submitted(id="12", how="by name", duplicates=("15",))
    assert slurm.done == [("scancel", NAME, "15")]


def test_what_has_begun_is_not_submitted_again(job_dir: JobDir) -> None:
    """Though Slurm has long forgotten it."""
    sent(job_dir, ago=9999)
    owner = Owner(job="7", host="n1", pid=1, start_time=1, boot_id="x")
    owner.publish(SlurmRecords(job_dir, 1).nodes.owner)
    slurm = Slurm()
    assert submit(job_dir, 1, slurm) == Submitted(id="7", how="owner.json")
    assert slurm.done == []


def test_a_refusal_is_told(job_dir: JobDir) -> None:
    """It did not become a job, and does not by being asked for again."""
    slurm = Slurm()
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: object) -> str:
            raise NotTakenError("sbatch: Invalid partition name specified")

        patch.setattr(Slurm, "submit", refuse)
        with pytest.raises(NotTakenError):
            submit(job_dir, 1, slurm)


def test_what_was_intended_does_not_change_once_it_may_have_been_sent(job_dir: JobDir) -> None:
    """The name of the job stays the one under which Slurm may have taken it."""
    lay_out(job_dir, 1, replace(WANTED, placement=replace(PLACEMENT, partition="better")))
    sent(job_dir, ago=61)
    lay_out(job_dir, 1, replace(WANTED, name="glmd-another", prologue="module load other"))
    slurm = Slurm()
    submit(job_dir, 1, slurm)
    assert {f"--job-name={NAME}", "--partition=better"} <= set(slurm.done[0])


def test_what_was_never_sent_is_withdrawn_at_once(job_dir: JobDir) -> None:
    """Slurm is not asked."""
    assert withdraw(job_dir, 1, Slurm(answers=[UnclearError("no answer")]))


def test_what_may_have_been_taken_is_withdrawn_when_nothing_can_come_any_more(job_dir: JobDir) -> None:
    """Until then it is looked for again and again, and cancelled by name and number."""
    sent(job_dir, ago=1)
    slurm = Slurm()
    assert not withdraw(job_dir, 1, slurm)
    slurm.rows.append(row("9"))
    assert not withdraw(job_dir, 1, slurm)
    assert slurm.done == [("scancel", NAME, "9")]
    slurm.rows[:] = [row("9", "CANCELLED")]
    sent(job_dir, ago=61)
    assert withdraw(job_dir, 1, slurm)


LEFT_OUT = replace(WANTED, placement=replace(PLACEMENT, exclude="n9"), left_out={"n2": "lost in attempt 1"})
TOO_FEW = NotTakenError("sbatch: Requested node configuration is not available")


def excluded(slurm: Slurm) -> list[str]:
    """Return what each sbatch was to leave out: it takes the last that is said."""
    return [[one for one in call if one.startswith("--exclude=")][-1] for call in slurm.done if call[0] == "sbatch"]


def test_nodes_are_left_out_with_the_users_own(job_dir: JobDir) -> None:
    """Of the two lists sbatch would take one."""
    lay_out(job_dir, 1, LEFT_OUT)
    slurm = Slurm()
    submit(job_dir, 1, slurm)
    assert excluded(slurm) == ["--exclude=n9,n2"]
    assert left_out_text(Intent.read(SlurmRecords(job_dir, 1).intent)) == "without n2 (lost in attempt 1)"


def test_a_cluster_that_is_too_small_without_them_gives_them_all_the_same(job_dir: JobDir) -> None:
    """Once more, without what glmd has asked for beside the user; what Slurm says then counts."""
    lay_out(job_dir, 1, LEFT_OUT)
    slurm = Slurm(refusals=[TOO_FEW])
    assert submit(job_dir, 1, slurm).how == "sbatch"
    assert excluded(slurm) == ["--exclude=n9,n2", "--exclude=n9"]
    intent = Intent.read(SlurmRecords(job_dir, 1).intent)
    assert (intent.tries, left_out_text(intent)) == (2, f"n2 (lost in attempt 1) is not left out: {TOO_FEW}")


def test_a_refusal_that_the_nodes_are_not_to_blame_for_is_told(job_dir: JobDir) -> None:
    """It comes twice."""
    lay_out(job_dir, 1, LEFT_OUT)
    slurm = Slurm(refusals=[NotTakenError("sbatch: Invalid account")] * 2)
    with pytest.raises(NotTakenError, match="Invalid account"):
        submit(job_dir, 1, slurm)
    assert len(slurm.done) == 2


def test_a_refusal_whose_answer_was_lost_is_found(job_dir: JobDir) -> None:
    """Slurm keeps a row of what it did not take; it is no job that ran. Then it is as if the answer had come."""
    refused = replace(row("5", "FAILED"), reason="BadConstraints")
    lay_out(job_dir, 1, LEFT_OUT)
    sent(job_dir, ago=1)
    slurm = Slurm(rows=[refused])
    assert submit(job_dir, 1, slurm).how == "sbatch"
    assert excluded(slurm) == ["--exclude=n9"]


def test_a_row_of_a_refusal_says_nothing_of_a_later_request(job_dir: JobDir) -> None:
    """The second, without nodes left out, may be on its way still; when it is not, it is sent again as it was."""
    lay_out(job_dir, 1, LEFT_OUT)
    sent(job_dir, ago=1)
    path = SlurmRecords(job_dir, 1).intent
    Intent.read(path).model_copy(update={"tries": 2, "in_vain": "too few"}).publish(path)
    slurm = Slurm(rows=[replace(row("5", "FAILED"), reason="BadConstraints")])
    with pytest.raises(UnclearError, match="may still accept it"):
        submit(job_dir, 1, slurm)
    assert submit(job_dir, 1, slurm, settle=0).how == "sbatch"
    assert excluded(slurm) == ["--exclude=n9"]


def test_a_row_of_a_refusal_without_nodes_left_out_is_a_refusal(job_dir: JobDir) -> None:
    """The daemon died before it could say so."""
    sent(job_dir, ago=1)
    with pytest.raises(NotTakenError, match=r"Slurm says FAILED \(BadConstraints\)"):
        submit(job_dir, 1, Slurm(rows=[replace(row("5", "FAILED"), reason="BadConstraints")]))


def test_what_waits_for_nodes_that_are_not_there_gets_all(job_dir: JobDir) -> None:
    """The same job, by its name, but for those that the user leaves out."""
    lay_out(job_dir, 1, LEFT_OUT)
    slurm = Slurm()
    submit(job_dir, 1, slurm)
    assert leave_none_out(job_dir, 1, slurm, "Slurm says so") == "n2 (lost in attempt 1) is not left out: Slurm says so"
    assert slurm.done[1:] == [("exclude", NAME, "n9")]
    assert Intent.read(SlurmRecords(job_dir, 1).intent).in_vain == "Slurm says so"
