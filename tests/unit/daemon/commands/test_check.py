"""Promises of `glmd check`."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.daemon.commands.conftest import Site
from tests.unit.handlers.slurm.tools import NAMES, Tools


def test_a_good_file_is_told_what_would_run(site: Site, good_yaml: Path) -> None:
    """Devices, run mode, prefix and tag, on one line; warnings beside it; nothing is dropped."""
    done = site.glmd("check", good_yaml)
    assert done.returncode == 0
    assert done.stdout == f"{good_yaml}: good: finetune on CPU devices [0,2), prefix glm-6b, tag last\n"
    assert f"warning: {good_yaml}:" in done.stderr
    assert not list(site.root.inbox.iterdir())


def test_all_problems_come_at_once_each_with_its_place(site: Site, good_yaml: Path) -> None:
    """FILE:LINE:COL at the line's start, the excerpt below, exit code 2."""
    text = good_yaml.read_text()
    good_yaml.write_text(
        text.replace("model_parallel: 2", "model_parallel: 3").replace("num_heads: 2", "num_heads: two")
    )
    done = site.glmd("check", good_yaml)
    assert done.returncode == 2
    places = [line for line in done.stderr.splitlines() if line.startswith(f"{good_yaml}:")]
    assert any("model_parallel" in line for line in places)
    assert any("num_heads" in line for line in places)
    assert not done.stdout


def test_the_settings_count(site: Site, good_yaml: Path) -> None:
    """Devices that the settings do not list are a problem."""
    (site.root.path / "glmd.yaml").write_text('devices: "[4,8)"\n')
    done = site.glmd("check", good_yaml)
    assert done.returncode == 2
    assert "not among this host's devices" in done.stderr


def test_slurm_is_asked_of_what_runs_there(site: Site, good_yaml: Path, tmp_path: Path) -> None:
    """When it would start it is told, to programs as well; what it has not is a problem."""
    place = tmp_path / "slurm"
    place.mkdir()
    tools = Tools(place)
    tools.say("sinfo", "main*|up|infinite|1-infinite|2|idle|npu:8|n[1-2]\n")
    soon = datetime.now().replace(microsecond=0) + timedelta(days=2)  # noqa: DTZ005 - as Slurm tells it
    tools.say("sbatch", "", f"sbatch: Job 1 to start at {soon.isoformat()} using 2 processors on nodes n1")
    commands = {name: str(place / name) for name in NAMES}
    (site.root.path / "glmd.yaml").write_text(json.dumps({"slurm": {"commands": commands}}))  # JSON is YAML
    text = good_yaml.read_text()
    section = "\nglmd:\n  slurm: {nodes: 1, devices_per_node: 2}\n"
    good_yaml.write_text(re.sub(r"\nglmd:\n(?:  .*\n)*", section, text))
    told = site.glmd("check", good_yaml)
    assert "1 node × 2 devices" in told.stdout
    assert f"  Slurm would start it at {soon:%Y-%m-%d}" in told.stdout
    start = json.loads(site.glmd("check", good_yaml, "--json").stdout)["expected_start"]
    assert datetime.fromisoformat(start).replace(tzinfo=None) >= soon
    tools.say("sinfo", "main*|up|infinite|1-infinite|2|idle|(null)|n[1-2]\n")
    refused = site.glmd("check", good_yaml)
    assert refused.returncode == 2
    assert "partition main has 0 nodes with npu:2, and 1 are asked for" in refused.stderr


def test_what_is_no_file_or_too_large_is_bad_input(site: Site, tmp_path: Path) -> None:
    """Exit code 2, without reading it whole."""
    large = tmp_path / "large.yaml"
    with large.open("wb") as stream:
        stream.truncate(1 << 40)
    for path in (tmp_path / "none.yaml", tmp_path, Path("/dev/zero"), large):
        done = site.glmd("check", path)
        assert done.returncode == 2
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("version", "said"),
    (
        ("0.8", "checked against MindFormers 0.8 (--mindformers)"),
        ("r1.0", "checked against MindFormers r1.0 (--mindformers)"),
        ("1.0.2", "checked against MindFormers 1.0.2 (--mindformers)"),
    ),
)
def test_a_version_can_be_named(site: Site, good_yaml: Path, version: str, said: str) -> None:
    """On a laptop there is no checkout: --mindformers says whose rules count, and the check says it back."""
    done = site.glmd("check", good_yaml, "--mindformers", version)
    assert done.returncode == 0
    assert said in done.stderr.splitlines()


