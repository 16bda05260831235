"""Configurations in the shape of MindFormers' own, written for these tests: a base, and changes to it by dotted key."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, Union

from ruamel.yaml import YAML

from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.validate.check import CheckedConfig, Rules, check
from handlers.validate.problem import ConfigError

Value: TypeAlias = Union[str, int, float, bool, list["Value"], dict[str, "Value"], None]  # noqa: UP007 (names itself)

GONE = object()
"""What takes a key out."""


@dataclass(frozen=True)
class Verdict:
    """What the check is to say: nothing, a warning, or a problem, with this in its text."""

    warning: str = ""
    problem: str = ""


GOOD = Verdict()


def make_data(path: Path) -> Path:
    """Make the files that the configurations name, and return their directory; doing it again is harmless."""
    for name in (
        "glm.ckpt",
        "train.json",
        "vocab.model",
        "train.mindrecord",
        "corpus_text_document.bin",
        "corpus_text_document.idx",
        "whole/part_0.ckpt",
        "whole/part_1.ckpt",
        "slices/rank_0/a.ckpt",
        "slices/rank_1/a.ckpt",
        "first/rank_0/a.ckpt",
        "second/rank_1/a.ckpt",
        "hf/model-00001-of-00002.safetensors",
        "hf/model-00002-of-00002.safetensors",
        "sf_slices/rank_0/a.safetensors",
        "sf_slices/rank_1/a.safetensors",
    ):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"content")
    (path / "hf" / "config.json").write_text("{}")
    (path / "empty").mkdir(exist_ok=True)
    return path


def base(version: str | None) -> dict[str, Value]:
    """Return a finetune on two devices by data parallelism, with all that has to be said in any version."""
    dialect = dialect_of(Version.parse(version) if version else OF_GLM_6B)
    data_set: Value = {"data_loader": {"type": "ADGenDataLoader", "dataset_dir": "DATA/train.json"}, "batch_size": 1}
    return {
        "seed": 0,
        "run_mode": "finetune",
        "load_checkpoint": "DATA/glm.ckpt",
        "auto_trans_ckpt": False,
        "context": {"mode": 0, "device_target": "Ascend"},
        "trainer": {"type": "CausalLanguageModelingTrainer", "model_name": "glm"},
        "model": {"model_config": {"type": "LlamaConfig", "num_layers": 4}, "arch": {"type": "Llama"}},
        "train_dataset": data_set,
        "train_dataset_task": {"type": "KeyWordGenDataset", "dataset_config": data_set},
        "runner_config": {"epochs": 2, "batch_size": 1, "sink_mode": True, "sink_size": 4},
        "parallel": {"parallel_mode": 0, "full_batch": False},
        "parallel_config": {"data_parallel": 2, "model_parallel": 1, "pipeline_stage": 1},
        "callbacks": [
            {"type": "MFLossMonitor"},
            {"type": dialect.checkpoint_callback, "prefix": "glm", "save_checkpoint_steps": 8},
        ],
    }


def cut(data: int = 1, model: int = 2, stages: int = 1, **more: Value) -> dict[str, Value]:
    """Return the changes that cut the network."""
    parallel: dict[str, Value] = {"data_parallel": data, "model_parallel": model, "pipeline_stage": stages}
    return {"parallel.parallel_mode": 1, "parallel_config": parallel | {"micro_batch_num": stages} | more}


def yaml_of(version: str | None, changes: Mapping[str, object], data: Path) -> bytes:
    """Return the base for `version` with `changes`; DATA in it stands for the directory with the files."""
    tree: dict[str, object] = {**base(version)}
    for key, value in changes.items():
        *path, last = key.split(".")
        place: object = tree
        for step in path:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})  # type: ignore[attr-defined]
        if value is GONE:
            place.pop(last)  # type: ignore[attr-defined]
        else:
            place[last] = value  # type: ignore[index]
    writer = YAML(typ="safe")
    writer.default_flow_style = False
    writer.width = 4096
    stream = io.StringIO()
    writer.dump(tree, stream)
    return stream.getvalue().replace("DATA", str(data)).encode()


def verdict_of(
    version: str | None, changes: Mapping[str, object], data: Path, rules: Rules | None = None
) -> CheckedConfig | ConfigError:
    """Return what the check makes of a configuration; `version` None stands for one that is not known."""
    held_against = rules or Rules(devices=(0, 1), version=Version.parse(version) if version else None)
    try:
        return check(yaml_of(version, changes, data), "stock.yaml", held_against)
    except ConfigError as error:
        return error


def assert_verdict(found: CheckedConfig | ConfigError, expected: Verdict) -> None:
    """Fail unless the check said what it was to say, and no more."""
    problems = [str(problem) for problem in found.problems] if isinstance(found, ConfigError) else []
    warnings = [str(warning) for warning in found.warnings] if isinstance(found, CheckedConfig) else []
    if expected.problem:
        assert any(expected.problem in problem for problem in problems), (problems, warnings)
        return
    assert problems == []
    if expected.warning:
        assert any(expected.warning in warning for warning in warnings), warnings
    else:
        assert warnings == []
