"""Promises of validate.hugging_face_rules: what the merge would refuse after the training is refused before it."""

import json
from pathlib import Path

import pytest

from handlers.ckpt.planning.network import KeyStyle, Network
from handlers.codes import Code
from handlers.validate.document import parse
from handlers.validate.glmd_section import read_section
from handlers.validate.hugging_face_rules import check_hugging_face
from handlers.validate.network_config import read_network_config
from handlers.validate.problem import ConfigError, Findings, Problem
from tests.unit.handlers.ckpt.glm2 import Glm

MODEL = "type: ChatGLM2Config, num_layers: 2, hidden_size: 6, multi_query_group_num: 1, use_rearrange_rope: True"


def problems(wish: str, model: str = MODEL) -> list[Problem]:
    """Check a file with this `merge` wish and this model."""
    text = f"model:\n  model_config: {{{model}}}\nglmd:\n  merge: {{format: huggingface, {wish}}}\n"
    root = parse(text.encode(), "a.yaml").root
    section, wrong, _ = read_section(root)
    assert not wrong
    findings = Findings()
    check_hugging_face(root, section, findings)
    return findings.problems


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return the directory of a base model."""
    (tmp_path / "config.json").write_text(json.dumps(Glm().config))
    return tmp_path


def test_a_base_of_the_same_model_is_all_right(base: Path) -> None:
    """And so is none."""
    assert problems(f"hf_base: {base}, hf_names: glm") == []
    assert problems("tag: last") == []


def test_a_base_of_another_model_is_refused(base: Path) -> None:
    """By key and value, where the file names it."""
    (problem,) = problems(f"hf_base: {base}", MODEL.replace("hidden_size: 6", "hidden_size: 8"))
    assert (problem.code, problem.where) == (Code.MERGE_BASE_UNFIT, "glmd.merge.hf_base")
    assert f"{base / 'config.json'}: hidden_size is 6, but a.yaml: hidden_size is 8" in str(problem)


def test_a_base_that_is_none_is_refused(tmp_path: Path) -> None:
    """It may be absent, a file, or without a configuration."""
    (absent,) = problems(f"hf_base: {tmp_path / 'none'}")
    assert (absent.code, absent.where) == (Code.CONFIG_PATH_UNREADABLE, "glmd.merge.hf_base")
    (empty,) = problems(f"hf_base: {tmp_path}")
    assert "config.json is not there" in str(empty)


def test_names_of_another_kind_are_refused(base: Path) -> None:
    """The code beside the weights would not find them."""
    (problem,) = problems(f"hf_base: {base}, hf_names: chatglm")
    assert problem.where == "glmd.merge.hf_names"


def test_another_model_is_refused() -> None:
    """GLM-6B comes later."""
    (problem,) = problems("tag: last", "type: GLMConfig")
    assert (problem.code, problem.where) == (Code.MERGE_NO_COUNTERPART, "model.model_config.type")


def test_adapters_that_stay_are_refused() -> None:
    """They have no names there."""
    model = f"{MODEL}, pet_config: {{pet_type: lora, lora_rank: 8, lora_alpha: 16}}"
    (problem,) = problems("tag: last", model)
    assert problem.code == Code.CONFIG_LORA
    assert problems("lora: merge", model) == []


@pytest.mark.parametrize(
    ("wish", "what"),
    (
        ("format: huggingface, keep: [weights, scalars]", "has weights only"),
        ("format: huggingface, lora: only", "has no names for adapters alone"),
        ("hf_base: /base", "is for Hugging Face's libraries"),
        ("format: safetensors, hf_names: glm", "is for Hugging Face's libraries"),
        ("format: huggingface, hf_base: base", "is no absolute path"),
    ),
)
def test_wishes_that_contradict_each_other_are_refused(wish: str, what: str) -> None:
    """Where they stand."""
    _, wrong, found = read_section(parse(f"glmd:\n  merge: {{{wish}}}\n".encode(), "a.yaml").root)
    assert (wrong, [what in str(problem) for problem in found]) == ({"merge"}, [True])


def test_weights_alone_are_kept() -> None:
    """Scalars, which are kept otherwise, are no weights of the model."""
    section, _, _ = read_section(parse(b"glmd:\n  merge: {format: huggingface}\n", "a.yaml").root)
    assert section.merge.kept == ("weights",)


def test_what_a_yaml_says_of_the_network(tmp_path: Path) -> None:
    """Defaults are not taken for said, and wrong values are problems with their place."""
    path = tmp_path / "a.yaml"
    path.write_text(f"model:\n  model_config: {{{MODEL}, rope_ratio: 500}}\n")
    assert read_network_config(path) == Network(
        where=str(path), said=KeyStyle.MINDFORMERS, layers=2, hidden=6, groups=1, rearranged=True, rope_ratio=500.0
    )
    path.write_text("model:\n  model_config: {num_layers: two, use_rearrange_rope: 1}\n")
    with pytest.raises(ConfigError, match=r"a.yaml:2:30: model.model_config.num_layers: 'two' is not a whole number"):
        read_network_config(path)


def test_without_groups_every_head_has_its_own_keys(tmp_path: Path) -> None:
    """As GLM-2's configuration has it without multi_query_attention."""
    path = tmp_path / "a.yaml"
    path.write_text("model:\n  model_config: {num_attention_heads: 4, multi_query_attention: False}\n")
    assert read_network_config(path).groups == 4
