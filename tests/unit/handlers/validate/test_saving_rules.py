"""Promises of handlers.validate.saving_rules."""

import pytest

from handlers.ckpt.entry import Format
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import Version
from handlers.validate.document import parse
from handlers.validate.glmd_section import read_section
from handlers.validate.problem import Findings
from handlers.validate.saving_rules import Saving, check_saving


def saving_of(text: str, version: str = "0.8") -> tuple[Saving | None, Findings]:
    """Check the callbacks in `text`."""
    findings = Findings()
    root = parse(text.encode(), "a.yaml").root
    return check_saving(root, read_section(root)[0], dialect_of(Version.parse(version)), findings), findings


def callback(*lines: str, kind: str = "CheckpointMointor") -> str:
    """Return callbacks with one that saves."""
    return f"callbacks:\n  - type: MFLossMonitor\n  - type: {kind}\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("version", "kind", "other"),
    (
        ("0.6", "CheckpointMointor", "CheckpointMonitor"),
        ("0.8", "CheckpointMointor", "CheckpointMonitor"),
        ("1.1", "CheckpointMointor", "CheckpointMonitor"),
        ("1.2", "CheckpointMonitor", "CheckpointMointor"),
        ("1.9", "CheckpointMonitor", "CheckpointMointor"),
    ),
)
def test_the_spelling_of_the_version(version: str, kind: str, other: str) -> None:
    """The class is misspelt up to MindFormers 1.1 and right from 1.2 on; the other one is not registered there."""
    saving, findings = saving_of(callback("prefix: glm-6b", "save_checkpoint_steps: 500", kind=kind), version)
    assert findings == Findings()
    assert saving is not None
    assert (saving.prefix, saving.kept) == ("glm-6b", 5)
    saving, findings = saving_of(callback("prefix: glm-6b", "save_checkpoint_steps: 500", kind=other), version)
    assert saving is not None
    assert [problem.where for problem in findings.problems] == ["callbacks[1].type"]
    assert f"it is called {kind}" in str(findings.problems[0])


def test_the_second_file_of_weights() -> None:
    """It is written unasked up to MindFormers 1.5; which version counts, unless the file says it."""
    text = callback("prefix: p", "save_checkpoint_steps: 1", kind="CheckpointMonitor")
    for version, network in (("1.5", True), ("1.6", False)):
        saving, _ = saving_of(text, version)
        assert saving is not None
        assert saving.network is network


SAFE, SHARED = "checkpoint_format: safetensors", "remove_redundancy: True"


@pytest.mark.parametrize(
    ("version", "in_callback", "line", "expected"),
    (
        ("1.5", (SAFE,), "", (Format.SAFETENSORS, False, False)),
        ("1.5", (SAFE, SHARED), "", (Format.SAFETENSORS, False, True)),
        ("1.9", (SAFE, "remove_redundancy: False"), "", (Format.SAFETENSORS, False, False)),
        ("1.6", (), "use_legacy: False", (Format.SAFETENSORS, False, False)),
        ("1.6", (SHARED,), "use_legacy: False", (Format.SAFETENSORS, False, True)),
        ("1.5", (), "use_legacy: False", (Format.CKPT, False, False)),
        ("1.6", (), "checkpoint: {save_max: 2}", (Format.CKPT, False, False)),
        ("1.8", (), "checkpoint: {save_max: 2}", (Format.CKPT, False, False)),
        ("1.9", (), "checkpoint: {}", (Format.CKPT, False, False)),
        ("1.9", (), "use_legacy_format: True", (Format.CKPT, False, False)),
        ("1.8", (SAFE,), "use_legacy_format: False", (Format.SAFETENSORS, True, False)),
        ("1.9", (), "use_legacy_format: False", (Format.SAFETENSORS, True, False)),
        ("1.9", (), "checkpoint: {save_max: 2}", (Format.SAFETENSORS, True, False)),
        ("1.9", (SAFE,), "checkpoint: {save_remove_redundancy: True}", (Format.SAFETENSORS, True, True)),
        ("1.9", (SAFE, SHARED), "checkpoint: {save_remove_redundancy: False}", (Format.SAFETENSORS, True, False)),
        ("1.9", (SAFE, SHARED), "checkpoint: {save_max: 2}", (Format.SAFETENSORS, True, True)),
    ),
)
def test_the_form_of_saves(
    version: str, in_callback: tuple[str, ...], line: str, expected: tuple[Format, bool, bool]
) -> None:
    """It is read as the version reads it, the section `checkpoint` before the callback."""
    text = callback("prefix: p", "save_checkpoint_steps: 1", *in_callback, kind="CheckpointMonitor")
    saving, findings = saving_of(f"{text}{line}\n", version)
    assert findings == Findings()
    assert saving is not None
    assert (saving.format, saving.is_iteration, saving.is_shared_out) == expected


