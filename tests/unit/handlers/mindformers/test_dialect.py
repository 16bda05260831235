"""What every dialect keeps: handlers.mindformers.dialect.Dialect says it; and its one answer to each question."""

import ast
import inspect
from dataclasses import fields
from itertools import pairwise

import pytest

from handlers.mindformers.dialect import DIALECTS, Dialect, NewFormat, dialect_of
from handlers.mindformers.version import Version

VERSIONS = ("0.6", "0.8", "1.0.2", "1.1", "1.2", "1.3.2", "1.5", "1.6", "1.7", "1.8", "1.9", "2.1")
EVERY_VERSION = [Version(major, minor, patch) for major in range(3) for minor in range(20) for patch in (0, 1, 9)]
ALL_PARTS = ("trainer", "model", "runner_config", "parallel", "parallel_config")
THREE = ("data_parallel", "model_parallel", "pipeline_stage")
FOUR = ("data_parallel", "model_parallel", "context_parallel", "pipeline_stage")
OLD, NEW = "CheckpointMointor", "CheckpointMonitor"
BY_RANK_TABLE, BY_CLUSTER = ("scripts/run_distribute.sh",), ("scripts/msrun_launcher.sh",)
BY_BOTH = (*BY_RANK_TABLE, *BY_CLUSTER)
# A column for each of VERSIONS.
ANSWERS: dict[str, tuple[object, ...]] = {
    "resumes_inside_epoch": (False, False, *[True] * 10),
    "launch_scripts": (*[BY_RANK_TABLE] * 3, *[BY_BOTH] * 4, *[BY_CLUSTER] * 5),
    "output_dir_counts": (False, False, *[True] * 10),
    "resumes_by_name": (False, False, True, False, *[True] * 8),
    "parts": (*[ALL_PARTS] * 6, *[("trainer", "model")] * 6),
    "parallel_mode": (*[None] * 6, *[1] * 6),
    "sink_mode": (*[False] * 6, *[True] * 6),
    "sink_size": (*[None] * 6, *[1] * 6),
    "finetune_needs_weights": (True, True, True, *[False] * 9),
    "factors": (*[THREE] * 4, *[FOUR] * 8),
    "context_needs_flash_attention": (*[False] * 5, *[True] * 7),
    "checkpoint_callback": (*[OLD] * 4, *[NEW] * 8),
    "formats": (*[("ckpt",)] * 6, *[("ckpt", "safetensors")] * 6),
    "removes_redundancy": (*[False] * 6, *[True] * 6),
    "network_has_tag": (*[False] * 6, *[True] * 6),
    "trainable_excludes_network": (*[False] * 6, *[True] * 6),
    "records_health": (*[False] * 7, *[True] * 5),
    "saves_network": (*[True] * 7, *[False] * 5),
    "mcore_saves_safetensors": (*[False] * 7, *[True] * 5),
    "new_format": (*[NewFormat.NONE] * 8, NewFormat.BY_CALLBACK, NewFormat.BY_KEY, *[NewFormat.BY_SECTION] * 2),
    "takes_whole_weights": (False, False, *[True] * 10),
    "loads_safetensors": (*[False] * 6, *[True] * 6),
    "builds_for_any_weights": (True, True, *[False] * 10),
    "builds_with_sink_size_one": (False, False, *[True] * 10),
    "sets_strategy_path": (False, False, *[True] * 10),
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
    "MyDataLoader": 12,
}
GONE_LOADERS: dict[str, int] = {
    # How many of VERSIONS still have it.
    "MultiImgCapDataLoader": 6,
    "SQuADDataLoader": 7,
    "WMT16DataLoader": 7,
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


@pytest.mark.parametrize("name", GONE_LOADERS)
def test_data_loaders_went_with_a_version(name: str) -> None:
    """A newer version does not know an older one's."""
    found = [dialect_of(Version.parse(version)).loader(name) is not None for version in VERSIONS]
    assert found == [True] * GONE_LOADERS[name] + [False] * (len(VERSIONS) - GONE_LOADERS[name])


def test_dialects_are_in_order() -> None:
    """The newest that is not younger counts, so each begins where the one before ends; every version has one."""
    begins = [dialect.since for dialect in DIALECTS]
    assert begins == sorted(set(begins))
    assert dialect_of(Version(0, 0)) is DIALECTS[0]
    assert dialect_of(Version(9999, 9999, 9999)) is DIALECTS[-1]
    for dialect, following in pairwise(DIALECTS):
        assert dialect_of(dialect.since) is dialect
        assert max(tried for tried in EVERY_VERSION if dialect_of(tried) is dialect) < following.since


def test_every_question_says_what_it_asks() -> None:
    """In the docstring below it: whoever adds a dialect answers by that."""
    (table,) = ast.parse(inspect.getsource(Dialect)).body
    assert isinstance(table, ast.ClassDef)
    asked = {
        field.target.id
        for field, said in pairwise(table.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant) and said.value.value
    }
    assert asked == {field.name for field in fields(Dialect)}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_is_called_by_its_versions(dialect: Dialect) -> None:
    """The first it holds for, and how far: users read it in refusals."""
    words = dialect.name.split()
    assert ("older" in words, "newer" in words) == (dialect is DIALECTS[0], dialect is DIALECTS[-1])
    assert all(dialect_of(Version.parse(word)) is dialect for word in words if word[0].isdecimal())
    assert dialect is DIALECTS[0] or Version.parse(words[0]) == dialect.since


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_may_be_left_out_has_a_default(dialect: Dialect) -> None:
    """So that nobody who asks is left without an answer; and an answer is of the kind that its field says."""
    assert (dialect.parallel_mode is None) == ("parallel" in dialect.parts)
    assert "runner_config" in dialect.parts or dialect.sink_size is not None
    assert not dialect.sink_mode or dialect.sink_size is not None
    assert {"data_parallel", "model_parallel", "pipeline_stage"} <= set(dialect.factors)
    assert dialect.checkpoint_callback.isidentifier()
    assert hash(dialect)  # of what can change there is none
