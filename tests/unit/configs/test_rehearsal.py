"""Promises of the rehearsal and of the sample YAMLs that need no MindSpore to be kept."""

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.rehearsal.cpu_config import fit_to_cpu
from configs.rehearsal.model_parallel import layout, operators, own_slice
from configs.rehearsal.run_mindformer import command_line
from configs.rehearsal_today.run_mindformer import command_line as command_line_of_today
from handlers.mindformers.version import Version
from handlers.validate.check import Rules, check
from handlers.validate.problem import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"
REHEARSAL = CONFIGS / "rehearsal"
TODAY = CONFIGS / "rehearsal_today"
RULES = Rules(devices=tuple(range(8)))


def config(**changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what fit_to_cpu reads of the rehearsal's YAML, with sections updated."""
    content = {
        "parallel_config": {"data_parallel": 1, "model_parallel": 2, "pipeline_stage": 1},
        "parallel": {"parallel_mode": 1, "full_batch": True, "gradients_mean": False},
        "runner_config": {"batch_size": 2, "sink_mode": True, "sink_size": 4},
    }
    for section, change in changes.items():
        content[section].update(change)
    return content


@pytest.mark.parametrize(
    ("name", "tensor_map"),
    (
        ("transformer.word_embeddings.embedding_table", (0, -1)),
        ("lm_head.weight", (0, -1)),
        ("transformer.layers.0.attention.query_key_value.weight", (0, -1)),
        ("transformer.layers.0.attention.query_key_value.bias", (0,)),
        ("transformer.layers.0.attention.dense.weight", (0, -1)),
        ("transformer.layers.0.attention.dense.bias", (-1,)),
        ("transformer.layers.1.mlp.dense_h_to_4h.weight", (0, -1)),
        ("transformer.layers.1.mlp.dense_h_to_4h.bias", (0,)),
        ("transformer.layers.1.mlp.dense_4h_to_h.weight", (-1, 0)),
        ("transformer.layers.1.mlp.dense_4h_to_h.bias", (-1,)),
        ("transformer.layers.1.input_layernorm.gamma", (-1,)),
        ("transformer.layers.1.post_attention_layernorm.beta", (-1,)),
        ("transformer.final_layernorm.beta", (-1,)),
        ("adam_v.transformer.layers.1.mlp.dense_4h_to_h.weight", (-1, 0)),
        ("scale_sense", None),
        ("global_step", None),
        ("last_overflow_iterator_step", None),
    ),
)
def test_parameters_lie_as_mindspore_lays_them(name: str, tensor_map: tuple[int, ...] | None) -> None:
    """The table is that of the strategy files which MindSpore itself wrote for GLM."""
    assert layout(name) == tensor_map


@pytest.mark.parametrize(
    ("name", "axis"), (("lm_head.weight", 0), ("dense_4h_to_h.weight", 1), ("query_key_value.bias", 0))
)
def test_slices_put_together_are_the_whole(name: str, axis: int) -> None:
    """No element is lost or held twice."""
    whole = np.arange(48).reshape((48,) if name.endswith("bias") else (12, 4))
    slices = [own_slice(name, whole, rank, 4) for rank in range(4)]
    np.testing.assert_array_equal(np.concatenate(slices, axis), whole)
    assert {part.size for part in slices} == {12}


@pytest.mark.parametrize(
    ("name", "shape"), (("final_layernorm.gamma", (8,)), ("scale_sense", ()), ("global_step", (1,)))
)
def test_what_is_not_split_is_in_every_slice(name: str, shape: tuple[int, ...]) -> None:
    """Norms and scalars are held whole by each rank."""
    whole = np.ones(shape)
    for rank in (0, 1):
        assert own_slice(name, whole, rank, 2) is whole


def test_data_parallel_ranks_hold_whatever_there_is() -> None:
    """Adapters too, of which the table knows nothing."""
    whole = np.ones((4, 8))
    assert own_slice("query_key_value.mindpet_delta_lora_a", whole, 1, 1) is whole


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    (
        ("lm_head.weight", (7, 2), "cannot be split over 2 ranks"),
        ("lm_head.weight", (8,), "does not fit the layout"),
        ("transformer.rotary.table", (8, 2), "without a layout"),
    ),
)
def test_a_split_that_would_be_wrong_is_refused(name: str, shape: tuple[int, ...], reason: str) -> None:
    """Better no checkpoint than one whose slices are not what the strategy file says."""
    with pytest.raises(ValueError, match=re.escape(name) + ".*" + reason):
        own_slice(name, np.zeros(shape), 0, 2)


