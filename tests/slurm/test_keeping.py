"""What becomes of a job's files after its training on nodes: its output is a link to that of its last attempt."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from daemon.core.retention import plan
from daemon.core.root import Root
from daemon.core.settings import load_settings
from daemon.core.states import State
from handlers.retention.part import Part
from tests.acceptance.house import GLMD, PATIENCE, House
from tests.past_jobs import later
from tests.slurm.cluster import Cluster
from tests.slurm.test_training import drop, gated, state, until_gate

pytestmark = pytest.mark.slurm


def saves(directory: Path) -> set[str]:
    """Return the shards below a directory, from there on; what links lead to is not followed."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*.ckpt") if path.parent.name != "strategy"}


def test_a_resumed_job_is_backed_up_pruned_and_merged_again_as_any(
    house: House, cluster: Cluster, tmp_path: Path
) -> None:
    """With the output of each of its attempts, once, and never by what the link leads to."""
    house.settings["retention"] = {"shards": {"after_merge": "delete", "keep_last": 0}}
    gated(house, STANDIN_SAVE="17")
    house.start()
    drop(house)
    until_gate(house)
    os.kill(state(house, 1).pids[3], signal.SIGKILL)
    house.gate.touch()
    assert house.until(State.DONE).attempt == 2
    job, output = house.directory().path, house.directory().output_link
    assert len(cluster.jobs()) == 2
    assert {name.split("/")[1] for name in saves(job / "attempts")} >= {"output"}

    # By hand
    merged = tmp_path / "merged"
    assert house.run("verify", str(job / "merged")).returncode == 0
    by_hand = ("merge", "--src-checkpoints-dir", str(output), "--dst-checkpoints-dir", str(merged), "--data-parallel")
    done = house.run(*by_hand)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in sorted(merged.glob("*.ckpt"))] == [
        path.read_bytes() for path in sorted((job / "merged").glob("*.ckpt"))
    ]

    # Watched, as somebody else's
    house.settings["watch"] = [{"path": str(output), "needs_strategy": False, "ranks": 4, "quiet": "1s"}]
    house.stop()
    house.start()
    watched = house.until(State.DONE, 2)
    assert (watched.directory(house.root).merged / "manifest.json").exists()

    # Backed up
    (tmp_path / "backups").mkdir()
    assert house.run("backup", "--to", str(tmp_path / "backups")).returncode == 0
    (backup,) = (tmp_path / "backups").iterdir()
    copy = backup / "jobs" / job.name
    assert saves(copy / "attempts") == set()
    assert not list(copy.rglob("environment.json"))
    assert (copy / "output").readlink() == Path("attempts", "2", "output")
    assert (copy / "output" / "log" / "rank_3" / "mindformer.log").exists()
    checked = house.run("restore", "--check", "--deep", str(backup))
    assert (checked.returncode, "it is whole" in checked.stdout) == (0, True), checked.stdout
    assert house.run("restore", str(backup), "--to", str(tmp_path / "again")).returncode == 0
    for words in (("steps", "1"), ("doctor", "--state")):
        again = [*GLMD, *words, "--root", str(tmp_path / "again")]
        done = subprocess.run(again, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, (words, done.stdout, done.stderr)

    # Pruned, as it will be when nothing of it is young any more
    settings = load_settings(house.root / "glmd.yaml", house.root).model_copy(update={"watch": ()})
    found = plan(Root(house.root), settings, later().wall, is_asked=True)
    (item,) = (item for item in found.items if item.job.id == 1 and item.part is Part.SHARDS)
    assert (item.goes, item.is_doubt) == (True, False)
    files = {(path := job / "attempts" / name).stat().st_ino: path for name in saves(job / "attempts")}
    assert item.bytes == sum(path.stat().st_size for path in files.values())
