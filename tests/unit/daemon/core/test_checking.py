"""A job's file is checked once; later what may have changed on this host is looked at again, and nothing else."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core import checking
from daemon.core.checking import checked_again, remember, rules
from daemon.core.names import digest_of
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from handlers.records.job_dir import JobDir
from handlers.validate.check import CheckedConfig, check
from handlers.validate.glmd_section import GlmdSection
from handlers.validate.problem import ConfigError
from tests.acceptance.house import CONFIG

NOW = datetime.now(UTC)
JOB = Job(
    id=1, name="run", state=State.QUEUED, reason="", attempt=1, priority=0, devices=(0, 1), prefix="glm-6b",
    cancel=False, submitted=NOW, changed=NOW,
)  # fmt: skip
SETTINGS = Settings.model_validate({"devices": "[0,8)", "training": {"mindformers": "0.8"}})
OTHERS = Settings.model_validate({"devices": "[0,8)", "training": {"mindformers": "1.3"}})
"""By whose rules the file is refused: a callback has another name there."""


class Place:
    """A job's file with its data, and what its check found."""

    def __init__(self, path: Path) -> None:
        self.root, self.data = Root(path / "root"), path / "data"
        self.directory.path.mkdir(parents=True)
        self.data.mkdir()
        (self.data / "base.ckpt").write_bytes(b"weights")
        (self.data / "train.json").write_text("{}\n")
        self.content = CONFIG.format(data=self.data, devices="[0,2)").encode()
        self.found = check(self.content, "run.yaml", rules(SETTINGS, self.root))
        self.directory.submitted.write_bytes(self.content)
        self.directory.config.write_bytes(self.found.config)
        remember(self.directory, self.found, digest_of(self.content))

    @property
    def directory(self) -> JobDir:
        """The job's."""
        return JOB.directory(self.root.path)

    def again(self, settings: Settings = SETTINGS, *, is_resumed: bool = False) -> CheckedConfig:
        """Ask what a later step asks."""
        return checked_again(JOB, settings, self.root, is_resumed=is_resumed)

    def anew(self, settings: Settings) -> str:
        """Return what a whole check says against the file now."""
        with pytest.raises(ConfigError) as error:
            check(self.content, "run.yaml", rules(settings, self.root))
        return str(error.value)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return one."""
    return Place(tmp_path)


def never(*_: object) -> CheckedConfig:
    """Stand for a check that nobody may do now."""
    raise AssertionError("checked anew")


def test_what_was_found_is_kept_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later step has it without reading the YAML; warnings were told when the file was taken in."""
    monkeypatch.setattr(checking, "check", never)
    assert place.again() == replace(place.found, warnings=())


LATER: dict[str, tuple[Callable[[Place], object], Settings]] = {
    "data": (lambda place: (place.data / "train.json").unlink(), SETTINGS),
    "weights": (lambda place: (place.data / "base.ckpt").write_bytes(b""), SETTINGS),
    "all": (lambda place: shutil.rmtree(place.data), SETTINGS),
    "devices": (lambda _: None, SETTINGS.model_copy(update={"devices": (0, 2, 3)})),
    "allowed": (lambda _: None, SETTINGS.model_copy(update={"allowed_paths": (Path("/nowhere"),)})),
}


