"""Promises of handlers.validate.disk_estimate."""

from dataclasses import replace
from pathlib import Path

import pytest

from handlers.ckpt import walk
from handlers.ckpt.entry import Family
from handlers.validate.disk_estimate import chatglm2_sizes, check_disk, glm_sizes, in_words
from handlers.validate.document import Place, parse
from handlers.validate.glmd_section import MergeWish
from handlers.validate.mindformers_rules import Parallel
from handlers.validate.problem import Findings
from handlers.validate.saving_rules import Saving

GLM_6B = """
model:
  model_config:
    type: GLMConfig
    vocab_size: 130528
    hidden_size: 4096
    num_layers: 28
    inner_hidden_size: 16384
    param_init_type: float16
"""
LORA = "    pet_config: {pet_type: lora, lora_rank: 8}\n"
ALONE = Parallel(0, 1, 1, 1, 4, "Ascend")
CUT = Parallel(1, 1, 8, 1, 8, "Ascend")


def model_of(text: str) -> Place:
    """Return the model's settings."""
    place = parse(text.encode(), "a.yaml").root.get("model", "model_config")
    assert place is not None
    return place


def saving(text: str = GLM_6B, kept: int = 2, *, network: bool = True) -> Saving:
    """Return what is saved, pointing at the model for want of a callback."""
    return Saving("glm-6b", kept, network, model_of(text))


def test_glm_6b_is_as_large_as_it_is() -> None:
    """The sizes are those of the real run: 13 GiB of weights, 63 GiB with the optimizer, an eighth of it a shard."""
    sizes = glm_sizes(model_of(GLM_6B), CUT)
    assert sizes is not None
    assert sizes.weights / 2**30 == pytest.approx(13.5, abs=0.3)
    assert 8 * sizes.shard / 2**30 == pytest.approx(63, rel=0.02)
    assert 8 * sizes.shard_weights == pytest.approx(sizes.weights, rel=0.01)


def test_data_parallel_and_lora() -> None:
    """Each data parallel rank saves everything; a LoRA run has moments for its few trainable parameters only."""
    whole, lora = glm_sizes(model_of(GLM_6B), ALONE), glm_sizes(model_of(GLM_6B + LORA), ALONE)
    assert whole is not None
    assert lora is not None
    assert whole.shard / 2**30 == pytest.approx(63, rel=0.02)
    assert whole.weights < lora.weights < lora.shard < 1.01 * whole.weights


GLM_4 = """
model:
  model_config: {type: ChatGLM2Config, num_layers: 40, padded_vocab_size: 151552, param_init_type: bfloat16}
"""
TINY = """
model:
  model_config: {type: ChatGLM2Config, num_layers: 2, padded_vocab_size: 256, hidden_size: 32, ffn_hidden_size: 64,
    kv_channels: 8, num_attention_heads: 4, multi_query_group_num: 2, param_init_type: float32}
"""
MODERN = Path(__file__).parents[3] / "fixtures" / "modern"


def test_todays_glm_is_as_large_as_it_is() -> None:
    """GLM-4-9B has 9.4 billion parameters; a tiny one's shard was written by MindFormers 1.9 itself."""
    sizes = chatglm2_sizes(model_of(GLM_4), CUT)
    assert sizes is not None
    assert sizes.weights / 2 == pytest.approx(9.4e9, rel=0.01)
    assert 8 * sizes.shard == pytest.approx(9.4e9 * 10, rel=0.01)
    tiny = chatglm2_sizes(model_of(TINY), ALONE)
    assert tiny is not None
    written = sum(entry.nbytes for entry in walk(MODERN / "whole" / "glm4_rank_0-2_4.safetensors").entries.values())
    assert tiny.shard == pytest.approx(written, rel=0.01)
    assert chatglm2_sizes(model_of(GLM_6B), CUT) is None


def test_what_ranks_leave_to_each_other_is_counted_once(tmp_path: Path) -> None:
    """But for what one resumes from, united. And a save without the optimizer is as large as its weights."""
    root = parse(GLM_4.encode(), "a.yaml").root
    sizes = chatglm2_sizes(model_of(GLM_4), ALONE)
    assert sizes is not None

    def needed(saved: Saving, parallel: Parallel = ALONE) -> int:
        findings = Findings()
        check_disk(root, parallel, saved, MergeWish(), tmp_path, findings)
        return findings.looks[0].bytes  # type: ignore[union-attr] # a DiskLook

    whole = saving(GLM_4, network=False)
    assert needed(whole) == 4 * 3 * sizes.shard + sizes.weights
    shared = replace(whole, is_shared_out=True)
    assert needed(shared) == (3 + 1) * sizes.shard + sizes.weights
    assert needed(replace(shared, is_iteration=True)) == 3 * sizes.shard + sizes.weights
    cut = replace(ALONE, mode=1, data=4)
    assert (cut.by_strategy, needed(shared, cut)) == (True, 3 * sizes.shard + sizes.weights)
    assert needed(replace(whole, has_optimizer=False)) == 4 * 3 * sizes.shard_weights + sizes.weights