def test_the_section_of_new_checkpoints_goes_before_the_callback() -> None:
    """Whatever it says; where it says nothing, the callback holds."""
    text = callback("prefix: p", "save_checkpoint_steps: 1", "keep_checkpoint_max: 3", kind="CheckpointMonitor")
    section = "checkpoint: {prefix: q, save_max: 2, save_interleaved_steps: 50}\n"
    saving, findings = saving_of(text + section, "1.9")
    assert findings == Findings()
    assert saving is not None
    assert (saving.prefix, saving.kept, saving.network, saving.has_optimizer) == ("q", 2, False, True)
    assert saving.steps is not None
    assert saving.steps.where == "checkpoint.save_interleaved_steps"
    saving, _ = saving_of(text + "checkpoint: {load_balanced: True}\n", "1.9")
    assert saving is not None
    assert (saving.prefix, saving.kept) == ("p", 3)
    alone = callback("checkpoint_format: safetensors", kind="CheckpointMonitor")
    saving, findings = saving_of(alone + section, "1.9")
    assert findings == Findings()


@pytest.mark.parametrize(
    ("version", "in_callback", "line", "what"),
    (
        ("1.4", SAFE, "", "'safetensors' is not known (write ckpt)"),
        ("1.9", "checkpoint_format: pickle", "", "'pickle' is not known (write ckpt or safetensors)"),
        ("1.9", SHARED, "", "with the callback's checkpoint_format: safetensors only"),
        ("1.9", "", "checkpoint: {save_remove_redundancy: True}", "checkpoint_format: safetensors only"),
        ("1.9", "", "checkpoint: {save_path: ./output/checkpoint}", "own output/checkpoint: remove it"),
        ("1.9", "", "checkpoint: {save_max: 0}", "checkpoint.save_max: 0 is not a whole number from 1 on"),
        ("1.9", "", "checkpoint: {save_interleaved_steps: 0}", "0 is not a whole number from 1 on"),
        ("1.9", "", "checkpoint: {reshard_worker_num: 0}", "0 is not a whole number from 1 on"),
        ("1.9", "", "checkpoint: {prefix: a/b}", "checkpoint.prefix: 'a/b' is no prefix"),
        ("1.9", "", "checkpoint: {async_save: 'yes'}", "'yes' is neither True nor False"),
        ("1.9", "", "checkpoint: text", "checkpoint: 'text' is not a mapping"),
        ("1.9", "", "checkpoint: {save_max: 2}\nresume_training: p_rank_0-1_4", "'p_rank_0-1_4' is a name"),
        ("1.7", "use_legacy_format: False", "", "what MindFormers 1.8 and newer save in that format"),
        ("1.7", "", "ckpt_use_legacy_format: False", "what MindFormers 1.8 and newer save in that format"),
    ),
)
def test_forms_that_cannot_be(version: str, in_callback: str, line: str, what: str) -> None:
    """What MindFormers ends over, and what glmd could not find or go on from, is a problem before anything starts."""
    text = callback("prefix: p", "save_checkpoint_steps: 1", in_callback, kind="CheckpointMonitor")
    _, findings = saving_of(f"{text}{line}\n", version)
    assert [what in str(problem) for problem in findings.problems] == [True], findings.problems


@pytest.mark.parametrize(
    ("version", "in_callback", "line", "what"),
    (
        ("1.9", "use_legacy_format: False", "", "callbacks[1].use_legacy_format: has no effect"),
        ("1.9", "save_network_params: True", "use_legacy_format: False", "writes no second files"),
        ("1.9", "", "checkpoint: {save_maximum: 2}", "checkpoint.save_maximum: has no effect (MindFormers 1.9"),
        ("1.9", "", "checkpoint: {no_save_optim: True}", "checkpoint.no_save_optim: saves without the optimizer"),
        ("1.8", "save_optimizer: False", "use_legacy_format: False", "saves without the optimizer cannot be resumed"),
        ("1.9", "", "use_legacy_format: False\nuse_checkpoint_health_monitor: True", "cannot be resumed from"),
        ("1.9", "", "use_legacy_format: False\nglmd: {merge: {tag: 31_4}}", "saves of this file are called iteration_"),
        ("1.9", "", "glmd: {merge: {tag: iteration_00000008}}", "saves of this file are called EPOCH_STEP"),
    ),
)  # fmt: skip
def test_what_a_form_leaves_out(version: str, in_callback: str, line: str, what: str) -> None:
    """What MindFormers passes over without a word, and what will cost somebody hours, is a warning."""
    text = callback("prefix: p", "save_checkpoint_steps: 1", in_callback, kind="CheckpointMonitor")
    _, findings = saving_of(f"{text}{line}\n", version)
    assert findings.problems == []
    assert [what in str(warning) for warning in findings.warnings] == [True], findings.warnings


