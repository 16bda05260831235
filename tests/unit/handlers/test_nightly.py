"""Promises of handlers.nightly."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ruamel.yaml import YAML

from handlers.errors import BadInputError
from handlers.nightly import drop, run_name

NIGHT = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)

TEMPLATE = """\
# GLM-6B, every night
seed: 0
run_mode: 'finetune'
use_parallel: True
lr: 5.e-5
eps: 1.e-8
train_dataset: &train_dataset
  data_loader:
    type: ADGenDataLoader   # the seed's
    dataset_dir: "/data/a very long path that would be folded by a dumper with lines of eighty characters/train.json"
  input_columns: ["input_ids", "label"]
train_dataset_task:
  dataset_config: *train_dataset
callbacks:
  - type: MFLossMonitor
  - type: CheckpointMointor
    prefix: "glm-6b"
"""


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Return an empty inbox."""
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a template without a glmd section."""
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def test_a_section_is_made(template: Path, inbox: Path) -> None:
    """A plain template gets its glmd section; everything before it stays, line by line."""
    path = drop(template, inbox, "nightly", scheduled=NIGHT, devices="[0,8)", continue_from="latest")
    assert path == inbox / "nightly-20261124T013000Z.yaml"
    kept, section = path.read_text().split("glmd:\n")
    assert YAML(typ="safe").load(section) == {"devices": "[0,8)", "continue_from": "latest"}
    assert [line.strip() for line in kept.splitlines()] == [
        line.strip().replace("use_parallel: True", "use_parallel: true") for line in TEMPLATE.splitlines()
    ]


def test_meaning_survives(template: Path, inbox: Path) -> None:
    """Read as YAML, the drop is the template with the two values set: anchors, floats and strings as they were."""
    path = drop(template, inbox, "nightly", scheduled=NIGHT, devices="0-3", continue_from="none")
    expected = {**YAML(typ="safe").load(TEMPLATE), "glmd": {"devices": "0-3", "continue_from": "none"}}
    assert YAML(typ="safe").load(path.read_text()) == expected
    assert "*train_dataset" in path.read_text()


def test_a_section_is_completed(template: Path, inbox: Path) -> None:
    """What the template's own section says beside stays; the cycle's settings win."""
    template.write_text(TEMPLATE + "glmd:  # ours\n  priority: 3\n  devices: '0'\n")
    path = drop(template, inbox, "nightly", scheduled=NIGHT, devices="[4,8)")
    assert YAML(typ="safe").load(path.read_text())["glmd"] == {"priority": 3, "devices": "[4,8)"}


def test_an_empty_section_is_filled(template: Path, inbox: Path) -> None:
    """`glmd:` without anything is a section too."""
    template.write_text("glmd:\nseed: 0\n")
    path = drop(template, inbox, "nightly", scheduled=NIGHT, devices="0")
    assert YAML(typ="safe").load(path.read_text()) == {"glmd": {"devices": "0"}, "seed": 0}


def test_nothing_to_set(template: Path, inbox: Path) -> None:
    """A cycle that sets nothing drops the template byte for byte."""
    path = drop(template, inbox, "nightly", scheduled=NIGHT)
    assert path.read_bytes() == template.read_bytes()


def test_one_name_a_run(template: Path, inbox: Path) -> None:
    """The same scheduled time is the same file however often it is dropped, in whatever zone it is told."""
    first = drop(template, inbox, "nightly", scheduled=NIGHT, devices="0")
    again = drop(template, inbox, "nightly", scheduled=NIGHT.astimezone(ZoneInfo("Asia/Shanghai")), devices="0")
    assert first == again == inbox / f"{run_name('nightly', NIGHT)}.yaml"
    assert [entry.name for entry in inbox.iterdir()] == [first.name]


def test_the_repeated_hour(template: Path, inbox: Path) -> None:
    """When summer time ends, 02:30 comes twice: two runs, two names."""
    berlin = ZoneInfo("Europe/Berlin")
    for fold in (0, 1):
        drop(template, inbox, "nightly", scheduled=datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold))
    assert sorted(p.name for p in inbox.iterdir()) == [
        "nightly-20261025T003000Z.yaml",
        "nightly-20261025T013000Z.yaml",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    (
        ("a: [1\n", r"template\.yaml:2:1: "),
        ("a: 1\na: 2\n", r"template\.yaml:2:1: found duplicate key"),
        ("- a\n", "is a mapping of names to values"),
        ("", "is a mapping of names to values"),
        ("glmd: yes please\n", "glmd must be a mapping"),
        ("a: \x00\n", r"template\.yaml: "),
    ),
)
def test_bad_templates(template: Path, inbox: Path, text: str, why: str) -> None:
    """A template that cannot be used is told with its place, and nothing is dropped."""
    template.write_text(text)
    with pytest.raises(BadInputError, match=why):
        drop(template, inbox, "nightly", scheduled=NIGHT, devices="0")
    assert not list(inbox.iterdir())


def test_unreadable_templates(template: Path, inbox: Path) -> None:
    """A missing template and one that is no text are told with the cycle's name."""
    template.write_bytes(b"\xff\xfe")
    for path in (template, template.with_name("absent.yaml")):
        with pytest.raises(BadInputError, match=r"nightly cycle weekly: template .* cannot be read"):
            drop(path, inbox, "weekly", scheduled=NIGHT)


def test_names_that_are_no_file_names(template: Path, inbox: Path) -> None:
    """A name never leaves the inbox, and a time without a zone names no run."""
    for name, time in (("../x", NIGHT), ("", NIGHT), ("nightly", NIGHT.replace(tzinfo=None))):
        with pytest.raises(ValueError, match="gives no name"):
            drop(template, inbox, name, scheduled=time)
