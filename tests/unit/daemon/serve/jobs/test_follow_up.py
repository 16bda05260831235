"""Promises of jobs.follow_up that no running daemon shows well: a host that goes down, a file that went bad."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.serve.jobs.follow_up import follow_up
from handlers.host import service_manager
from handlers.records.job_dir import Step
from handlers.resume.decision import Ending, Failure, GiveUp

NOW = datetime.now(UTC)
JOB = Job(
    id=1, name="run", state=State.TRAINING, reason="", attempt=1, priority=0, devices=(0,), prefix="glm-6b",
    cancel=False, submitted=NOW, changed=NOW,
)  # fmt: skip
STOPPED = Failure(Ending.STOPPED, "stopped by SIGTERM")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root with the job's file, which does not pass the check."""
    directory = JOB.directory(tmp_path)
    directory.path.mkdir(parents=True)
    directory.submitted.write_text("seed: 0\n")
    return Root(tmp_path)


@pytest.mark.parametrize(("says", "waits"), (("stopping", True), ("running", False), ("degraded", False)))
def test_what_a_shutdown_ended_is_left_to_the_next_daemon(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, *, waits: bool
) -> None:
    """Systemd ends the jobs before it ends the daemon, which must not take that for somebody's wish."""
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\n[ "$1" = is-system-running ] && echo {says}\nexit 1\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(service_manager, "SYSTEMD", tmp_path)
    decision = follow_up(JOB, Step.TRAIN, STOPPED, Settings(), root)
    assert (decision is None) is waits


def test_without_systemd_nobody_is_asked(root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is over then."""
    monkeypatch.setattr(service_manager, "SYSTEMD", tmp_path / "not there")
    assert isinstance(follow_up(JOB, Step.TRAIN, STOPPED, Settings(), root), GiveUp)


def test_a_file_that_does_not_pass_the_check_any_more_is_not_tried_again(root: Root) -> None:
    """The reason has both: why it ended, and why nothing follows."""
    decision = follow_up(JOB, Step.TRAIN, Failure(Ending.LOST, "the host went down"), Settings(), root)
    assert isinstance(decision, GiveUp)
    assert decision.reason.startswith("the host went down; not tried again: ")
    assert "callbacks" in decision.reason
