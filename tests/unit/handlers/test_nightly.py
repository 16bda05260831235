"""Promises of handlers.nightly."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ruamel.yaml import YAML

from handlers import nightly
from handlers.errors import BadInputError
from handlers.nightly import Dropped, Recipe, filled_in
from handlers.run_names import run_name, time_of

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


def drop(
    template: Path,
    inbox: Path,
    name: str,
    *,
    scheduled: datetime,
    devices: str | None = None,
    continue_from: str | None = None,
) -> Path:
    """Drop a cycle's run; return its path."""
    recipe = Recipe(name=name, template=template, devices=devices, continue_from=continue_from)
    dropped = nightly.drop(recipe, inbox, scheduled)
    assert isinstance(dropped, Dropped)
    return dropped.path


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
        ("a: 2026-13-45\n", r"template\.yaml: month must be in"),
        ("a: {date}\nb: [1\n", r"template\.yaml:3:1: "),
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


# What is new


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory whose files need not rest, with a MindRecord and its index."""
    monkeypatch.setattr("handlers.inputs.whole.QUIET", 0.0)
    (tmp_path / "data").mkdir()
    for name in ("a.mindrecord", "a.mindrecord.db"):
        (tmp_path / "data" / name).write_bytes(b"records")
    return tmp_path / "data"


def recipe(template: Path, **changed: object) -> Recipe:
    """Return what a cycle's nights are made by."""
    return Recipe(**({"name": "glm", "template": template} | changed))  # type: ignore[arg-type] # keywords of a test


def test_the_day_is_that_of_the_zone(template: Path) -> None:
    """The day as the cycle's clocks show it, the run's name in UTC."""
    template.write_text("a: '{date}'\nb: {night}\n")
    night = filled_in(recipe(template), datetime(2026, 11, 28, 2, tzinfo=ZoneInfo("Asia/Shanghai")))
    assert night.content == b"a: '2026-11-28'\nb: 'glm-20261127T180000Z'\n"
    assert night.run == "glm-20261127T180000Z"


def test_the_newest_is_an_input(template: Path, data: Path) -> None:
    """The path is filled in, and the section names all files that count with it."""
    template.write_text(f"a:\n  dataset_files: {{newest:{data}/*.mindrecord}}\nglmd:\n  priority: 3  # ours\n")
    night = filled_in(recipe(template), NIGHT)
    record = str(data / "a.mindrecord")
    assert YAML(typ="safe").load(night.content) == {
        "a": {"dataset_files": record},
        "glmd": {"priority": 3, "inputs": [record, f"{record}.db"]},
    }
    assert [str(path) for path in night.inputs] == [record, f"{record}.db"]
    assert b"# ours" in night.content


def test_a_cycles_inputs_are_what_it_says(template: Path, data: Path) -> None:
    """Instead of what was filled in, and instead of what the template says."""
    for name in ("more.json", "other.json"):
        (data / name).write_bytes(b"{}")
    template.write_text(f"a: {{newest:{data}/*.mindrecord}}\nglmd: {{inputs: [/data/old.json]}}\n")
    night = filled_in(recipe(template, inputs=(f"{data}/*.json", f"{data}/m*")), NIGHT)
    assert YAML(typ="safe").load(night.content)["glmd"]["inputs"] == [f"{data}/more.json", f"{data}/other.json"]


def test_a_templates_own_inputs_count_beside_the_newest(template: Path, data: Path) -> None:
    """A vocabulary, say, that is no new one every night."""
    template.write_text(f"a: {{newest:{data}/*.mindrecord}}\nglmd: {{inputs: [/data/vocabulary]}}\n")
    night = filled_in(recipe(template), NIGHT)
    record = f"{data}/a.mindrecord"
    assert [str(path) for path in night.inputs] == ["/data/vocabulary", record, f"{record}.db"]


def test_hostile_paths_come_out_as_they_are(template: Path, data: Path) -> None:
    """Whatever YAML has a meaning for."""
    for name in ('it\'s: {a} [b] #c, *d & "e" %!|>@`.json', "- x", "中文 數據"):
        directory = data / f"of {name[:1]}"
        directory.mkdir()
        (directory / name).write_bytes(b"{}")
        template.write_text(f"a: {{newest:{data}/of {name[:1]}/*}}\nb: [x, '{{newest:{data}/of {name[:1]}/*}}']\n")
        found = YAML(typ="safe").load(filled_in(recipe(template, devices="0"), NIGHT).content)
        assert found["a"] == found["b"][1] == str(directory / name)
        assert found["glmd"]["inputs"] == [str(directory / name)]


def test_without_a_file_nothing_is_dropped(template: Path, data: Path, inbox: Path) -> None:
    """The night fails with the pattern; it is no training on nothing."""
    template.write_text(f"a: {{newest:{data}/*.json}}\n")
    for given in (recipe(template), recipe(template.with_name("t.yaml"), inputs=(f"{data}/*.json",))):
        template.with_name("t.yaml").write_text("a: 1\n")
        with pytest.raises(BadInputError, match=r"data/\*\.json: matches no file"):
            nightly.drop(given, inbox, NIGHT)
    assert not list(inbox.iterdir())


def test_skipping_without_inputs_is_noted(template: Path) -> None:
    """The night comes all the same: there is nothing to tell it from the one before."""
    assert "nothing to compare" in filled_in(recipe(template, may_skip=True), NIGHT).notes[0]
    assert filled_in(recipe(template), NIGHT).notes == ()


def test_too_many_inputs_are_told(template: Path, data: Path) -> None:
    """More than the section may name."""
    for number in range(1001):
        (data / f"{number}.json").write_bytes(b"{}")
    with pytest.raises(BadInputError, match="1001 inputs; 1000 are the most"):
        filled_in(recipe(template, inputs=(f"{data}/*.json",)), NIGHT)


@pytest.mark.parametrize("run", ("glm-20261124T013000Z", "a-b-20261124T013000Z"))
def test_the_time_is_in_the_name(run: str) -> None:
    """As it was put there; a name that only looks like a run's has none."""
    assert time_of(run) == NIGHT
    assert time_of(run.replace("1124", "1399")) is None
