"""Names that strangers give become names that are safe in paths and units."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.checking import rules
from daemon.core.names import job_name
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Source, State
from daemon.core.store import Store
from daemon.serve.intake.claims import Claim, claim
from daemon.serve.intake.drops import Intake
from daemon.serve.intake.inbox import Inbox
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Workers
from tests.faults.world import World


@pytest.mark.parametrize(
    ("dropped", "name"),
    (
        ("run_glm_6b_finetune.yaml", "run_glm_6b_finetune"),
        ("run.yml", "run"),
        ("my run (2).yaml", "my_run_2"),
        ("..yaml", "unnamed"),
        ("微调.yaml", "unnamed"),
        ("a\nb\x1b[31m.yaml", "a_b_31m"),
        ("$(reboot).yaml", "reboot"),
        ("x" * 250 + ".yaml", "x" * 64),
        ("no_ending", "no_ending"),
    ),
)
def test_a_jobs_name_is_plain(dropped: str, name: str) -> None:
    """Letters, digits, dot, dash and underscore, at most 64 of them, never a leading dot."""
    assert job_name(dropped) == name


def test_an_inbox_that_became_a_link_is_a_fault(tmp_path: Path) -> None:
    """No foreign file is claimed or moved to rejected/; the word says what to do, and the daemon goes on."""
    root = Root(tmp_path / "root")
    root.create()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "run.yaml").write_text("somebody's own")
    root.inbox.rmdir()
    root.inbox.symlink_to(tmp_path / "elsewhere")
    with Store.open(root.store) as store, Waiting() as waiting:
        faults = Faults()
        inbox = Inbox(root.inbox, settle=0.0, open_settle=0.0)
        intake = Intake(inbox, root, store, Workers(waiting.wake), lambda: rules(Settings(), root), faults)
        inbox.start_scan()
        inbox.scan(0.0)
        faults.attempt("inbox", lambda: intake.turn(Moment(1000.0, datetime.now(UTC))))
    assert "is a symbolic link" in faults.summary
    assert (tmp_path / "elsewhere" / "run.yaml").read_text() == "somebody's own"
    assert not list(root.claims.iterdir())
    assert not list(root.rejected.iterdir())


def test_a_drop_that_cannot_be_taken_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a defect of glmd's own: it lies where it is, and is looked at again when it has changed."""
    root = Root(tmp_path)
    root.create()
    for name in ("bad.yaml", "good.yaml"):
        (root.inbox / name).write_text("seed: [")

    def take(path: Path, claims: Path) -> Claim | None:
        return claim(path, claims) if path.name != "bad.yaml" else {}[path.name]

    monkeypatch.setattr("daemon.serve.intake.drops.claim", take)
    ended = threading.Semaphore(0)
    with Store.open(root.store) as store:
        faults = Faults()
        inbox = Inbox(root.inbox, settle=0.0, open_settle=0.0)
        intake = Intake(inbox, root, store, Workers(ended.release), lambda: rules(Settings(), root), faults)
        for now in (0.0, 1000.0, 2000.0):
            inbox.start_scan()
            inbox.scan(now)
            faults.attempt("inbox", lambda now=now: intake.turn(Moment(now, datetime.now(UTC))))
        assert ended.acquire(timeout=30)
    assert [path.name for path in root.inbox.iterdir()] == ["bad.yaml"]
    assert "drop bad.yaml: glmd.defect" in faults.summary
    assert "2 defects" not in faults.summary


@pytest.mark.parametrize("text", (None, "seed: ["))
def test_what_a_night_dropped_is_known_as_a_nights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """By its name, whether it can be run or is rejected; what anybody dropped is not."""
    with World(tmp_path, monkeypatch) as world:
        for name in ("glm-6b-20261124T180000Z.yaml", "run_glm_6b.yaml"):
            world.drop(name, text)
        world.turn_until(lambda: world.are_over(2), "both to be decided")
        assert world.store.job(1).state is (State.FAILED if text is None else State.REJECTED)
        sources = {job.name: job.source for job in world.store.jobs()}
    assert sources == {"glm-6b-20261124T180000Z": Source.NIGHT, "run_glm_6b": Source.DROP}
