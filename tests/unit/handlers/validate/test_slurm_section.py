"""`glmd: slurm:` of a dropped file: whole files, as users drop them."""

from dataclasses import replace
from pathlib import Path

import pytest

from handlers.validate.check import CheckedConfig
from handlers.validate.problem import ConfigError
from handlers.validate.remembered import as_record, from_record, look_again
from tests.unit.handlers.validate.test_check import checked, data, rules

__all__ = ["data"]


def asked(data: Path, slurm: str, *changes: tuple[str, str], each: int | None = 8) -> CheckedConfig:
    """Check a file with that section; `each` is how many devices of a node the settings name."""
    section = ('  devices: "[0,8)"\n', f"  slurm: {slurm}\n")
    return checked(data, section, *changes, held_against=replace(rules(data), slurm=each))


def problems(data: Path, slurm: str, *changes: tuple[str, str], each: int | None = 8) -> str:
    """Return what is wrong with it."""
    with pytest.raises(ConfigError) as refused:
        asked(data, slurm, *changes, each=each)
    return str(refused.value)


SIXTEEN = ("data_parallel: 1", "data_parallel: 2")


def test_there_is_a_rank_for_each_device_of_each_node(data: Path) -> None:
    """And none of this host's devices is asked for, whatever it has."""
    config = asked(data, "{nodes: 2}", SIXTEEN)
    assert (config.nodes, config.devices_per_node, config.ranks, config.devices) == (2, 8, 16, ())
    assert config.place == "2 nodes × 8 devices"
    assert asked(data, "{nodes: 4, devices_per_node: 4}", SIXTEEN).ranks == 16


def test_what_was_found_is_kept(data: Path) -> None:
    """For the steps that follow; this host's devices are no matter to them."""
    config = asked(data, "{nodes: 2, partition: npu, time: 24h}", SIXTEEN)
    record = as_record(config, "digest")
    assert record is not None
    again = from_record(record, config.config)
    assert (again.ranks, again.section.slurm) == (16, config.section.slurm)
    assert record.ranks == 16
    look_again(again, "run.yaml", replace(rules(data, devices=0), slurm=8))


def test_ranks_that_do_not_fit_are_told_by_what_makes_them(data: Path) -> None:
    """Nodes and devices, and the factors of the file."""
    assert "but 3 nodes × 8 devices are 24" in problems(data, "{nodes: 3}", SIXTEEN)


@pytest.mark.parametrize(
    ("slurm", "told"),
    (
        ("{}", "nodes"),
        ("{nodes: 0}", "nodes"),
        ("{nodes: 2, partition: 'a;b'}", "is no name that Slurm has"),
        ("{nodes: 2, time: 5s}", "less than a minute"),
        ("{nodes: 2, options: ['--output=/etc/passwd']}", "--output is not for a dropped file"),
        ("{nodes: 2, options: ['--requeue']}", "--requeue is not for a dropped file"),
        ("{nodes: 2, options: ['--wrap=id']}", "--wrap is not for a dropped file"),
        ("{nodes: 2, options: ['-N9']}", "is no option of sbatch"),
    ),
)
def test_what_cannot_be_asked_for_is_refused(data: Path, slurm: str, told: str) -> None:
    """A file says where and when it runs, and not what runs as glmd's user, nor what Slurm writes."""
    assert told in problems(data, slurm, SIXTEEN)


def test_options_that_say_where_and_when_are_taken(data: Path) -> None:
    """As sbatch has them."""
    wish = asked(data, "{nodes: 2, options: ['--switches=1', '--nice=100']}", SIXTEEN).section.slurm
    assert wish is not None
    assert wish.options == ("--switches=1", "--nice=100")


def test_without_a_slurm_or_beside_devices_it_is_refused(data: Path) -> None:
    """One of the two says where it runs."""
    assert "glmd runs nothing through Slurm here" in problems(data, "{nodes: 2}", SIXTEEN, each=None)
    both = ("  run_mode: finetune", '  run_mode: finetune\n  devices: "[0,8)"')
    assert "is beside `devices`" in problems(data, "{nodes: 2}", SIXTEEN, both)


def test_slurm_is_no_launcher(data: Path) -> None:
    """How ranks meet is another question than where they run."""
    launcher = ("  run_mode: finetune", "  run_mode: finetune\n  launcher: slurm")
    assert "write `slurm: {nodes: 2}` beside it" in problems(data, "{nodes: 2}", SIXTEEN, launcher)