def test_operators_are_split_as_their_parameters() -> None:
    """The operators in a strategy file bear the names and splits that MindSpore gives them."""
    names = ("transformer.word_embeddings.embedding_table", "a.dense_4h_to_h.weight", "a.dense_4h_to_h.bias")
    assert operators((*names, "adam_m.lm_head.weight", "a.input_layernorm.beta", "scale_sense"), 8) == {
        "Gather_transformer.word_embeddings.embedding_table": [[8, 1], [1, 1]],
        "MatMul_a.dense_4h_to_h.weight": [[1, 8], [1, 8]],
        "Add_a.dense_4h_to_h.bias": [[1, 1], [1]],
    }


def test_the_command_line_is_that_of_run_mindformer() -> None:
    """The options glmd gives, and those that users give, land where MindFormers puts them."""
    path, settings = command_line(
        [
            "--config=/jobs/1/config.yaml", "--use_parallel=True", "--run_mode=finetune", "--output_dir=/jobs/1/output",
            "--load_checkpoint", "/latest/glm-6b/filtered_transformed.ckpt", "--epochs=3",
            "--lr_schedule.learning_rate=0.5", "--options", "optimizer.eps=1e-8", "metric.type=ADGENMetric",
        ]
    )  # fmt: skip
    assert path == Path("/jobs/1/config.yaml")
    assert settings == {
        "use_parallel": True,
        "run_mode": "finetune",
        "output_dir": "/jobs/1/output",
        "load_checkpoint": "/latest/glm-6b/filtered_transformed.ckpt",
        "runner_config.epochs": 3,
        "lr_schedule.learning_rate": 0.5,
        "optimizer.eps": 1e-8,
        "metric.type": "ADGENMetric",
    }


def test_words_that_are_no_settings_are_passed_over() -> None:
    """A launcher that gives more than this entry point knows does not stop it."""
    assert command_line(["--config=c.yaml", "--verbose", "word"]) == (Path("c.yaml"), {})


def test_a_model_parallel_run_becomes_data_parallel_with_the_same_global_batch() -> None:
    """Two ranks with a row each see the batch of two that one model over two cards sees."""
    content = config()
    assert fit_to_cpu(content, 2) == 2
    assert content["runner_config"] == {"batch_size": 1, "sink_mode": False, "sink_size": 4}
    assert content["parallel"] == {"parallel_mode": 0, "full_batch": False, "gradients_mean": True}
    assert content["parallel_config"] == {"data_parallel": 1, "model_parallel": 1, "pipeline_stage": 1}


def test_a_data_parallel_run_stays_one() -> None:
    """Its checkpoints are whole, and each rank keeps its own batch."""
    content = config(parallel={"parallel_mode": 0}, parallel_config={"model_parallel": 1})
    assert fit_to_cpu(content, 2) == 1
    assert content["runner_config"]["batch_size"] == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    (
        ({"parallel_config": {"model_parallel": 4}}, "model_parallel 4"),
        ({"parallel_config": {"data_parallel": 2}}, "data_parallel 2"),
        ({"runner_config": {"batch_size": 3}}, "batch_size 3"),
    ),
)
def test_what_cannot_be_acted_out_is_refused(changes: Mapping[str, Mapping[str, Any]], reason: str) -> None:
    """Files that look right but are not are worse than none."""
    with pytest.raises(ValueError, match=reason):
        fit_to_cpu(config(**copy.deepcopy(changes)), 2)