@pytest.mark.parametrize(
    ("line", "kept", "network"),
    (
        ("keep_checkpoint_max: 2", 2, True),
        ("keep_checkpoint_max: 0", 1, True),
        ("save_network_params: False", 5, False),
        ("enc_key:", 5, True),
        ("directory: ''", 5, True),
        ("remove_redundancy: False", 5, True),
        ("checkpoint_format: ckpt", 5, True),
    ),
)
def test_what_will_be_written(line: str, kept: int, network: bool) -> None:  # noqa: FBT001 (a table's column)
    """How many tags stay, and whether the weights are written twice, is read as MindSpore reads it."""
    saving, findings = saving_of(callback("prefix: p", "save_checkpoint_steps: 1", line))
    assert findings == Findings()
    assert saving is not None
    assert (saving.kept, saving.network) == (kept, network)


@pytest.mark.parametrize(
    ("text", "what"),
    (
        ("seed: 0\n", "callbacks: is missing"),
        ("callbacks:\n", "callbacks: is empty"),
        ("callbacks:\n  - type: MFLossMonitor\n", "1:1: callbacks: none of them saves checkpoints"),
        ("callbacks: text\n", "none of them saves checkpoints"),
        (callback("save_checkpoint_steps: 1"), "3:5: callbacks[1].prefix: is missing"),
        (callback("prefix: p"), "3:5: callbacks[1].save_checkpoint_steps: is missing"),
        (callback("prefix: p", "save_checkpoint_step: 1"), "is `save_checkpoint_step` meant for it?"),
        (callback("prefix: p", "save_checkpoint_steps: 0"), "5:28: callbacks[1].save_checkpoint_steps: 0 is not a"),
        (callback("prefix: p", "save_checkpoint_steps: -1"), "-1 is not a whole number from 1 on"),
        (callback("prefix: p", "save_checkpoint_steps: 1", "keep_checkpoint_max: x"), "'x' is not a whole number"),
        (callback("prefix: a/b", "save_checkpoint_steps: 1"), "4:13: callbacks[1].prefix: 'a/b' is no prefix"),
        (callback("prefix: ''", "save_checkpoint_steps: 1"), "'' is no prefix"),
        (callback("prefix: ..", "save_checkpoint_steps: 1"), "'..' is no prefix"),
        (callback("prefix: 'a b'", "save_checkpoint_steps: 1"), "'a b' is no prefix"),
        (callback('prefix: "a\\0"', "save_checkpoint_steps: 1"), "is no prefix"),
        (callback("prefix: 6", "save_checkpoint_steps: 1"), "6 is no prefix"),
        (callback(f"prefix: {'x' * 101}", "save_checkpoint_steps: 1"), "is no prefix"),
        (callback("prefix: p", "save_checkpoint_steps: 1", "directory: /data"), "must lie in the job's own output"),
        (callback("prefix: p", "save_checkpoint_steps: 1", "enc_key: abc"), "encrypted shards cannot be merged"),
        (
            callback("prefix: p", "save_checkpoint_steps: 1") + "  - type: CheckpointMonitor\n",
            "6:5: callbacks[2]: a second checkpoint callback",
        ),
    ),
)
def test_problems(text: str, what: str) -> None:
    """Whatever would leave glmd without shards to find is a problem before anything starts."""
    _, findings = saving_of(text)
    assert any(what in str(problem) for problem in findings.problems), findings.problems


@pytest.mark.parametrize(
    ("runner", "tag", "what"),
    (
        ("sink_mode: True, sink_size: 4, epochs: 1", "31_4", ""),
        (
            "sink_mode: True, sink_size: 4, epochs: 1",
            "31_5",
            "31_5 will not be written (with sink_size 4 every tag ends",
        ),
        ("sink_mode: True, sink_size: -1, epochs: 1", "31_5", ""),
        ("sink_mode: False, epochs: 3", "4_100", "4_100 will not be written (epochs is 3)"),
        ("sink_mode: False, epochs: 3", "3_100", ""),
        ("epochs: 1", "last", ""),
    ),
)
def test_tags_that_cannot_be(runner: str, tag: str, what: str) -> None:
    """A tag that the run will not write is a warning, where that can be known."""
    text = callback("prefix: p", "save_checkpoint_steps: 1")
    _, findings = saving_of(f"{text}runner_config: {{{runner}}}\nglmd:\n  merge:\n    tag: {tag}\n")
    assert findings.problems == []
    assert what in "".join(map(str, findings.warnings))
    assert bool(what) == bool(findings.warnings)
