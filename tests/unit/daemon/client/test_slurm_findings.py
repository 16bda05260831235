"""What `glmd doctor --slurm` finds, by recorded answers of Slurm's programs."""

import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.client import slurm_findings
from daemon.client.finding import Finding, Verdict
from daemon.client.slurm_findings import of_node, of_slurm
from daemon.client.slurm_probe import Probed
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmCommands, SlurmSettings
from handlers.records.probe import Probe
from tests.unit.handlers.slurm.tools import NAMES, Tools

SINFO = """\
main*|up|infinite|1-infinite|1|idle|npu:8|n1
main*|up|infinite|1-infinite|1|drained|npu:8|n2
small|up|30:00|1|1|idle|(null)|n1
"""
CONFIG = "AuthType                = auth/munge\nKillWait                = 30 sec\n"
PROBE = Probe(
    node="n1",
    host="n1",
    glmd=importlib.metadata.version("glmd"),
    python="/shared/python 3.12.1",
    training="3.9.19, mindspore 2.0.0",
    memlock=None,
    nofile=65536,
    addresses=8,
    npu_smi="/usr/local/bin/npu-smi",
)


@dataclass
class Slurm:
    """A Slurm that answers what a test says, and nodes that have what it says."""

    tools: Tools
    root: Path
    probed: tuple[Probed, ...] = (Probed("n1", PROBE),)

    def say(self, sinfo: str = SINFO, config: str = CONFIG) -> None:
        """Let it have these partitions, and this configuration."""
        place = self.tools.place
        (place / "told").write_text(sinfo)
        (place / "config").write_text(config)
        scripts = {
            "sinfo": f'[ "$1" = --version ] && echo slurm-wlm 22.05.8 || cat {place}/told',
            "scontrol": f'[ "$2" = config ] && cat {place}/config || echo "$3"',
        }
        for name, script in scripts.items():
            (place / name).write_text(f"#!/bin/sh\n{script}\n")
            (place / name).chmod(0o755)

    def found(self, **more: object) -> dict[str, Finding]:
        """Return the findings by name; `more` is of the section of the settings."""
        commands = SlurmCommands(**{name: str(self.tools.place / name) for name in NAMES})
        slurm = SlurmSettings.model_validate({"commands": commands, **more})
        return {one.name: one for one in of_slurm(Settings(root=self.root, slurm=slurm))}


@pytest.fixture
def slurm(tools_place: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """Return one that has all, but for a node that is drained."""
    made = Slurm(tools_place, tmp_path)
    made.say()

    def probes(_: Settings, __: SlurmSettings, nodes: list[str]) -> object:
        assert list(nodes) == [one.node for one in made.probed]
        return (one for one in made.probed)

    monkeypatch.setattr(slurm_findings, "probes", probes)
    return made


@pytest.fixture
def tools_place(tmp_path: Path) -> Tools:
    """Return where the programs are."""
    place = tmp_path / "tools"
    place.mkdir()
    return Tools(place)


def test_what_slurm_has_is_told(slurm: Slurm) -> None:
    """Version, who is trusted, partitions, devices, each node; those that take no job now are named."""
    found = slurm.found()
    assert {name: str(one.verdict) for name, one in found.items() if not name.startswith(("shared", "devices"))} == {
        "slurm": "ok",
        "munge": "ok",
        "KillWait": "ok",
        "partitions": "ok",
        "gres": "ok",
        "node n1": "ok",
        "node n2": "note",
    }
    assert found["slurm"].text == "slurm-wlm 22.05.8"
    assert found["partitions"].text == "main* (2 nodes, npu:8, no time limit); small (1 node, no gres, up to 30m)"
    assert found["gres"].text == "2 nodes with npu:8"
    assert found["node n2"].text == "is drained, and takes no job now"
    assert found["shared root"].verdict is Verdict.NOTE


@pytest.mark.parametrize(
    ("more", "name", "told"),
    (
        ({"partition": "npux"}, "partitions", "slurm.partition names npux"),
        ({"devices_per_node": 16}, "gres", "GresTypes"),
        ({"gres": "ascend"}, "gres", "GresTypes"),
        ({"partition": "small"}, "gres", "GresTypes"),
    ),
)
def test_what_lacks_is_told_with_what_to_do(slurm: Slurm, more: dict[str, object], name: str, told: str) -> None:
    """And counts: glmd could not train."""
    slurm.probed = () if more.get("partition") == "npux" else slurm.probed
    found = slurm.found(**more)[name]
    assert found.verdict is Verdict.MISSING
    assert told in found.advice


@pytest.mark.parametrize(
    ("said", "name"),
    (
        ("slurm_load_partitions: Unable to contact slurm controller (connect failure)", "slurm"),
        ('sinfo: error: Munge encode failed: Failed to access "/run/munge/munge.socket.2"', "munge"),
        ("slurm_load_partitions: Protocol authentication error", "munge"),
    ),
)  # fmt: skip
def test_where_slurm_does_not_answer_that_is_all(slurm: Slurm, said: str, name: str) -> None:
    """With whose fault it is, as far as it says."""
    slurm.tools.say("sinfo", "", said, 1)
    found = slurm.found()
    assert list(found) == [name]
    assert found[name].verdict is Verdict.MISSING
    assert said in found[name].text


def test_without_a_section_there_is_nothing_to_look_at() -> None:
    """It says what to write."""
    (found,) = of_slurm(Settings())
    assert (found.verdict, found.advice.startswith("write `slurm:`")) == (Verdict.MISSING, True)


def test_a_short_kill_wait_is_told(slurm: Slurm) -> None:
    """Slurm kills sooner what it ends itself than glmd would."""
    slurm.say(config=CONFIG.replace("30 sec", "5 sec"))
    assert slurm.found()["KillWait"].verdict is Verdict.NOTE


@pytest.mark.parametrize(
    ("change", "verdict", "told"),
    (
        ({}, Verdict.OK, ""),
        ({"training_problem": "cannot be run: No such file or directory"}, Verdict.MISSING, "training.python"),
        ({"glmd": "0.1"}, Verdict.MISSING, "install the same"),
        ({"memlock": 65536}, Verdict.NOTE, "LimitMEMLOCK=infinity"),
        ({"nofile": 1024}, Verdict.NOTE, "LimitNOFILE"),
        ({"addresses": 7, "address_problem": "device 7: no entry"}, Verdict.NOTE, "device 7: no entry"),
        ({"npu_smi": ""}, Verdict.NOTE, "no Ascend driver"),
        ({"npu_problem": "ended with code 1: dcmi"}, Verdict.NOTE, "npu-smi ended with code 1: dcmi"),
    ),
)
def test_what_a_node_has_and_lacks(change: dict[str, object], verdict: Verdict, told: str) -> None:
    """Without what a training needs at all it is missing; the rest is worth knowing."""
    found = of_node(Probed("n1", PROBE.model_copy(update=change)), SlurmSettings())
    assert found.verdict is verdict
    assert told in found.advice
    assert json.dumps(found.text)  # one line for people
    assert "memlock" in found.text


def test_a_node_that_wrote_nothing_says_why() -> None:
    """Its batch step's last words are what there is."""
    found = of_node(
        Probed("n1", None, "its job is FAILED, and wrote no result, but: python: not found"), SlurmSettings()
    )
    assert (found.name, found.verdict) == ("node n1", Verdict.MISSING)
    assert "python: not found" in found.text
