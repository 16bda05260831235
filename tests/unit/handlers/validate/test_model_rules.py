"""Promises of handlers.validate.model_rules: sizes that do not divide are said before every rank builds the network."""

import pytest

from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.validate.document import parse
from handlers.validate.mindformers_rules import Parallel
from handlers.validate.model_rules import check_model
from handlers.validate.problem import Findings

CUT = Parallel(mode=1, data=1, model=8, stages=1, ranks=8, target="Ascend")
STAGES = Parallel(mode=1, data=1, model=1, stages=4, ranks=4, target="Ascend")
NEWEST = Version(1, 8)


def checked(
    architecture: str,
    config: str,
    sizes: str,
    parallel: Parallel = CUT,
    version: Version = OF_GLM_6B,
    more: str = "",
) -> Findings:
    """Check a model of these classes with these sizes."""
    text = f"model:\n  arch: {{type: {architecture}}}\n  model_config: {{type: {config}, {sizes}}}\n{more}\n"
    findings = Findings()
    check_model(parse(text.encode(), "a.yaml").root, parallel, findings, version)
    return findings


def glm2(sizes: str, model: int = 8, version: Version = OF_GLM_6B, more: str = "") -> Findings:
    """Check a ChatGLM2, as GLM-2, GLM-3 and GLM-4 are, over so many model parallel ranks."""
    parallel = Parallel(1, 1, model, 1, model, "Ascend")
    return checked("ChatGLM2ForConditionalGeneration", "ChatGLM2Config", sizes, parallel, version, more)


def llama(sizes: str, model: int = 8, version: Version = OF_GLM_6B, more: str = "") -> Findings:
    """Check a Llama over so many model parallel ranks."""
    parallel = Parallel(1, 1, model, 1, model, "Ascend")
    return checked("LlamaForCausalLM", "LlamaConfig", sizes, parallel, version, more)


@pytest.mark.parametrize(
    ("model", "parallel", "what"),
    (
        ("num_heads: 30", CUT, "30 cannot be cut for model_parallel 8 (30 / 8 leaves 6)"),
        ("hidden_size: 4100", CUT, "model.model_config.hidden_size: 4100 cannot be cut"),
        ("vocab_size: 130529", CUT, "130529 cannot be cut"),
        ("inner_hidden_size: 100", CUT, "100 cannot be cut"),
        ("num_layers: 1", Parallel(1, 1, 1, 2, 2, "Ascend"), "1 layers are fewer than pipeline_stage 2"),
        ("{num_heads: 3, hidden_size: 16}", Parallel(0, 1, 1, 1, 8, "Ascend"), "3 heads do not divide hidden_size 16"),
        ("num_layers: many", CUT, "'many' is not a whole number"),
    ),
)
def test_model_problems(model: str, parallel: Parallel, what: str) -> None:
    """What does not divide over the ranks is reported at the size."""
    findings = Findings()
    text = f"model:\n  model_config: {model}\n" if model.startswith("{") else f"model:\n  model_config:\n    {model}\n"
    check_model(parse(text.encode(), "a.yaml").root, parallel, findings)
    assert [what in str(problem) for problem in findings.problems] == [True]


@pytest.mark.parametrize(
    "parallel", (Parallel(0, 1, 8, 1, 8, "Ascend"), Parallel(1, 8, 1, 1, 8, "Ascend")), ids=("data parallel", "mp 1")
)
def test_uncut_models_need_no_division(parallel: Parallel) -> None:
    """The stock LoRA YAML is data parallel: nothing is cut, so nothing has to divide."""
    findings = Findings()
    text = b"model: {model_config: {num_heads: 3, hidden_size: 9, vocab_size: 7, pet_config: {pet_type: lora}}}"
    check_model(parse(text, "a.yaml").root, parallel, findings)
    assert findings == Findings()


