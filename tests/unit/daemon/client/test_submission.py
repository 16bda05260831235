"""Promises of a drop, seen from the one who drops."""

import threading
from pathlib import Path

import pytest

from daemon.client.submission import Drop, drop, exit_code_of, follow, job_of
from daemon.core.root import Root
from daemon.core.states import State
from daemon.core.store import NewJob, Store
from daemon.face.status import JobStatus
from handlers.errors import BadInputError


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Make a root's directories."""
    root = Root(tmp_path)
    root.create()
    return root


def test_a_drop_is_whole_and_takes_nobody_s_place(root: Root) -> None:
    """The same name again gets a number, and again."""
    for number in range(3):
        drop(b"%d" % number, "run.yaml", root)
    assert {path.name: path.read_bytes() for path in root.inbox.iterdir()} == {
        "run.yaml": b"0", "run-2.yaml": b"1", "run-3.yaml": b"2",
    }  # fmt: skip


@pytest.mark.parametrize("name", (".hidden.yaml", "a/b", "../a", "a~", "a.tmp", "x" * 300, "a\nb", "全" * 85))
def test_a_name_that_the_daemon_would_pass_over_is_refused(root: Root, name: str) -> None:
    """Nothing is dropped that would lie there for ever, or could not be published."""
    with pytest.raises(BadInputError):
        drop(b"", name, root)
    assert not list(root.inbox.iterdir())


def test_a_drop_is_known_by_its_bytes_and_by_being_newer(root: Root) -> None:
    """An older job of the same bytes is not what became of this drop."""
    with Store.open(root.store) as store:
        store.add(NewJob(claim="earlier", name="run", digest=drop(b"x", "run.yaml", root).digest), State.FAILED)
        dropped = drop(b"x", "run.yaml", root)
        assert job_of(dropped, root) is None
        store.add(NewJob(claim="other", name="run", digest="other"))
        assert job_of(dropped, root) is None
        store.add(NewJob(claim="this", name="run", digest=dropped.digest))
        found = job_of(dropped, root)
        assert found is not None
        assert found.job.id == 3


def test_without_a_store_nothing_has_become_of_it(root: Root) -> None:
    """No daemon was ever here: no error."""
    assert job_of(Drop(root.inbox / "run.yaml", "x", 0), root) is None


def test_following_shows_each_state_and_ends_with_the_job(root: Root) -> None:
    """The end is returned, and was shown."""
    with Store.open(root.store) as store:
        job = store.add(NewJob(claim="1", name="run"))
        seen: list[State] = []
        running = threading.Event()

        def show(status: JobStatus) -> None:
            seen.append(status.job.state)
            running.set()

        ends: list[JobStatus] = []
        thread = threading.Thread(target=lambda: ends.append(follow(job.id, root, show)))
        thread.start()
        assert running.wait(60)
        store.move(job, State.FAILED, "no")
        thread.join(60)
    assert (seen[0], seen[-1]) == (State.QUEUED, State.FAILED)
    assert ends[0].job.reason == "no"


def test_only_a_result_is_a_good_end() -> None:
    """0 done, 2 rejected, 1 all else."""
    assert {state: exit_code_of(state) for state in (State.DONE, State.REJECTED, State.FAILED, State.CANCELLED)} == {
        State.DONE: 0, State.REJECTED: 2, State.FAILED: 1, State.CANCELLED: 1,
    }  # fmt: skip