def test_every_form_of_lora_is_small() -> None:
    """Sizes do not depend on what the section is called; other adapters than LoRA's have sizes of their own."""
    old = GLM_6B + "    pet: {pet_type: lora, pet_config: {lora_rank: 8}}\n"
    arch = GLM_6B + "  arch: {pet: {pet_type: lora, pet_config: {lora_rank: 8}}}\n"
    expected = glm_sizes(model_of(GLM_6B + LORA), ALONE)
    assert glm_sizes(model_of(old), ALONE) == glm_sizes(model_of(arch), ALONE) == expected
    assert glm_sizes(model_of(GLM_6B + "    pet_config: {}\n"), ALONE) == glm_sizes(model_of(GLM_6B), ALONE)
    assert glm_sizes(model_of(GLM_6B + "    pet_config: {pet_type: prefixtuning}\n"), ALONE) is None


def test_pipeline_stages_have_a_part_each() -> None:
    """Two stages of four ranks: all shards hold the model once, and accumulated gradients besides the moments."""
    staged, cut = glm_sizes(model_of(GLM_6B), Parallel(1, 1, 4, 2, 8, "Ascend")), glm_sizes(model_of(GLM_6B), CUT)
    assert staged is not None
    assert cut is not None
    assert 8 * staged.shard_weights == pytest.approx(staged.weights, rel=0.01)
    assert 8 * (staged.shard - staged.shard_weights) == pytest.approx(1.5 * cut.state, rel=0.01)


def test_too_little_disk_is_the_sum_in_words(tmp_path: Path) -> None:
    """The message says what is needed, what for, and what is free; here for more tags than any disk holds."""
    findings = Findings()
    root = parse(GLM_6B.encode(), "a.yaml").root
    check_disk(root, CUT, saving(kept=999_999), MergeWish(), tmp_path / "not" / "yet", findings)
    text = str(findings.problems[0])
    assert "needs about 68204.8 TB of disk (8 ranks × (999999 kept + 1) × 8.5 GB = 68204.8 TB" in text
    assert "14.5 GB of weights alone, 14.5 GB merged; " in text
    assert text.endswith(" free)")


@pytest.mark.parametrize(
    ("wish", "merged"),
    (
        (MergeWish(keep=tuple(Family)), "68.1 GB merged"),
        (MergeWish(keep=("weights", "ema")), "29.0 GB merged"),
        (MergeWish(transformed=True), "82.6 GB merged"),
        (MergeWish(keep=tuple(Family), transformed=True), "136.3 GB merged"),
    ),
)
def test_optimizer_state_that_is_merged_counts(tmp_path: Path, wish: MergeWish, merged: str) -> None:
    """With Adam's moments the output is almost five times as large."""
    findings = Findings()
    check_disk(parse(GLM_6B.encode(), "a.yaml").root, CUT, saving(kept=999_999), wish, tmp_path, findings)
    assert merged in str(findings.problems[0])


def test_enough_disk(tmp_path: Path) -> None:
    """A tiny model fits, and nothing is said."""
    text = GLM_6B.replace("4096", "8").replace("16384", "32").replace("130528", "64")
    findings = Findings()
    check_disk(parse(text.encode(), "a.yaml").root, CUT, saving(), MergeWish(), tmp_path, findings)
    assert findings == Findings()


@pytest.mark.parametrize("kind", ("LlamaConfig", "", "[x]"))
def test_an_unknown_architecture_is_a_warning(tmp_path: Path, kind: str) -> None:
    """Where the size cannot be known, that is said instead of a number."""
    findings = Findings()
    root = parse(GLM_6B.replace("GLMConfig", kind).encode(), "a.yaml").root
    check_disk(root, CUT, saving(), MergeWish(), tmp_path, findings)
    assert findings.problems == []
    assert "free disk was not checked" in str(findings.warnings[0])


@pytest.mark.parametrize(
    ("size", "words"),
    ((0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (13 * 10**9, "13.0 GB"), (2 * 10**12, "2.0 TB")),
)
def test_in_words(size: int, words: str) -> None:
    """Sizes are read at a glance."""
    assert in_words(size) == words


def test_without_a_disk_it_is_estimated_alone(tmp_path: Path) -> None:
    """Whoever waits for room, or looks ahead, wants to know how much; nothing is refused, nor warned of."""
    root, with_disk, without = parse(GLM_6B.encode(), "a.yaml").root, Findings(), Findings()
    check_disk(root, CUT, saving(kept=999_999), MergeWish(), tmp_path, with_disk)
    check_disk(root, CUT, saving(kept=999_999), MergeWish(), None, without)
    assert (without.problems, without.warnings, without.looks) == ([], [], with_disk.looks)
    other = parse(GLM_6B.replace("GLMConfig", "LlamaConfig").encode(), "a.yaml").root
    check_disk(other, CUT, saving(), MergeWish(), None, unknown := Findings())
    assert (unknown.problems, unknown.warnings, unknown.looks) == ([], [], [])