@pytest.mark.parametrize("vocab_emb_dp", ("True", "False"))
def test_glm_cuts_its_vocabulary_whatever_is_said(vocab_emb_dp: str) -> None:
    """GLM-6B's class sets vocab_emb_dp itself, and its head is cut in any case."""
    more = f"parallel_config: {{vocab_emb_dp: {vocab_emb_dp}}}"
    findings = checked("GLMForPreTraining", "GLMConfig", "vocab_size: 130529", more=more)
    assert ["130529 cannot be cut" in str(problem) for problem in findings.problems] == [True]


@pytest.mark.parametrize(
    ("version", "more", "refused"),
    (
        (Version(0, 8), "parallel_config: {vocab_emb_dp: False}", True),
        (Version(0, 8), "parallel_config: {vocab_emb_dp: True}", False),
        (Version(0, 8), "parallel_config: {}", False),
        (Version(1, 0), "parallel_config: {vocab_emb_dp: False}", False),
    ),
)
def test_llama_may_leave_its_vocabulary_whole(version: Version, more: str, *, refused: bool) -> None:
    """Up to 0.8 as vocab_emb_dp says, which is True unless it is said; later also where it does not divide."""
    assert bool(llama("vocab_size: 32001", version=version, more=more).problems) == refused


@pytest.mark.parametrize(
    ("sizes", "version", "refused"),
    (
        ("padded_vocab_size: 65023", Version(0, 8), True),
        ("padded_vocab_size: 65023", Version(1, 1), True),
        ("padded_vocab_size: 65023", Version(1, 2), False),
        ("num_attention_heads: 30", NEWEST, True),
        ("ffn_hidden_size: 13697", NEWEST, True),
        ("hidden_size: 4100", Version(1, 3), True),
        ("hidden_size: 4100", NEWEST, False),
        ("multi_query_group_num: 2, multi_query_attention: True", Version(0, 8), False),
        ("num_heads: 30, vocab_size: 65023, inner_hidden_size: 7", Version(0, 8), False),
        ("num_attention_heads: [32]", Version(0, 8), True),
    ),
)
def test_chatglm2_has_sizes_of_its_own(sizes: str, version: Version, *, refused: bool) -> None:
    """GLM-2, GLM-3 and GLM-4 call them otherwise than GLM-6B; two groups of keys on eight ranks are the stock YAML."""
    assert bool(glm2(sizes, version=version).problems) == refused


@pytest.mark.parametrize(
    ("sizes", "refused"),
    (
        ("num_attention_heads: 33, kv_channels: 128, multi_query_group_num: 2", True),
        ("num_attention_heads: 33, kv_channels: 128, multi_query_group_num: 3", False),
        ("num_attention_heads: 33, kv_channels: 126, multi_query_group_num: 2", False),
        ("num_attention_heads: 33, kv_channels: 128, multi_query_attention: False", False),
        ("num_attention_heads: 33, kv_channels: 128, multi_query_group_num: 2, qkv_concat: False", False),
    ),
)
def test_chatglm2_cuts_queries_keys_and_values_together(sizes: str, *, refused: bool) -> None:
    """Their rows must divide, of which each group of keys and values has a part."""
    findings = glm2(f"{sizes}, hidden_size: 4224, ffn_hidden_size: 13698, padded_vocab_size: 65022", 3)
    assert ["multi_query_group_num" in str(problem) for problem in findings.problems] == [True] * refused


@pytest.mark.parametrize(
    ("sizes", "model", "version", "refused"),
    (
        ("n_kv_heads: 2, num_heads: 32", 4, Version(0, 8), True),
        ("n_kv_heads: 2, num_heads: 32", 4, NEWEST, True),
        ("n_kv_heads: 2, num_heads: 32", 4, Version(0, 6), False),
        ("n_kv_heads: 8, num_heads: 64", 8, NEWEST, False),
        ("n_kv_heads: , num_heads: 32", 8, NEWEST, False),
        ("intermediate_size: 11009", 8, NEWEST, True),
        ("intermediate_size: 11009", 8, Version(0, 8), False),
        ("num_heads: 3, hidden_size: 4096", 1, NEWEST, True),
        ("num_heads: 4, n_kv_heads: 2, use_3d_tensor_parallel: True", 8, NEWEST, False),
    ),
)
def test_llama_cuts_keys_and_values(sizes: str, model: int, version: Version, *, refused: bool) -> None:
    """MindFormers raises for heads of keys and values that do not divide, from 0.7 on."""
    assert bool(llama(sizes, model, version).problems) == refused


