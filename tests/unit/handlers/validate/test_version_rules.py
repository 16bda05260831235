"""What a version does not know is said, with where it comes from; and for which version a file was written."""

# ruff: noqa: E501 - a row of a table is a line

import pytest

from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import Version
from handlers.validate.document import parse
from handlers.validate.problem import Findings
from handlers.validate.version_rules import check_version

OF_0_8 = """
load_checkpoint: /data/glm.ckpt
model:
  model_config: {type: GLMConfig}
  arch: {type: GLMForPreTraining}
train_dataset:
  tokenizer: {type: ChatGLMTokenizer}
optimizer: {type: FusedAdamWeightDecay}
runner_config: {epochs: 1, sink_size: 4}
callbacks:
  - {type: CheckpointMointor, prefix: glm}
  - {type: ObsMonitor}
"""
OF_1_9 = """
load_ckpt_format: safetensors
use_legacy: True
model:
  model_config: {type: ChatGLM2Config}
  arch: {type: ChatGLM2ForConditionalGeneration}
optimizer: {type: AdamW}
runner_config: {epochs: 1, sink_size: 1, gradient_accumulation_steps: 1}
parallel_config: {data_parallel: 2, context_parallel: 1, use_seq_parallel: True}
callbacks:
  - {type: CheckpointMonitor, prefix: glm4, checkpoint_format: safetensors, save_network_params: True}
"""


def found(text: str, version: str, *, is_sure: bool = True) -> Findings:
    """Return what the rules say to a file."""
    findings = Findings()
    parsed = Version.parse(version)
    check_version(parse(text.encode(), "a.yaml").root, dialect_of(parsed), parsed, findings, is_sure=is_sure)
    return findings


@pytest.mark.parametrize(
    ("text", "versions"), ((OF_0_8, ("0.6", "0.8", "1.0", "1.1")), (OF_1_9, ("1.5", "1.9", "2.1")))
)
def test_a_file_of_its_own_version(text: str, versions: tuple[str, ...]) -> None:
    """Nothing is said."""
    for version in versions:
        assert found(text, version) == Findings()


@pytest.mark.parametrize(
    ("text", "version", "refused", "passed_over", "known_to"),
    (
        (
            OF_0_8, "1.9",
            {"model.model_config.type", "model.arch.type", "train_dataset.tokenizer.type", "optimizer.type", "callbacks[1].type"},
            set(), "versions before 1.2, not to MindFormers 1.9 and newer",
        ),
        (
            OF_1_9, "0.8",
            {"optimizer.type", "parallel_config.context_parallel", "callbacks[0].checkpoint_format"},
            {"load_ckpt_format"}, "1.5 and newer, not to MindFormers 0.8 and older",
        ),
        (
            OF_1_9, "1.3.2", {"callbacks[0].checkpoint_format"}, {"load_ckpt_format"},
            "1.5 and newer, not to MindFormers 1.3 and 1.4",
        ),
    ),
)  # fmt: skip
def test_a_file_of_another_version(
    text: str, version: str, refused: set[str], passed_over: set[str], known_to: str
) -> None:
    """It is refused by name, at its top with all the keys that give it away, and each of them at its place."""
    findings = found(text, version)
    (summary,) = (problem for problem in findings.problems if not problem.where)
    assert (summary.line, summary.message) == (1, "the file is written for another MindFormers")
    assert all(key in summary.hint for key in (*refused, *passed_over))
    assert known_to in summary.hint
    assert {problem.where for problem in findings.problems if problem.where} == refused
    assert {warning.where for warning in findings.warnings} == passed_over
    assert all(problem.line > 1 for problem in findings.problems if problem.where)
    of_none = found(text, version, is_sure=False)
    assert [problem for problem in findings.problems if problem.where] == of_none.problems


def test_what_is_only_passed_over_refuses_nothing() -> None:
    """The file runs, otherwise than it says: that is a warning, as each of its keys is."""
    findings = found("load_ckpt_format: safetensors\nmonitor_config: {monitor_on: True}\n", "1.3.2")
    assert findings.problems == []
    assert [warning.where for warning in findings.warnings] == ["load_ckpt_format", "monitor_config", ""]


