"""Trainings on two nodes whose root is on a file system that tells of new names late."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.core.states import State
from handlers.records.job_dir import Step
from tests.acceptance.house import House
from tests.slurm.cluster import Cluster
from tests.slurm.house import section
from tests.slurm.negative_cache import negative_cache
from tests.slurm.test_training import drop, exit_of, gated, runs_of, until_gate

pytestmark = pytest.mark.slurm


def preload(house: House, place: Path) -> None:
    """Let the daemon and each node have a cache of absent names of its own."""
    variables = negative_cache(place, house.root)
    house.daemon_environment |= variables
    section(house)["prologue"] = "\n".join(f"export {name}={value}" for name, value in variables.items())


def test_an_absent_name_stays_absent_until_its_directory_is_listed(tmp_path: Path) -> None:
    """What the other tests here rest on."""
    path = tmp_path / "root" / "name"
    path.parent.mkdir()
    script = f"""
import os, subprocess
print(os.path.exists({str(path)!r}))
subprocess.run(["touch", {str(path)!r}], env={{"PATH": os.environ["PATH"]}}, check=True)
print(os.path.exists({str(path)!r}), os.listdir({str(path.parent)!r}), os.path.exists({str(path)!r}))
"""
    environment = {"PATH": os.environ["PATH"], **negative_cache(tmp_path / "cache", path.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\nFalse ['name'] True\n"


SIGNS = """
from handlers.records.train_plan import RankPlan
from handlers.shim.signs_of_life import SignsOfLife
log = root / "output" / "log" / "rank_3" / "mindformer.log"
look = SignsOfLife([RankPlan(number=3, device=None, log=log)], root / "output" / "checkpoint").look
"""
LOOKS = {
    "a rank's log": (SIGNS, "output/log/rank_3/mindformer.log"),
    "a rank's first save": (SIGNS, "output/checkpoint/rank_3/glm_rank_3-1_4.ckpt"),
    "shards": (
        """
from handlers.shards.names import holds_shards, see_anew
look = lambda: [see_anew(root / "output"), holds_shards(root / "output")][1]
""",
        "output/checkpoint/rank_3/glm_rank_3-1_4.ckpt",
    ),
    "how far a training is": (
        """
from handlers.rank_log.progress import read_progress
look = lambda: [read_progress(root / "output", [3]), path.exists()][1]
""",
        "output/log/rank_3/mindformer.log",
    ),
    "a merged output": (
        """
from handlers.merging.latest import whole
look = lambda: [whole(root / "merged", "glm"), path.exists()][1]
""",
        "merged/manifest.json",
    ),
    "a training's end": (
        """
from handlers.ckpt.files.listing import is_listed
look = lambda: is_listed(path) and path.exists()
""",
        "exit.json",
    ),
}
"""How each is looked for, and the file that another host makes then."""


@pytest.mark.parametrize("what", LOOKS)
def test_what_was_looked_for_too_early_is_found(tmp_path: Path, what: str) -> None:
    """At the next look, though its name alone would still be said to be absent."""
    looks, made = LOOKS[what]
    root = tmp_path / "root"
    (root / "output").mkdir(parents=True)
    script = f"""
import os, subprocess
from pathlib import Path
root = Path({str(root)!r})
path = root / {made!r}
{looks}
before = look()
path.exists()
make = f"mkdir -p {{path.parent}} && echo x > {{path}}"
subprocess.run(["sh", "-c", make], env={{"PATH": os.environ["PATH"]}}, check=True)
print(bool(before), path.exists(), bool(look()))
"""
    environment = {"PATH": os.environ["PATH"], **negative_cache(tmp_path / "cache", root)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "False False True\n", done.stderr


def test_what_other_hosts_make_is_seen_at_once(house: House, cluster: Cluster, tmp_path: Path) -> None:
    """From the inbox to the published output, as on a file system of this host: nothing is taken for missing."""
    preload(house, tmp_path / "cache")
    gated(house)
    house.start()
    drop(house)
    until_gate(house)
    steps = house.directory().step(1, Step.TRAIN).path / "steps.jsonl"
    house.wait(lambda: steps.exists() and '"e":30,' in steps.read_text(), "the record of what n2 has logged")
    house.gate.touch()
    job = house.until(State.DONE)
    assert (job.attempt, len(runs_of(cluster))) == (1, 1)
    assert exit_of(house).reason == ""
    assert (tmp_path / "cache" / "n2").exists()