def test_the_rehearsal_yaml_passes_glmds_own_checks(tmp_path: Path) -> None:
    """What the demo drops is a YAML like any other: nothing is waived for it."""
    (tmp_path / "train.json").write_text('{"content": "a", "summary": "b"}\n')
    for name in ("ice_text.model", "initial.ckpt"):
        (tmp_path / name).write_bytes(b"\x01")
    content = (REHEARSAL / "rehearsal.yaml").read_text(encoding="utf-8").replace("{data}", str(tmp_path))
    checked = check(content.encode(), "rehearsal.yaml", RULES)
    assert (checked.devices, checked.run_mode, checked.prefix, checked.needs_strategy) == (
        (0, 1), "finetune", "glm-6b", True,
    )  # fmt: skip


def test_todays_yaml_passes_glmds_own_checks(tmp_path: Path) -> None:
    """Without a warning: what its ranks share out is united before it resumes."""
    (tmp_path / "train.mindrecord").write_bytes(b"\x01")
    for rank in (0, 1):
        (tmp_path / "initial" / f"rank_{rank}").mkdir(parents=True)
        (tmp_path / "initial" / f"rank_{rank}" / "model.safetensors").write_bytes(b"\x01")
    content = (TODAY / "rehearsal.yaml").read_text(encoding="utf-8").replace("{data}", str(tmp_path))
    checked = check(content.encode(), "rehearsal.yaml", replace(RULES, version=Version(1, 9)))
    assert (checked.devices, checked.run_mode, checked.prefix, checked.needs_strategy) == (
        (0, 1), "finetune", "glm4", False,
    )  # fmt: skip
    assert not checked.warnings


def test_todays_command_line_sets_keys_of_the_yaml() -> None:
    """What glmd gives is a checkout's options, all of which bear the name of a key; values are read by MindFormers."""
    words = ["--config=/jobs/1/config.yaml", "--run_mode=finetune", "--output_dir", "/jobs/1/output", "--a.b=2", "word"]
    settings = {"run_mode": "finetune", "a.b": "2", "output_dir": "/jobs/1/output"}
    assert command_line_of_today(words) == (Path("/jobs/1/config.yaml"), settings)


@pytest.mark.parametrize(
    ("name", "version"),
    (
        ("run_glm_6b_finetune.yaml", "0.8"),
        ("run_glm_6b_lora.yaml", "0.8"),
        ("nightly/glm_6b_nightly.yaml", "0.8"),
        ("run_glm4_9b_finetune.yaml", "1.6"),
        ("run_glm4_9b_finetune.yaml", "1.9.0"),
        ("run_glm4_9b_lora.yaml", "1.6"),
        ("run_glm4_9b_lora.yaml", "1.9.0"),
    ),
)
def test_the_samples_lack_nothing_but_the_users_paths(name: str, version: str) -> None:
    """Every complaint about a sample points at a line that says EDIT."""
    content = (CONFIGS / name).read_bytes()
    lines = content.decode().splitlines()
    with pytest.raises(ConfigError) as caught:
        check(content, name, replace(RULES, version=Version.parse(version)))
    complaints = {lines[problem.line - 1] for problem in caught.value.problems}
    assert complaints
    assert all("# EDIT" in line for line in complaints), caught.value


def test_the_training_environment_is_pinned_with_hashes_and_names_no_host() -> None:
    """Each requirement is one version with its hashes, from whatever registry the machine is set up for."""
    text = (REHEARSAL / "requirements.txt").read_text()
    requirements = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]
    assert len(requirements) > 50
    for entry in requirements:
        assert re.match(r"[A-Za-z0-9_.-]+==\S+ \\\n", entry), entry
        assert "--hash=sha256:" in entry
    assert "://" not in text
    wanted = re.findall(r"^([a-z]+)[=<>]", (REHEARSAL / "requirements.in").read_text(), re.MULTILINE)
    assert set(wanted) <= {entry.partition("==")[0] for entry in requirements}
