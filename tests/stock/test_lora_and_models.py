"""Promises about what people write of adapters and of model sizes, for the MindFormers that they have."""

from pathlib import Path

import pytest

from handlers.ckpt.planning.lora import LoraScale
from handlers.mindformers.version import Version
from handlers.validate.check import CheckedConfig, Rules, check
from handlers.validate.problem import ConfigError

V06, V07, V08, V10, V13, V18 = (Version(*each) for each in ((0, 6), (0, 7), (0, 8), (1, 0), (1, 3), (1, 8)))

GLM = "type: GLMConfig, num_layers: 4, hidden_size: 64, num_heads: 8, vocab_size: 1024, inner_hidden_size: 256"
GLM2 = "type: ChatGLM2Config, num_layers: 4, hidden_size: 64, num_attention_heads: 8, ffn_hidden_size: 128"
LLAMA = "type: LlamaConfig, num_layers: 4, hidden_size: 64, num_heads: 8, vocab_size: 1024"
SWIN = "type: SwinConfig, num_heads: [4, 8, 16, 32], depths: [2, 2, 18, 2], hidden_size: 100"

PET = "pet_config: {pet_type: lora, lora_rank: 8, lora_alpha: 32, target_modules: '.*query_key_value*'}"
PET_07 = "pet_config: {pet_type: lora, lora_rank: 8, lora_alpha: 32}"
PET_06 = "pet: {pet_type: lora, pet_config: {lora_rank: 8, lora_alpha: 32, lora_dropout: 0.1}}"
ALL = "strategy_ckpt_config: {save_file: ./ckpt_strategy.ckpt, only_trainable_params: False}"
TRAINED = "strategy_ckpt_config: {save_file: ./ckpt_strategy.ckpt, only_trainable_params: True}"

CUT_SILENTLY = "nothing says how the frozen weights are cut"


def written(
    directory: Path,
    model: str,
    arch: str = "",
    *,
    mp: int = 1,
    parallel: str = "",
    parallel_config: str = "",
    merge: str = "",
    version: Version = V08,
) -> bytes:
    """Write a training for four devices."""
    tokenizer = "ChatGLMTokenizer" if version < Version(1, 5) else "ChatGLM4Tokenizer"
    callback = "CheckpointMonitor" if version >= Version(1, 2) else "CheckpointMointor"
    data = f"""
seed: 0
run_mode: train
output_dir: ./output
context: {{mode: 0, device_target: Ascend}}
trainer: {{type: CausalLanguageModelingTrainer, model_name: some}}
model:
  model_config: {{{model}}}
  arch: {{{arch}}}
train_dataset: &train
  data_loader: {{type: ADGenDataLoader, dataset_dir: {directory}/train.json, phase: train}}
  tokenizer: {{type: {tokenizer}, vocab_file: {directory}/ice_text.model}}
train_dataset_task: {{type: KeyWordGenDataset, dataset_config: *train}}
runner_config: {{epochs: 1, batch_size: 1, sink_mode: True, sink_size: 4}}
parallel: {{parallel_mode: {int(mp > 1)}, {parallel}}}
parallel_config: {{data_parallel: {4 // mp}, model_parallel: {mp}, pipeline_stage: 1, {parallel_config}}}
callbacks:
  - {{type: {callback}, prefix: some, save_checkpoint_steps: 100}}
glmd: {{merge: {{{merge}}}}}
"""
    for name in ("train.json", "ice_text.model"):
        (directory / name).write_text("{}")
    return data.encode()


def checked(content: bytes, version: Version) -> CheckedConfig:
    """Check a file for a MindFormers."""
    return check(content, "run.yaml", Rules(devices=(0, 1, 2, 3), version=version))


def verdict(content: bytes, version: Version, expected: str) -> None:
    """Hold the check against what is expected: a part of its one problem, or nothing where it is to pass."""
    if not expected:
        checked(content, version)
        return
    with pytest.raises(ConfigError) as caught:
        checked(content, version)
    assert [expected in str(problem) for problem in caught.value.problems] == [True], caught.value


@pytest.mark.parametrize(
    ("version", "model", "arch"),
    (
        (V06, f"{GLM}, {PET_06}", "type: GLMForPreTrainingWithLora"),
        (V06, GLM, f"type: GLMForPreTrainingWithLora, {PET_06}"),
        (V06, LLAMA, f"type: LlamaForCausalLMWithLora, {PET_06}"),
        (V07, f"{GLM}, {PET_07}", "type: GLMForPreTrainingWithLora"),
        (V07, f"{GLM2}, {PET_07}", "type: ChatGLM2WithLora"),
        (V08, f"{GLM}, {PET}", "type: GLMForPreTraining"),
        (V10, f"{LLAMA}, {PET}", "type: LlamaForCausalLM"),
        (V18, f"{GLM2}, {PET}", "type: ChatGLM2ForConditionalGeneration"),
        (V08, f"{GLM}, {PET_06}", "type: GLMForPreTraining"),
    ),
)
@pytest.mark.parametrize("merge", ("lora: keep", "lora: merge", "lora: only"))
def test_every_form_of_lora(tmp_path: Path, version: Version, model: str, arch: str, merge: str) -> None:
    """Report 3: data parallel, each merges with the training's own scale; cut, the frozen weights are asked about."""
    scale = LoraScale(32, 8) if merge == "lora: merge" else None
    assert checked(written(tmp_path, model, arch, merge=merge, version=version), version).lora_scale == scale
    cut = written(tmp_path, model, arch, mp=4, merge=merge, version=version)
    verdict(cut, version, "" if merge == "lora: only" else CUT_SILENTLY)


