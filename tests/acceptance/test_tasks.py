"""The pages of docs/ for tasks, played with a stand-in that trains: what they let people type does what they say.

tests/acceptance/test_upgrade.py plays those about upgrades and backups.
"""

import json
import re
import shlex
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from daemon.core.states import State
from tests.acceptance.house import CONFIG, House
from tests.acceptance.test_living import agree

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = (DOCS / "tutorial.md").read_text("utf-8")


def typed(text: str) -> list[list[str]]:
    """Return what a page lets people type of glmd's, in its order."""
    lines = re.findall(r"^ {4}(?:sudo )?((?:glmd|systemctl reload) .*)", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def settings_of(text: str) -> dict[str, object]:
    """Return the settings that a page shows, all together."""
    return dict(
        YAML(typ="safe", pure=True).load("".join(re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)))
    )


def reload(house: House) -> subprocess.CompletedProcess[str]:
    """Let the daemon read the settings of the house."""
    (house.root / "glmd.yaml").write_text(json.dumps(house.settings))
    return house.run("reload")


def test_the_tutorial_leads_to_a_promoted_checkpoint(house: House, tmp_path: Path) -> None:
    """Every command of it succeeds, and the night goes on from what was trained by hand."""
    (tmp_path / "my_finetune.yaml").write_text(CONFIG.format(data=house.data, devices="[0,2)"))
    (cycle,) = settings_of(TUTORIAL)["nightly"]  # type: ignore[misc] # a list of one
    house.start()
    for words in typed(TUTORIAL):
        match words:
            case ["glmd", "doctor"]:
                continue  # it says what this host lacks: devices
            case ["systemctl", "reload", "glmd"]:
                house.settings["nightly"] = [{**cycle, "template": str(tmp_path / "my_finetune.yaml")}]
                done = reload(house)
            case _:
                own = [word.replace("/var/glm", str(house.root)) for word in words[1:]]
                done = house.run(*(str(tmp_path / word) if word == "my_finetune.yaml" else word for word in own))
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        if "--try" in words:
            house.until(State.DONE, 2)
    merged = house.directory(1).merged
    names = "  ".join(sorted(path.name for path in merged.iterdir()))
    assert f"/jobs/{merged.parent.name}/merged       # {names}\n" in TUTORIAL
    assert house.job(2).continues == 1
    assert (house.root / "latest" / "glm-6b").resolve() == house.directory(2).merged


def test_a_moved_root_goes_on_by_the_link_that_stays(house: House) -> None:
    """As howto-move-root.md has it: a merge that is retried finds its shards under their old path."""
    house.environment(STANDIN_DIFFER="1")
    house.start()
    house.drop()
    house.wait(lambda: bool(house.jobs()) and house.job().state.is_over, "the merge to fail")
    assert house.job().code == "merge.replicas-differ"
    shards = sorted(house.directory().output.glob("checkpoint/rank_*/*.ckpt"))
    house.stop()
    old, house.root = house.root, house.root.with_name("moved")
    old.rename(house.root)
    old.symlink_to(house.root)
    shards[1].chmod(0o600)
    shards[1].write_bytes(shards[0].read_bytes())
    house.start()
    agree(house)
    assert house.run("retry", "1").returncode == 0
    house.wait(lambda: house.job().state is State.DONE, "the merge by the link")
    assert house.run("verify", str(house.root / "latest" / "glm-6b")).returncode == 0
    agree(house)


def test_a_watched_tree_says_what_it_lacks_and_is_merged(house: House, tmp_path: Path) -> None:
    """As howto-watch.md has it: without strategy files it takes `ranks` and `needs_strategy: false`."""
    page = (DOCS / "howto-watch.md").read_text("utf-8")
    house.start()
    house.drop()
    house.until(State.DONE)
    tree = tmp_path / "fullft_output"
    house.directory().output.rename(tree)
    (entry,) = settings_of(page)["watch"]  # type: ignore[misc] # a list of one
    watched = {**entry, "path": str(tree), "quiet": "1s"}
    house.settings["watch"] = [watched]
    assert reload(house).returncode == 0
    house.wait(lambda: "tree_not_ready" in house.log.read_text(), "the word that something is missing")
    assert re.search(r"`(strategy has no .*?)`", page.replace("\n", " "))[1] in house.log.read_text()  # type: ignore[index]
    house.settings["watch"] = [watched | {"ranks": 2, "needs_strategy": False}]
    assert reload(house).returncode == 0
    assert house.until(State.DONE, 2).name == tree.name