@pytest.mark.parametrize(
    ("text", "version", "said"),
    (
        ("optimizer: {type: Muon}\n", "1.7", "1:19: optimizer.type: 'Muon' is not known (MindFormers 1.7 has no such class: it came with 1.8)"),
        ("parallel_config: {mode_parallel: 2}\n", "1.9", "mode_parallel: is not known (MindFormers 1.9 and newer takes no such key: remove it; did you mean `model_parallel`?)"),
        ("runner_config: {epoch: 2}\n", "1.9", "runner_config.epoch: is not known (MindFormers 1.9 and newer takes no such key: remove it; did you mean `epochs`?)"),
        ("callbacks:\n  - type: CheckpointMonitor\n    save_steps: 4\n", "1.9", "3:5: callbacks[0].save_steps: is not known"),
        ("callbacks:\n  - type: CheckpointMonitor\n    remove_redundancy: True\n", "1.2", "takes no such key: remove it; it came with 1.4)"),
        ("model: {arch: {type: Glm4ForCausalLM}}\n", "1.9", "'Glm4ForCausalLM' cannot be trained (MindFormers predicts with it only; GLM-4 is trained as"),
        ("model: {arch: {type: Glm4ForCausalLM}}\n", "1.6", "'Glm4ForCausalLM' is not known"),
        # Of itself a register path brings no class.
        ("register_path: /srv/mine\nmodel: {arch: {type: GLMForPreTraining}}\n", "1.9", "'GLMForPreTraining' is not known"),
    ),
)  # fmt: skip
def test_what_ends_a_version(text: str, version: str, said: str) -> None:
    """One thing may be a slip: it is a problem by itself."""
    (problem,) = found(text, version).problems
    assert said in str(problem)


@pytest.mark.parametrize(
    ("text", "version", "said"),
    (
        ("load_ckpt_format: safetensors\n", "1.3.2", "1:1: load_ckpt_format: has no effect (MindFormers 1.3 and 1.4 ignores it: it came with 1.5)"),
        ("runner_config: {gradient_accumulation_steps: 4}\n", "0.8", "gradient_accumulation_steps: has no effect"),
        ("checkpoint: {prefix: a}\n", "1.6", "checkpoint: has no effect"),
        ("use_legacy_format: False\n", "1.6", "use_legacy_format: has no effect"),
        (
            "callbacks:\n  - {type: CheckpointMonitor, save_network_params: True, save_trainable_params: True}\n", "1.9",
            "save_network_params: has no effect (with save_trainable_params MindFormers",
        ),
        ("model: {arch: {type: GLMForPreTraining, auto_register: m.C}}\n", "1.9", "'GLMForPreTraining' is not known"),
    ),
)  # fmt: skip
def test_what_a_version_passes_over(text: str, version: str, said: str) -> None:
    """It trains, otherwise than the file says, and says nothing: so glmd does."""
    findings = found(text, version)
    assert findings.problems == []
    (warning,) = findings.warnings
    assert said in str(warning)


@pytest.mark.parametrize(
    ("text", "version"),
    (
        ("load_ckpt_format: ckpt\nuse_legacy: True\nremove_redundancy: False\npretrained_model_dir: ''\n", "0.8"),
        ("runner_config: {gradient_accumulation_steps: 1}\nmonitor_config:\n", "0.8"),
        ("runner_config: {image_size: 224}\n", "0.8"),
        ("optimizer: {type: MyOwn}\nmodel: {arch: {type: [1]}, model_config: {type: 3}}\ncallbacks: [{type: {}}]\n", "1.9"),
        ("callbacks: MFLossMonitor\nparallel_config: 3\nrunner_config: [1]\noptimizer:\n", "1.9"),
        (
            "callbacks:\n  - {type: CheckpointMonitor, save_network_params: True, save_trainable_params: True}\n",
            "1.3",
        ),
    ),
)  # fmt: skip
def test_what_nothing_is_said_to(text: str, version: str) -> None:
    """Defaults, which other versions have anyway; classes that nobody has read; what is of a wrong type."""
    assert found(text, version) == Findings()