@pytest.mark.parametrize("what", LATER)
def test_what_may_have_changed_is_looked_at_again(place: Place, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """It is said in the words of a whole check, each problem at its line and column."""
    change, settings = LATER[what]
    change(place)
    expected = place.anew(settings)
    monkeypatch.setattr(checking, "check", never)
    with pytest.raises(ConfigError) as error:
        place.again(settings)
    assert str(error.value) == expected


def test_a_permission_that_root_has_taken_back_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that waits, or is to be resumed, runs no foreign code that is not allowed any more."""
    place.content += f"trust_remote_code: True\nregister_path: {place.data}\n".encode()
    training = {"mindformers": "0.8", "allow_code": ["trust_remote_code", "register_path"]}
    trusting = Settings.model_validate({"devices": "[0,8)", "training": training})
    place.directory.submitted.write_bytes(place.content)
    assert place.again(trusting).register_path == place.data
    monkeypatch.setattr(checking, "check", never)
    assert place.again(trusting).register_path == place.data
    monkeypatch.undo()
    expected = place.anew(SETTINGS)
    monkeypatch.setattr(checking, "check", never)
    with pytest.raises(ConfigError, match=r"allow_code: \[trust_remote_code\]") as error:
        place.again(is_resumed=True)
    assert str(error.value) == expected


def test_a_job_that_an_older_glmd_took_in_runs_no_foreign_code(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It did not look; a training that is resumed goes on by the rules that it began with, but for this."""
    damage(place.directory.checked, lambda record: (record.pop("code"), record.pop("register_path")))
    monkeypatch.setattr(checking, "check", never)
    assert place.again(OTHERS, is_resumed=True).prefix == "glm-6b"
    place.directory.config.write_bytes(place.found.config + b"trust_remote_code: True\n")
    with pytest.raises(ConfigError, match=r"allow_code: \[trust_remote_code\]"):
        place.again(OTHERS, is_resumed=True)


def test_a_disk_that_has_filled_up_since_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how much is needed, and how much is free."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    expected = place.anew(SETTINGS)
    monkeypatch.setattr(checking, "check", never)
    with pytest.raises(ConfigError) as error:
        place.again()
    assert str(error.value) == expected
    assert "1 bytes free" in expected


def test_another_mindformers_has_other_rules(place: Place) -> None:
    """A job that has not begun is held against those of the checkout that is there now."""
    with pytest.raises(ConfigError, match="CheckpointMonitor"):
        place.again(OTHERS)


def test_a_training_that_is_resumed_goes_on_by_the_rules_it_began_with(place: Place) -> None:
    """Stricter ones, of another checkout or a newer glmd, do not end it; what is not there any more does."""
    assert place.again(OTHERS, is_resumed=True).prefix == "glm-6b"
    (place.data / "base.ckpt").unlink()
    with pytest.raises(ConfigError, match="is not there"):
        place.again(OTHERS, is_resumed=True)


def damage(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change a record."""
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


UNKNOWN: dict[str, Callable[[JobDir], object]] = {
    "taken in by an older glmd": lambda job: job.checked.unlink(),
    "damaged": lambda job: job.checked.write_bytes(b"\0{"),
    "of another file": lambda job: damage(job.checked, lambda record: record.update(digest="0")),
    "of another format": lambda job: damage(job.checked, lambda record: record.update(format=2)),
    "with code of a newer glmd": lambda job: damage(
        job.checked,
        lambda record: record.update(code=[{"way": "x", "at": {"line": 1, "column": 1, "where": "", "excerpt": ""}}]),
    ),
    "of a newer glmd": lambda job: damage(job.checked, lambda record: record.update(dialect="9.0")),
    "with a section that says nothing": lambda job: damage(job.checked, lambda record: record.update(section={"x": 1})),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_says_nothing_is_found_anew(place: Place, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Once; the next step has it."""
    UNKNOWN[what](place.directory)
    assert place.again() == place.found
    monkeypatch.setattr(checking, "check", never)
    assert place.again() == replace(place.found, warnings=())


def test_a_file_that_names_very_many_paths_is_checked_whole_each_time(place: Place) -> None:
    """Its record would be far larger than itself."""
    many = "".join(f"more{number}: /data/{number}\n" for number in range(1100))
    content = place.content + many.encode()
    place.directory.submitted.write_bytes(content)
    assert place.again().looks
    assert json.loads(place.directory.checked.read_text())["digest"] == digest_of(place.content)


@pytest.mark.parametrize(
    "section",
    (
        {},
        {"devices": "[0,2)", "priority": 3, "run_mode": "finetune"},
        {"timeout": {"silence": "90s", "first_step": "none"}, "resume": {"attempts": 0}},
        {"merge": {"format": "safetensors", "max_shard_size": "5GB", "keep": ["weights", "ema."], "tag": "31_4"}},
        {"continue_from": "latest", "merge": {"lora": "merge", "layout_from": "/strategy", "transformed": True}},
    ),
)
def test_a_section_is_kept_with_what_it_leaves_to_the_defaults(section: dict[str, object]) -> None:
    """What the user chose himself is not learned."""
    read = GlmdSection.model_validate(section)
    kept = GlmdSection.model_validate(json.loads(json.dumps(read.model_dump(mode="json", exclude_unset=True))))
    assert kept == read
    assert kept.timeout.model_fields_set == read.timeout.model_fields_set
