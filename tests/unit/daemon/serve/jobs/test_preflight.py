"""Promises of daemon.serve.jobs.preflight: looks are spread over time, and each is for one job that could start."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.setting_sections import Preflight
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.serve.jobs import preflight as preflights
from daemon.serve.jobs.preflight import Preflights, Refuse, Verdict, Wait, examine
from daemon.serve.loop.workers import Workers
from handlers.codes import Code
from handlers.records.job_dir import JobDir
from handlers.validate.problem import ConfigError, Problem

NOW = datetime.now(UTC)
JOB = Job(
    id=1, name="run", state=State.QUEUED, reason="", attempt=1, priority=0, devices=(0, 1), prefix="glm-6b",
    cancel=False, submitted=NOW, changed=NOW,
)  # fmt: skip


class Waiter:
    """Preflights over workers that a test lets deliver."""

    def __init__(self, root: Path) -> None:
        self.root = Root(root)
        self.workers = Workers(lambda: None)
        self.preflights = Preflights(self.root, self.workers)
        self.verdicts: list[Verdict] = []

    def look(self) -> None:
        """Ask for a look."""
        self.preflights.look(JOB, Settings(), self.verdicts.append)

    def until(self, count: int) -> Verdict:
        """Wait for that many verdicts, and return the last."""
        deadline = time.monotonic() + 30
        while len(self.verdicts) < count:
            assert time.monotonic() < deadline
            self.workers.deliver()
            time.sleep(0.01)
        return self.verdicts[-1]


@pytest.fixture
def waiter(tmp_path: Path) -> Waiter:
    """Return preflights over an empty root."""
    return Waiter(tmp_path)


def submit(waiter: Waiter, content: str) -> JobDir:
    """Write the job's file."""
    directory = JOB.directory(waiter.root.path)
    directory.path.mkdir(parents=True)
    directory.submitted.write_text(content)
    return directory


def test_one_look_at_a_time_and_then_a_pause(waiter: Waiter) -> None:
    """However often the loop turns."""
    submit(waiter, "seed: 0\n")
    for _ in range(3):
        waiter.look()
    waiter.until(1)
    waiter.look()
    due = waiter.preflights.next_due(time.monotonic())
    assert due is not None
    assert 0 < due - time.monotonic() <= preflights.EVERY
    assert len(waiter.verdicts) == 1


def test_the_pause_ends(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the job is looked at again."""
    monkeypatch.setattr(preflights, "EVERY", 0.0)
    submit(waiter, "seed: 0\n")
    waiter.look()
    waiter.until(1)
    waiter.look()
    assert waiter.preflights.next_due(time.monotonic()) is None, "a look that is on is not due: the loop would spin"
    waiter.until(2)


def test_jobs_that_cannot_start_are_not_due(waiter: Waiter) -> None:
    """Their devices are another job's again: a due time in the past would let the loop spin."""
    submit(waiter, "seed: 0\n")
    waiter.look()
    waiter.until(1)
    waiter.preflights.keep({2})
    assert waiter.preflights.next_due(time.monotonic()) is None


def test_a_file_that_does_not_pass_the_check_any_more_is_refused(waiter: Waiter) -> None:
    """With all that is wrong; nothing of it mends itself."""
    submit(waiter, "seed: 0\n")
    waiter.look()
    verdict = waiter.until(1)
    assert isinstance(verdict, Refuse)
    assert "callbacks" in verdict.reason


def looked_at(waiter: Waiter, monkeypatch: pytest.MonkeyPatch, preflight: Preflight, *codes: Code) -> Verdict:
    """Return what comes of a look at a file that is refused for these reasons."""

    def refuse(*_: object) -> None:
        told = (
            Problem(1, 1, "callbacks", "needs about 7.0 TB of disk", "/ has 1.0 GB free", code=one) for one in codes
        )
        raise ConfigError("run.yaml", told)

    monkeypatch.setattr(preflights, "checked_again", refuse)
    return examine(JOB, Settings(preflight=preflight), waiter.root)


def test_too_little_disk_is_waited_for(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may free some; why it waits says how much."""
    verdict = looked_at(waiter, monkeypatch, Preflight.WAIT, Code.CONFIG_DISK_SPACE)
    told = "waits for room on the disk: it needs about 7.0 TB of disk: / has 1.0 GB free"
    assert verdict == Wait(told, Code.CONFIG_DISK_SPACE)


@pytest.mark.parametrize(
    ("preflight", "codes"),
    (
        (Preflight.REFUSE, (Code.CONFIG_DISK_SPACE,)),
        (Preflight.WAIT, (Code.CONFIG_DISK_SPACE, Code.CONFIG_NO_DEVICES)),
    ),
)
def test_too_little_disk_is_not_all(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch, preflight: Preflight, codes: tuple[Code, ...]
) -> None:
    """What nobody mends by waiting fails it, as everything does where the settings want that."""
    assert isinstance(looked_at(waiter, monkeypatch, preflight, *codes), Refuse)


def test_a_disk_that_is_away_is_waited_for(waiter: Waiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """An I/O error may pass."""

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(preflights, "checked_again", fail)
    waiter.look()
    verdict = waiter.until(1)
    assert isinstance(verdict, Wait)
    assert verdict.reason.startswith("waits: ")
