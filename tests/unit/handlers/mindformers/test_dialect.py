"""Promises of handlers.mindformers.dialect: one answer for each version and question."""

from dataclasses import fields

import pytest

from handlers.mindformers.dialect import DIALECTS, Dialect, dialect_of
from handlers.mindformers.version import Version

VERSIONS = ("0.6", "0.8", "1.0.2", "1.1", "1.2", "1.3.2", "1.5", "1.6", "1.7", "1.9")
ALL_PARTS = ("trainer", "model", "runner_config", "parallel", "parallel_config")
THREE = ("data_parallel", "model_parallel", "pipeline_stage")
FOUR = ("data_parallel", "model_parallel", "context_parallel", "pipeline_stage")
OLD, NEW = "CheckpointMointor", "CheckpointMonitor"
# A column for each of VERSIONS.
ANSWERS: dict[str, tuple[object, ...]] = {
    "resumes_inside_epoch": (False, False, *[True] * 8),
    "parts": (*[ALL_PARTS] * 6, *[("trainer", "model")] * 4),
    "parallel_mode": (*[None] * 6, *[1] * 4),
    "sink_mode": (*[False] * 6, *[True] * 4),
    "sink_size": (*[None] * 6, *[1] * 4),
    "finetune_needs_weights": (True, True, True, *[False] * 7),
    "factors": (*[THREE] * 4, *[FOUR] * 6),
    "checkpoint_callback": (*[OLD] * 4, *[NEW] * 6),
    "saves_network": (*[True] * 7, *[False] * 3),
    "mcore_saves_safetensors": (*[False] * 7, *[True] * 3),
    "has_new_checkpoints": (*[False] * 8, *[True] * 2),
    "takes_whole_weights": (False, False, *[True] * 8),
    "loads_safetensors": (*[False] * 6, *[True] * 4),
    "builds_for_any_weights": (True, True, *[False] * 8),
    "builds_with_sink_size_one": (False, False, *[True] * 8),
    "sets_strategy_path": (False, False, *[True] * 8),
}
LOADERS: dict[str, int] = {
    # How many of VERSIONS do not have it yet.
    "ADGenDataLoader": 0,
    "MindDataset": 0,
    "MultiSourceDataLoader": 2,
    "SFTDataLoader": 2,
    "TrainingDataLoader": 2,
    "ToolAlpacaDataLoader": 3,
    "CommonDataLoader": 5,
    "BlendedMegatronDatasetDataLoader": 6,
    "HFDataLoader": 8,
    "MyDataLoader": 10,
}


@pytest.mark.parametrize("question", ANSWERS)
def test_the_answer_of_each_version(question: str) -> None:
    """What MindFormers' branches say, as read in their sources."""
    found = [getattr(dialect_of(Version.parse(version)), question) for version in VERSIONS]
    assert found == list(ANSWERS[question])


def test_every_question_has_its_row() -> None:
    """A fact without a row above is one that nobody looked up for the other versions."""
    assert set(ANSWERS) == {field.name for field in fields(Dialect)} - {"name", "since"}


@pytest.mark.parametrize("name", LOADERS)
def test_data_loaders_came_with_a_version(name: str) -> None:
    """An older version does not know a newer one's, and nobody knows a checkout's own."""
    found = [dialect_of(Version.parse(version)).loader(name) is not None for version in VERSIONS]
    assert found == [False] * LOADERS[name] + [True] * (len(VERSIONS) - LOADERS[name])


def test_dialects_are_in_order() -> None:
    """The newest that is not younger counts, so each begins where the one before ends; every version has one."""
    begins = [dialect.since for dialect in DIALECTS]
    assert begins == sorted(set(begins))
    assert dialect_of(Version(0, 0)) is DIALECTS[0]
    assert dialect_of(Version(9999, 0)) is DIALECTS[-1]
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)