def test_a_version_that_refuses(site: Site, good_yaml: Path) -> None:
    """The error says too which version it was checked against."""
    done = site.glmd("check", good_yaml, "--mindformers", "1.9.0")
    assert done.returncode == 2
    assert "callbacks[1].type: 'CheckpointMointor' is not known" in done.stderr
    assert "checked against MindFormers 1.9.0 (--mindformers)" in done.stderr


def test_a_version_that_is_none(site: Site, good_yaml: Path) -> None:
    """Bad usage, with a word on how to write one."""
    done = site.glmd("check", good_yaml, "--mindformers", "newest")
    assert done.returncode == 2
    assert "is no version" in done.stderr


def test_the_checkout_says_its_version(site: Site, good_yaml: Path, tmp_path: Path) -> None:
    """What runs is the checkout's MindFormers, so its rules count."""
    (tmp_path / "checkout" / "mindformers").mkdir(parents=True)
    (tmp_path / "checkout" / "setup.py").write_text("    setup(\n        version='1.0.2',\n    )\n")
    done = site.glmd("check", good_yaml, GLMD_TRAINING__CHECKOUT=str(tmp_path / "checkout"))
    assert done.returncode == 0
    assert f"checked against MindFormers 1.0.2 ({tmp_path}/checkout)" in done.stderr


def test_an_unknown_version(site: Site, good_yaml: Path) -> None:
    """It is said, with how to name it; the file is refused for what no version takes only."""
    done = site.glmd("check", good_yaml, GLMD_TRAINING__CHECKOUT="/nowhere")
    assert done.returncode == 0
    assert "checked against MindFormers of an unknown version (/nowhere has no directory mindformers/" in done.stderr
    assert "training.mindformers in the settings" in done.stderr
    assert "with MindFormers 1.2, 1.3 and 1.4" in done.stderr


def test_programs_get_every_problem_with_its_code(site: Site, good_yaml: Path) -> None:
    """And where it stands; people get the codes below the problems."""
    text = good_yaml.read_text()
    good_yaml.write_text(
        text.replace("model_parallel: 2", "model_parallel: 3").replace("num_heads: 2", "num_heads: two")
    )
    done = site.glmd("check", good_yaml, "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert (told["ok"], done.stderr) == (False, "")
    found = {problem["where"].rpartition(".")[2]: problem["code"] for problem in told["problems"]}
    assert found["model_parallel"] == "config.parallel-product"
    assert found["num_heads"] == "config.number"
    assert told["code"] == told["problems"][0]["code"]
    assert all(problem["line"] > 1 for problem in told["problems"])
    last = site.glmd("check", good_yaml).stderr.splitlines()[-1]
    assert "config.parallel-product" in last
    assert "config.number" in last


def test_programs_get_what_a_good_file_means(site: Site, good_yaml: Path) -> None:
    """With its warnings, each with a code, and nothing else on any output."""
    done = site.glmd("check", good_yaml, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (told["ok"], told["prefix"], told["devices"], told["problems"]) == (True, "glm-6b", [0, 1], [])
    assert told["warnings"]
    assert all(warning["code"].startswith("config.") for warning in told["warnings"])


def test_overrides_are_told(site: Site, good_yaml: Path) -> None:
    """Each with its value; a wrong one at its own place."""
    text = good_yaml.read_text()
    assert "glmd:\n" in text
    good_yaml.write_text(text.replace("glmd:\n", "glmd:\n  overrides: {runner_config.epochs: 2, seed: 7}\n"))
    done = site.glmd("check", good_yaml)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["  with runner_config.epochs: 2", "  with seed: 7"])
    told = json.loads(site.glmd("check", good_yaml, "--json").stdout)
    assert told["overrides"] == {"runner_config.epochs": "2", "seed": "7"}
    good_yaml.write_text(text.replace("glmd:\n", "glmd:\n  overrides: {runner_config.epochs: two}\n"))
    line = text.splitlines().index("glmd:") + 2
    assert f"{good_yaml}:{line}:37: runner_config.epochs: 'two' is not" in site.glmd("check", good_yaml).stderr