@pytest.mark.parametrize(
    ("architecture", "config", "sizes", "warnings"),
    (
        ("SwinForImageClassification", "SwinConfig", "num_heads: [4, 8, 16, 32], num_layers: four", 0),
        ("PanguAlphaHeadModel", "PanguAlphaConfig", "num_heads: 30, hidden_size: 4096", 1),
        ("PanguAlphaHeadModel", "PanguAlphaConfig", "num_heads: 32, vocab_size: 40001", 0),
        ("Baichuan13BForCausalLM", "LlamaConfig", "num_heads: 30, n_kv_heads: 3", 1),
        ("[x]", "LlamaConfig", "num_heads: true, hidden_size: 4100.5, inner_hidden_size: many", 0),
        ("LlamaForCausalLM", "ChatGLM2Config", "ffn_hidden_size: 13697", 1),
        ("", "GPT2Config", "hidden_size: 1000, num_heads: 12", 1),
    ),
)
def test_what_is_not_known_is_no_refusal(architecture: str, config: str, sizes: str, warnings: int) -> None:
    """A class whose source was not read may cut what it likes; what most could not cut is a warning."""
    findings = checked(architecture, config, sizes)
    assert findings.problems == []
    assert len(findings.warnings) == warnings, findings.warnings


def test_models_named_as_hugging_face_does() -> None:
    """They have no `type`, and are not taken for GLM-6B."""
    text = b"model: {model_config: {model_type: qwen3, architectures: [Qwen3ForCausalLM], vocab_size: 7, num_heads: x}}"
    findings = Findings()
    check_model(parse(text, "a.yaml").root, CUT, findings)
    assert findings == Findings()


@pytest.mark.parametrize(
    ("architecture", "config", "sizes", "version", "problems", "warnings"),
    (
        ("LlamaForCausalLM", "LlamaConfig", "num_layers: 3", NEWEST, 1, 0),
        ("GPT2LMHeadModel", "GPT2Config", "num_layers: 3", NEWEST, 0, 1),
        ("Qwen3ForCausalLM", "Qwen3Config", "num_hidden_layers: 3", NEWEST, 0, 1),
        ("LlamaForCausalLM", "LlamaConfig", "offset: [0, 1, -1]", NEWEST, 1, 0),
        ("LlamaForCausalLM", "LlamaConfig", "offset: [0, 1, -1, 0]", NEWEST, 0, 0),
        ("LlamaForCausalLM", "LlamaConfig", "offset: [[0, 1, -1, 0], [0, 0, 0]]", NEWEST, 1, 0),
        ("LlamaForCausalLM", "LlamaConfig", "offset: auto", NEWEST, 1, 0),
        ("LlamaForCausalLM", "LlamaConfig", "offset: 0", NEWEST, 0, 0),
        ("ChatGLM2ForConditionalGeneration", "ChatGLM2Config", "offset: [0]", Version(0, 8), 0, 0),
        ("GLMForPreTraining", "GLMConfig", "offset: [0]", NEWEST, 0, 0),
    ),
)
def test_layers_over_stages(
    architecture: str, config: str, sizes: str, version: Version, problems: int, warnings: int
) -> None:
    """Every stage has a layer, and an offset of its own where there are several."""
    findings = checked(architecture, config, sizes, STAGES, version)
    assert (len(findings.problems), len(findings.warnings)) == (problems, warnings), findings
