"""Promises of validate.lora_config: alpha and rank are the training's, or a problem with its line and column."""

from pathlib import Path

import pytest

from handlers.ckpt.planning.lora import LoraScale
from handlers.validate.lora_config import read_lora_config
from handlers.validate.problem import ConfigError

STOCK = Path(__file__).parents[4] / "configs" / "run_glm_6b_lora.yaml"


def write(path: Path, pet: str) -> Path:
    """Write a configuration with this pet_config; empty for none."""
    text = f"model:\n  model_config:\n    type: GLMConfig\n{f'    pet_config: {pet}' if pet else ''}\n"
    path.write_text(text)
    return path


def test_the_stock_file() -> None:
    """GLM-6B's own LoRA run scales its adapters by 4."""
    assert read_lora_config(STOCK) == LoraScale(alpha=32, rank=8)
    assert read_lora_config(STOCK).scaling == 4


def test_alpha_may_be_a_fraction(tmp_path: Path) -> None:
    """MindPet takes any number."""
    path = write(tmp_path / "a.yaml", "{pet_type: lora, lora_rank: 64, lora_alpha: 1.6e+1}")
    assert read_lora_config(path) == LoraScale(alpha=16.0, rank=64)


@pytest.mark.parametrize(
    ("pet", "what"),
    (
        ("", "a.yaml:2:3: model.model_config.pet_config: is missing"),
        ("{}", "a.yaml:4:5: model.model_config.pet_config.pet_type: is missing"),
        ("{pet_type: prefixtuning}", "a.yaml:4:28: model.model_config.pet_config.pet_type: 'prefixtuning' is not lora"),
        ("{pet_type: lora, lora_rank: 8}", "a.yaml:4:5: model.model_config.pet_config.lora_alpha: is missing"),
        ("{pet_type: lora, lora_alpha: 8}", "a.yaml:4:5: model.model_config.pet_config.lora_rank: is missing"),
        (
            "{pet_type: lora, lora_rank: 8, lora_alpha: 0}",
            "a.yaml:4:60: model.model_config.pet_config.lora_alpha: 0 is",
        ),
        ("{pet_type: lora, lora_rank: 8, lora_alpha: x}", "lora_alpha: 'x' is not a number above 0"),
        ("{pet_type: lora, lora_rank: 8, lora_alpha: yes}", "lora_alpha: True is not a number above 0"),
        ("{pet_type: lora, lora_rank: 8, lora_alpha: .inf}", "lora_alpha: inf is not a number above 0"),
        ("{pet_type: lora, lora_rank: 0, lora_alpha: 8}", "lora_rank: 0 is not a whole number from 1 on"),
        ("{pet_type: lora, lora_rank: 8, lora_rank: 9, lora_alpha: 8}", "lora_rank: duplicate key"),
        ("lora", "pet_config.pet_type: is missing"),
    ),
)
def test_what_is_not_said_is_not_guessed(tmp_path: Path, pet: str, what: str) -> None:
    """MindFormers has defaults, which another version may have changed."""
    with pytest.raises(ConfigError) as caught:
        read_lora_config(write(tmp_path / "a.yaml", pet))
    assert what in str(caught.value)


OLD = "pet: {pet_type: lora, pet_config: {lora_rank: 8, lora_alpha: 32}}"


@pytest.mark.parametrize(
    "model",
    (
        f"{{model_config: {{type: GLMConfig, {OLD}}}}}",
        f"{{model_config: {{type: GLMConfig}}, arch: {{type: GLMForPreTrainingWithLora, {OLD}}}}}",
        "{model_config: {pet: {pet_config: {pet_type: lora, lora_rank: 8, lora_alpha: 32}}}}",
        f"{{model_config: {{pet_config: {{pet_type: lora, lora_rank: 8, lora_alpha: 32}}}}, arch: {{{OLD}}}}}",
    ),
)
def test_the_forms_of_old_versions(tmp_path: Path, model: str) -> None:
    """MindFormers 0.6 has a section in the section, under model_config or arch."""
    path = tmp_path / "a.yaml"
    path.write_text(f"model: {model}\n")
    assert read_lora_config(path) == LoraScale(32, 8)


@pytest.mark.parametrize(
    ("model", "what"),
    (
        (
            "{arch: {pet: {pet_type: lora, pet_config: {lora_rank: 8}}}}",
            "a.yaml:1:38: model.arch.pet.pet_config.lora_alpha: is missing",
        ),
        (
            "{model_config: {pet: {pet_type: lora, pet_config: {lora_rank: 0, lora_alpha: 8}}}}",
            "a.yaml:1:70: model.model_config.pet.pet_config.lora_rank: 0 is not a whole number",
        ),
        ("{model_config: {pet: {pet_type: lora}}}", "a.yaml:1:24: model.model_config.pet.pet_config: is missing"),
        ("{model_config: {pet: {pet_type: ada}}}", "model.model_config.pet.pet_type: 'ada' is not lora"),
    ),
)
def test_problems_stand_where_the_form_has_them(tmp_path: Path, model: str, what: str) -> None:
    """A problem of an old form is not said of the new one."""
    path = tmp_path / "a.yaml"
    path.write_text(f"model: {model}\n")
    with pytest.raises(ConfigError) as caught:
        read_lora_config(path)
    assert what in str(caught.value)


def test_the_default_is_said_not_taken(tmp_path: Path) -> None:
    """Who meant MindFormers' own value is told which it is."""
    with pytest.raises(ConfigError, match=r"MindFormers 0\.8 to 1\.8 take 16 if the file says nothing"):
        read_lora_config(write(tmp_path / "a.yaml", "{pet_type: lora, lora_rank: 8}"))


def test_no_yaml(tmp_path: Path) -> None:
    """What cannot be read is said with the file's name."""
    path = tmp_path / "a.yaml"
    path.write_text("a: [")
    with pytest.raises(ConfigError, match=r"a\.yaml:1"):
        read_lora_config(path)
    with pytest.raises(FileNotFoundError):
        read_lora_config(tmp_path / "none.yaml")
