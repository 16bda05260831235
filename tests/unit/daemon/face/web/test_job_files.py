"""Promises of daemon.face.web.job_files: a fixed list of files, and no way to another one."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.face.web.asking import Asked, NotThereError
from daemon.face.web.job_files import OF_RANKS, Kind, Log, attempts_of, log_asked_for, logs_of, opened
from daemon.face.web.plan import PagePlan
from daemon.face.web.site import Site
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words

NOW = datetime(2026, 11, 28, tzinfo=UTC)
JOB = Job(42, "glm", State.TRAINING, "", 3, 0, (0, 1), "glm-6b", cancel=False, submitted=NOW, changed=NOW)
ON_NODES = replace(JOB, devices=(), nodes=2, ranks_in_all=2)
TREE = Job(43, "tree", State.MERGING, "", 1, 0, (), "glm-6b", cancel=False, submitted=NOW, changed=NOW)


def asked(root: Path, **query: str) -> Asked:
    """Return a request."""
    return Asked(Site.of(PagePlan.of(Settings(root=root))), read_words(Language.EN), {}, query)


def every_log(job: Job) -> list[Log]:
    """Return each log that a job may have."""
    attempts = range(1, job.attempt + 1)
    of_ranks = [Log(kind, attempt, rank) for kind in OF_RANKS for attempt in attempts for rank in job.ranks]
    of_nodes = [Log(Kind.SLURM_NODE, attempt, node) for attempt in attempts for node in range(job.nodes)]
    alone = [kind for kind in Kind if kind not in {*OF_RANKS, Kind.SLURM_NODE}]
    return of_ranks + of_nodes + [Log(kind, attempt) for kind in alone for attempt in attempts]


@pytest.mark.parametrize("job", (JOB, ON_NODES), ids=("here", "on nodes"))
def test_each_log_has_its_place_below_the_job(tmp_path: Path, job: Job) -> None:
    """Of its own, and none is a plan or an environment."""
    directory = job.directory(tmp_path)
    places = {log: log.path(job, directory) for log in every_log(job) if log.kind is not Kind.EVENTS}
    assert len(set(places.values())) == len(places)
    for path in places.values():
        assert path.is_relative_to(directory.path)
        assert path.name not in {"plan.json", "environment.json", "exit.json", "shim.json"}


@pytest.mark.parametrize("job", (JOB, ON_NODES), ids=("here", "on nodes"))
def test_an_address_names_the_log_that_it_was_made_of(tmp_path: Path, job: Job) -> None:
    """All but the events, which have an address of their own."""
    for log in every_log(job):
        query = {name: str(value) for name, value in log.query(job).items()}
        if log.kind is not Kind.EVENTS:
            assert log_asked_for(job, query, asked(tmp_path, **query)) == log


@pytest.mark.parametrize(
    "query",
    ({"rank": "2"}, {"rank": "-1"}, {"rank": "0/.."}, {"of": "plan"}, {"of": "RANK"}, {"of": "../x"},
     {"of": "slurm-node"}, {"rank": "0", "attempt": "4"},
     {"rank": "0", "attempt": "0"}, {"rank": "٣"}, {"rank": "9" * 30}),
)  # fmt: skip
def test_what_is_not_on_the_list_is_not_there(tmp_path: Path, query: dict[str, str]) -> None:
    """Whatever an address says."""
    with pytest.raises(NotThereError):
        log_asked_for(JOB, query, asked(tmp_path, **query))


def test_a_job_without_ranks_has_no_logs_of_ranks(tmp_path: Path) -> None:
    """It only merges."""
    with pytest.raises(NotThereError):
        log_asked_for(TREE, {"rank": "0"}, asked(tmp_path, rank="0"))
    assert log_asked_for(TREE, {}, asked(tmp_path)) is None


def test_those_that_are_there_are_offered(tmp_path: Path) -> None:
    """Of each attempt its own."""
    directory = JOB.directory(tmp_path)
    there = {Log(Kind.RANK, 3, 1), Log(Kind.SCHEDULER, 3), Log(Kind.STACKS, 3, 0), Log(Kind.RANK, 2, 0)}
    for log in there:
        path = log.path(JOB, directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert set(logs_of(JOB, 3, tmp_path)) == {log for log in there if log.attempt == 3}
    assert set(logs_of(JOB, 2, tmp_path)) == {log for log in there if log.attempt == 2}
    assert logs_of(JOB, 1, tmp_path) == ()
    assert attempts_of(JOB) == (1, 2, 3)


def test_what_is_not_there_is_told_without_its_path(tmp_path: Path) -> None:
    """Nobody's directories are told to a stranger."""
    with pytest.raises(NotThereError, match=r"^submitted\.yaml is not there$"):
        opened(JOB, JOB.directory(tmp_path).submitted, asked(tmp_path))
