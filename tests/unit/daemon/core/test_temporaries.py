"""Promises of daemon.core.temporaries: what a dead writer left goes, what a living one writes stays."""

from pathlib import Path

import pytest

from daemon.core.root import Root
from daemon.core.temporaries import sweep, sweep_job, temporaries
from handlers.records.job_dir import JobDir, Step
from handlers.records.nodes import NodesDir
from handlers.records.shim_record import ShimRecord
from tests.unit.daemon.face.audit.conftest import NOW

LEFT = (
    "rejected/.bad.yaml.reason.txt.1a2b3c4d.tmp",
    "latest/.glm-6b.1a2b3c4d.tmp",
    "jobs/0001-run/.plan.json.1a2b3c4d.tmp",
    "jobs/0001-run/attempts/2/.resume.json.1a2b3c4d.tmp",
    "jobs/0001-run/attempts/2/.resume_from.tmp/checkpoint/rank_0",
    "jobs/0001-run/attempts/2/merge/.exit.json.1a2b3c4d.tmp",
)
STAYS = (
    "inbox/.run.yaml.1a2b3c4d.tmp",
    "jobs/0001-run/output/checkpoint/.rank_0.tmp",
    "jobs/0001-run/plan.json",
    "jobs/0001-run/merged/.merging/manifest.json",
)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Make a root with all of these files."""
    root = Root(tmp_path)
    root.create()
    for name in (*LEFT, *STAYS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return root


def test_what_a_dead_writer_left_is_removed(root: Root) -> None:
    """In every place where glmd publishes, and nowhere else."""
    sweep(root)
    assert not [name for name in LEFT if (root.path / name).exists()]
    assert [name for name in STAYS if (root.path / name).exists()] == list(STAYS)


def test_what_a_living_shim_writes_is_left_alone(root: Root) -> None:
    """Its records, and the link that a merge sets."""
    ShimRecord.of_this_process(NOW).publish(JobDir(root.jobs / "0001-run").step(2, Step.MERGE).shim)
    found = {str(path.relative_to(root.path)) for path in temporaries(root)}
    assert found == {LEFT[0], LEFT[2], LEFT[3], "jobs/0001-run/attempts/2/.resume_from.tmp"}


def test_what_was_to_become_a_file_of_the_root_is_removed(root: Root) -> None:
    """A backup before a migration, the store that was written back or saved, daemon.json; they themselves stay."""
    of_the_store = (".glmd.db.1.1a2b3c4d.tmp", ".glmd.db.1a2b3c4d.tmp", ".glmd.db.was-20261124T091407Z.1a2b3c4d.tmp")
    left = (*of_the_store, ".daemon.json.1a2b3c4d.tmp")
    stays = ("daemon.json", "glmd.db.1", "glmd.db.was-20261124T091407Z", ".another.tmp")
    for name in (*left, *stays):
        (root.path / name).touch()
    assert {path.name for path in temporaries(root, []) if path.parent == root.path} == set(left)
    sweep(root, [])
    assert not [name for name in left if (root.path / name).exists()]
    assert [name for name in stays if (root.path / name).exists()] == list(stays)


def test_of_jobs_that_are_over_a_start_reads_nothing(root: Root) -> None:
    """What dead writers left there was removed when each came to be over."""
    sweep(root, [])
    assert [name for name in LEFT if (root.path / name).exists()] == [*LEFT[2:]]
    sweep_job(root.jobs / "0001-run")
    assert not [name for name in LEFT if (root.path / name).exists()]
    assert [name for name in STAYS if (root.path / name).exists()] == list(STAYS)


@pytest.mark.parametrize("how", ("exit", "verdict"))
def test_what_a_shim_on_another_host_may_be_writing_is_left_alone(root: Root, how: str) -> None:
    """Nobody can tell here whether it lives: until it or Slurm has said how it ended, all is its own."""
    step = JobDir(root.jobs / "0001-run").step(2, Step.TRAIN)
    nodes = NodesDir(step)
    nodes.lay_out(2)
    places = (step.path, nodes.slurm, nodes.node(1))
    written = [place / ".state.json.1a2b3c4d.tmp" for place in places]
    for path in written:
        path.touch()
    sweep(root)
    assert all(path.exists() for path in written)
    {"exit": step.exit, "verdict": nodes.verdict}[how].touch()
    sweep(root)
    assert not [path for path in written if path.exists()]