@pytest.mark.parametrize(
    ("version", "parallel", "merge", "expected"),
    (
        (V08, "", "lora: merge", CUT_SILENTLY),
        (V08, TRAINED, "lora: merge", CUT_SILENTLY),
        (V08, ALL, "lora: merge", ""),
        (V10, ALL, "lora: keep", ""),
        (V18, ALL, "lora: keep", ""),
        (V18, ALL.replace("./ckpt", "/data/ckpt"), "lora: keep", "'/data/ckpt_strategy.ckpt' would not be found"),
        (V13, "strategy_ckpt_config: {save_file: ./s.ckpt}", "lora: only", "'./s.ckpt' would not be found"),
        (V08, f"strategy_ckpt_save_file: ./ckpt_strategy.ckpt, {ALL}", "lora: keep", "because of strategy_ckpt_save"),
    ),
)
def test_strategies_of_all_weights(tmp_path: Path, version: Version, parallel: str, merge: str, expected: str) -> None:
    """Report 6: what the run's own strategy files name, the merge can join."""
    model, arch = (GLM, "GLMForPreTraining") if version < V18 else (LLAMA, "LlamaForCausalLM")
    content = written(
        tmp_path, f"{model}, {PET}", f"type: {arch}", mp=2, parallel=parallel, merge=merge, version=version
    )
    verdict(content, version, expected)


@pytest.mark.parametrize(
    ("version", "model", "arch", "parallel_config", "expected"),
    (
        # GLM-6B: its class cuts the vocabulary whatever is said.
        (V08, GLM, "GLMForPreTraining", "vocab_emb_dp: True", ""),
        (V08, GLM.replace("1024", "1023"), "GLMForPreTraining", "vocab_emb_dp: True", "1023 cannot be cut"),
        (V13, GLM.replace("num_heads: 8", "num_heads: 2"), "GLMForPreTraining", "", "num_heads: 2 cannot be cut"),
        # GLM-2, 3 and 4.
        (V08, GLM2, "ChatGLM2ForConditionalGeneration", "", ""),
        (V08, f"{GLM2}, multi_query_group_num: 2", "ChatGLM2ForConditionalGeneration", "", ""),
        (V18, f"{GLM2}, num_heads: 7, vocab_size: 5", "ChatGLM2ForConditionalGeneration", "", ""),
        (V18, GLM2.replace("heads: 8", "heads: 6"), "ChatGLM2ForConditionalGeneration", "", "6 cannot be cut"),
        (V08, GLM2.replace("128", "126"), "ChatGLM2ForConditionalGeneration", "", "ffn_hidden_size: 126 cannot"),
        (V08, f"{GLM2}, padded_vocab_size: 65023", "ChatGLM2ForConditionalGeneration", "vocab_emb_dp: True", "65023"),
        (V18, f"{GLM2}, padded_vocab_size: 65023", "ChatGLM2ForConditionalGeneration", "", ""),
        # Llama.
        (V08, LLAMA.replace("1024", "1023"), "LlamaForCausalLM", "vocab_emb_dp: True", ""),
        (V08, LLAMA.replace("1024", "1023"), "LlamaForCausalLM", "vocab_emb_dp: False", "1023 cannot be cut"),
        (V10, LLAMA.replace("1024", "1023"), "LlamaForCausalLM", "vocab_emb_dp: False", ""),
        (V10, f"{LLAMA}, n_kv_heads: 2", "LlamaForCausalLM", "", "n_kv_heads: 2 cannot be cut for model_parallel 4"),
        (V10, f"{LLAMA}, n_kv_heads: 4", "LlamaForCausalLM", "", ""),
        # Classes whose source was not read.
        (V08, SWIN, "SwinForImageClassification", "", ""),
        (V13, "type: GPT2Config, num_heads: 6, hidden_size: 100, num_layers: 2", "GPT2LMHeadModel", "", ""),
        (V18, f"{LLAMA}, n_kv_heads: 2", "SomeonesForCausalLM", "", ""),
    ),
)
def test_sizes_by_class(
    tmp_path: Path, version: Version, model: str, arch: str, parallel_config: str, expected: str
) -> None:
    """Report 9: four model parallel ranks, and sizes that go over them or not."""
    content = written(tmp_path, model, f"type: {arch}", mp=4, parallel_config=parallel_config, version=version)
    verdict(content, version, expected)


def test_a_class_that_is_not_known_is_warned_of(tmp_path: Path) -> None:
    """What most classes could not cut is said, and trained."""
    model = "type: GPT2Config, num_heads: 6, hidden_size: 100, num_layers: 2"
    config = checked(written(tmp_path, model, "type: GPT2LMHeadModel", mp=4), V08)
    assert any("6 cannot be cut for model_parallel 4" in str(warning) for warning in config.warnings)
