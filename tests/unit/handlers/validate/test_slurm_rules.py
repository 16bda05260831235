"""What Slurm says of a dropped file, by recorded answers of its programs."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from handlers.codes import Code
from handlers.slurm.placement import Site
from handlers.validate import shared_paths
from handlers.validate.check import CheckedConfig
from handlers.validate.problem import ConfigError
from tests.unit.handlers.slurm.tools import Tools
from tests.unit.handlers.validate.test_check import checked, data, rules
from tests.unit.handlers.validate.test_slurm_section import SIXTEEN

__all__ = ["data"]

SINFO = """\
main*|up|infinite|1-infinite|2|idle|npu:8|n[1-2]
small|up|30:00|1|1|idle|npu:8|n1
cpus|up|1-00:00:00|1-infinite|9|idle|(null)|c[1-9]
shut|down|infinite|1-infinite|2|idle|npu:8|n[1-2]
"""
GOOD = "sbatch: Job 1 to start at {} using 2 processors on nodes n[1-2] in partition main\n"


class Asked:
    """Files, and a Slurm that is asked of them."""

    def __init__(self, data: Path, place: Path) -> None:
        self.data, self.tools = data, Tools(place)
        self.tools.say("sinfo", SINFO)
        self.tools.say("sbatch", "", GOOD.format("2026-11-30T03:30:25"))
        self.site = Site(gres="npu", commands=self.tools.commands)

    def check(self, slurm: str = "{nodes: 2}", ranks: tuple[str, str] = SIXTEEN) -> CheckedConfig:
        """Check a file with that section."""
        section = ('  devices: "[0,8)"\n', f"  slurm: {slurm}\n")
        return checked(self.data, section, ranks, held_against=replace(rules(self.data), slurm=8, site=self.site))

    def refused(self, slurm: str, ranks: tuple[str, str] = SIXTEEN) -> str:
        """Return why it is refused."""
        with pytest.raises(ConfigError) as found:
            self.check(slurm, ranks)
        assert [problem.code for problem in found.value.problems] == [Code.CONFIG_SLURM]
        return str(found.value)

    def warned(self, slurm: str = "{nodes: 2}") -> list[str]:
        """Return what it is warned of."""
        return [
            str(one) for one in self.check(slurm).warnings if "slurm" in one.where and "other hosts" not in str(one)
        ]


@pytest.fixture
def asked(data: Path, tmp_path: Path) -> Asked:
    """Return a Slurm with two nodes of eight devices."""
    place = tmp_path / "tools"
    place.mkdir()
    return Asked(data, place)


def test_what_slurm_has_is_taken(asked: Asked) -> None:
    """With the start that Slurm expects, where it expects one."""
    assert asked.warned() == []
    assert asked.check().start is None
    soon = datetime.now().replace(microsecond=0) + timedelta(days=1)  # noqa: DTZ005 - as Slurm tells it
    asked.tools.say("sbatch", "", GOOD.format(soon.isoformat()))
    assert (asked.check().start or soon) >= soon


@pytest.mark.parametrize(
    ("slurm", "told"),
    (
        ("{nodes: 2, partition: npux}", "glmd.slurm.partition: Slurm has no partition 'npux'"),
        ("{nodes: 2, partition: npux}", "sinfo knows: cpus, main, shut, small"),
        ("{nodes: 2, partition: small}", "partition small gives a job 1 node at most, and 2 are asked for"),
        ("{nodes: 2, partition: cpus}", "partition cpus has 0 nodes with npu:8, and 2 are asked for"),
        ("{nodes: 1, devices_per_node: 16}", "partition main has 0 nodes with npu:16, and 1 are asked for"),
        ("{nodes: 16, devices_per_node: 1}", "partition main has 2 nodes with npu:1, and 16 are asked for"),
    ),
)
def test_what_can_never_be_had_is_refused(asked: Asked, slurm: str, told: str) -> None:
    """With what there is, and before the file becomes a job that waits for ever."""
    assert told in asked.refused(slurm)


def test_what_the_settings_say_wrong_is_told_as_theirs(asked: Asked) -> None:
    """Whoever dropped the file cannot find it there."""
    asked.site = replace(asked.site, partition="npux")
    assert "Slurm has no partition 'npux', which the settings name" in asked.refused("{nodes: 2}")


def test_more_time_than_a_partition_gives_is_refused(asked: Asked) -> None:
    """Sbatch would take it, and let it wait for ever; but a QOS may lift the limit."""
    one, eight = "{nodes: 1, partition: small, time: 1h", ("data_parallel: 1", "data_parallel: 1")
    told = asked.refused(f"{one}}}", eight)
    assert "glmd.slurm.time: 1h are more than partition small gives a job" in told
    assert "write `time: 30m`" in told
    warnings = asked.check(f"{one}, qos: long}}", eight).warnings
    assert any("more than partition small gives" in str(one) for one in warnings)


def test_a_limit_that_nobody_has_named_is_told(asked: Asked) -> None:
    """With what it means: the training goes on in another job."""
    config = asked.check("{nodes: 1, partition: small}", ("data_parallel: 1", "data_parallel: 1"))
    assert any("resumes in a new Slurm job from its newest save" in str(one) for one in config.warnings)


def test_what_may_come_back_is_a_warning(asked: Asked) -> None:
    """A partition that is down, nodes that are drained: the job waits."""
    assert "partition shut is down" in asked.warned("{nodes: 2, partition: shut}")[0]
    asked.tools.say("sbatch", "", "allocation failure: Requested node configuration is not available\n", 1)
    (told,) = asked.warned()
    assert "Slurm cannot give that now" in told


def test_what_sbatch_would_refuse_is_refused(asked: Asked) -> None:
    """In its words."""
    asked.tools.say("sbatch", "", "allocation failure: Requested reservation is invalid\n", 1)
    assert "Requested reservation is invalid" in asked.refused("{nodes: 2, reservation: none}")


@pytest.mark.parametrize("tool", ("sinfo", "sbatch"))
def test_no_job_is_refused_because_slurm_does_not_answer(asked: Asked, tool: str) -> None:
    """It is warned of, with what was said, and after seconds."""
    asked.tools.say(tool, "", f"{tool}: Unable to contact slurm controller (connect failure)", 1)
    (told,) = asked.warned()
    assert "Slurm does not say whether it can give that" in told
    assert "Unable to contact slurm controller" in told
    (asked.tools.place / tool).write_text("#!/bin/sh\nexec sleep 600\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handlers.validate.slurm_rules.ANSWER", 0.3)
        assert "no answer in 0.3 s" in asked.warned()[0]


def test_paths_that_other_hosts_do_not_see_are_warned_of(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, where the file names it; and none that lies on a file system of several hosts, nor for this host."""
    told = [one for one in asked.check().warnings if one.code is Code.CONFIG_LOCAL_PATH]
    assert {one.where for one in told} >= {"train_dataset.data_loader.dataset_dir"}
    assert len({(one.line, one.column) for one in told}) == len(told)
    assert "which other hosts do not see" in told[0].message
    monkeypatch.setattr(shared_paths, "network_file_system", lambda _: "nfs4")
    assert [one for one in asked.check().warnings if one.code is Code.CONFIG_LOCAL_PATH] == []
    monkeypatch.undo()
    here = checked(asked.data)
    assert [one for one in here.warnings if one.code is Code.CONFIG_LOCAL_PATH] == []
