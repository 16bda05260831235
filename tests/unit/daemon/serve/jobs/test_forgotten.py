"""Where a job stands of which there is but the directory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.names import digest_of
from daemon.core.root import Root
from daemon.core.states import Source, State
from daemon.core.store import NewJob, Store
from daemon.serve.jobs.forgotten import take_in_forgotten
from handlers.records.checked import Checked, Spot
from handlers.records.job_plan import JobPlan
from handlers.records.merge_plan import MergePlan
from handlers.records.train_plan import TimeLimits, TrainPlan


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root."""
    root = Root(tmp_path)
    root.create()
    return root


@pytest.fixture
def store(root: Root) -> Iterator[Store]:
    """Return its store, which knows nothing."""
    with Store.open(root.store) as store:
        yield store


QUEUED = {"event": "job_queued", "devices": [0, 1], "priority": 7}


def moved(was: str, state: str, attempt: int = 1, reason: str = "") -> dict[str, object]:
    """Return an event."""
    return {"event": "job_moved", "was": was, "state": state, "attempt": attempt, "reason": reason,
            "timestamp": "2026-11-24T09:14:07.000000Z"}  # fmt: skip


def directory(root: Root, *events: object, name: str = "0004-run") -> Path:
    """Make a job's directory, with these events."""
    path = root.jobs / name
    path.mkdir()
    (path / "submitted.yaml").write_text("seed: 0\n")
    lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
    (path / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return path


TRAINED = (moved("queued", "preparing"), moved("preparing", "training"))
ENDS = {
    "it waits": ((), State.QUEUED, 1),
    "it is cancelled": ((moved("queued", "cancelled"),), State.CANCELLED, 1),
    "it trains: its records tell": (TRAINED, State.QUEUED, 1),
    "it trains again": ((*TRAINED, moved("training", "training", 2)), State.QUEUED, 1),
    "it merges": ((*TRAINED, moved("training", "merging")), State.MERGING, 1),
    "it is done": ((*TRAINED, moved("training", "merging"), moved("merging", "done")), State.DONE, 1),
    "it failed": ((*TRAINED, moved("training", "failed")), State.FAILED, 1),
    "it waits again": ((*TRAINED, moved("training", "failed"), moved("failed", "queued", 2)), State.QUEUED, 2),
    "it waits again, and an attempt was forgotten before": (
        (*TRAINED, moved("training", "failed"), moved("failed", "queued", 3)), State.QUEUED, 3),
    "a line is lost": ((moved("preparing", "training"), moved("training", "failed")), State.FAILED, 1),
    "lines are rubbish": ((*TRAINED, "{", "[]", "null", "9" * 5000, "[" * 9000, moved("x", "nowhere"),
                           moved("training", "failed", -1), moved("training", "failed")), State.FAILED, 1),
    "it comes from nowhere": ((moved("queued", "done"), moved("done", "queued"), moved("", "failed", 10**30)),
                              State.DONE, 1),
}  # fmt: skip


MADE_OF = {
    "0004-run": (Source.DROP, Source.TREE),
    "0004-glm-6b-20261124T180000Z": (Source.NIGHT, Source.TREE),
}


@pytest.mark.parametrize("name", MADE_OF)
def test_what_it_was_made_of_is_seen(root: Root, store: Store, name: str) -> None:
    """A dropped file lies in its directory, a night's is called so; without one or a training it is a tree's."""
    of_a_drop, of_a_tree = MADE_OF[name]
    path = directory(root, QUEUED, name=name)
    merge = MergePlan(source=path / "output", destination=path / "merged")
    JobPlan(job=4, name="run", merge=merge).publish(path / "plan.json")  # as after a retry that had only to merge
    tree = directory(root, QUEUED, name=name.replace("0004", "0005"))
    (tree / "submitted.yaml").unlink()
    JobPlan(job=5, name="run", merge=merge).publish(tree / "plan.json")
    removed = directory(root, QUEUED, name="0006-run")
    (removed / "submitted.yaml").unlink()
    train = TrainPlan(processes=(), limits=TimeLimits())
    JobPlan(job=6, name="run", train=train, merge=merge).publish(removed / "plan.json")
    take_in_forgotten(root, store, besides=())
    assert [job.source for job in store.jobs()] == [of_a_drop, of_a_tree, Source.DROP]


def checked(root: Root, name: str, digest: str) -> None:
    """Let a job's directory say what the check of a file with this digest found."""
    spot = Spot(line=1, column=1, where="", excerpt="")
    Checked(
        digest=digest, mindformers="0.8", against="", dialect="", section={}, devices=(0,), devices_at=spot,
        run_mode="finetune", prefix="glm-6b", device_target="Ascend", parallel_mode=0, needs_strategy=True,
        cuts_weights=False, sink_size=None, stages=None, lora_alpha=None, lora_rank=None, paths=(), disk=None,
    ).publish(directory(root, QUEUED, name=name) / "checked.json")  # fmt: skip


def test_its_prefix_is_known_before_it_has_a_plan(root: Root, store: Store) -> None:
    """By what its check found: without one its output would never be promoted. That of another file says nothing."""
    checked(root, "0004-run", digest_of(b"seed: 0\n"))
    checked(root, "0005-run", digest_of(b"seed: 1\n"))
    (directory(root, QUEUED, name="0006-run") / "checked.json").write_text("{")
    take_in_forgotten(root, store, besides=())
    assert [job.prefix for job in store.jobs()] == ["glm-6b", "", ""]


def test_the_code_of_its_last_move_is_known(root: Root, store: Store) -> None:
    """As its reason is; a line of an older glmd, or of nobody's, has none."""
    events = (*TRAINED, moved("training", "failed", reason="rank 3 exited 1") | {"code": "rank.exited"})
    directory(root, QUEUED, *events)
    directory(root, QUEUED, *TRAINED, moved("training", "failed") | {"code": 7}, name="0005-run")
    take_in_forgotten(root, store, besides=())
    first, second = store.jobs()
    assert (first.code, [step.code for step in store.history(4)]) == ("rank.exited", ["", "", "", "rank.exited"])
    assert (second.code, store.history(5)[-1].code) == ("", "")


@pytest.mark.parametrize("what", ENDS)
def test_it_is_where_its_events_end(root: Root, store: Store, what: str) -> None:
    """Or, where that would hold devices, in the queue: what has happened since is in the records, and is read again."""
    events, state, attempt = ENDS[what]
    directory(root, QUEUED, *events)
    take_in_forgotten(root, store, besides=())
    (job,) = store.jobs()
    assert (job.id, job.name, job.state, job.attempt, job.devices, job.priority) == (
        *(4, "run", state, attempt), (0, 1), 7)  # fmt: skip
    assert "recovered" in job.reason
    history = store.history(4)
    assert (history[0].state, history[-1].state, history[-1].attempt) == (State.QUEUED, state, attempt)
    assert store.locks() == {}
    take_in_forgotten(root, store, besides=())
    assert store.jobs() == (job,)


@pytest.mark.parametrize("queued", ((), ("{",), ({**QUEUED, "devices": ["x"]},), ({**QUEUED, "devices": [10**30]},)))
def test_one_that_nobody_knows_devices_for_has_failed(root: Root, store: Store, queued: tuple[object, ...]) -> None:
    """To be dropped again: nothing is begun that nobody can tell the end of."""
    path = directory(root, *queued)
    take_in_forgotten(root, store, besides=())
    (job,) = store.jobs()
    assert job.state is State.FAILED
    assert f"drop {path / 'submitted.yaml'} again" in job.reason


def test_what_is_no_jobs_directory_is_left_alone(root: Root, store: Store) -> None:
    """A number that is known, lives, is there twice, or is none; a directory with nothing to run."""
    for name in ("0001-known", "0002-lives", "0003-a", "0003-b", "3-run", "0000-run", "0009-", "notes", "0007"):
        directory(root, QUEUED, name=name)
    (root.jobs / "0005-empty").mkdir()
    (root.jobs / "0006-file").touch()
    store.add(NewJob("c", "other"))
    take_in_forgotten(root, store, besides={2})
    assert [job.name for job in store.jobs()] == ["other"]
