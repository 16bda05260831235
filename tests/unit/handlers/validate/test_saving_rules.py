"""Promises of handlers.validate.saving_rules."""

import pytest

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


@pytest.mark.parametrize(
    ("version", "line", "what"),
    (
        ("1.6", "use_legacy: False", "use_legacy: False is not in this version of glmd"),
        ("1.5", "use_legacy: False", ""),
        ("1.7", "use_legacy_format: False", "use_legacy_format: False is not in this version of glmd"),
        ("1.9", "checkpoint: {load_path: /a}", "checkpoint: is not in this version of glmd"),
        ("1.6", "checkpoint: {load_path: /a}", ""),
        ("1.9", "use_legacy_format: True", ""),
    ),
)
def test_other_forms_of_saves(version: str, line: str, what: str) -> None:
    """What glmd does not merge yet is refused by name, where MindFormers knows the key at all."""
    text = callback(
        "prefix: p", "save_checkpoint_steps: 1", kind=dialect_of(Version.parse(version)).checkpoint_callback
    )
    _, findings = saving_of(f"{text}{line}\n", version)
    assert [what in str(problem) for problem in findings.problems] == ([True] if what else [])


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
        (callback("prefix: p", "save_checkpoint_steps: 1", "remove_redundancy: True"), "without their replicas"),
        (callback("prefix: p", "save_checkpoint_steps: 1", "checkpoint_format: safetensors"), "not in this version"),
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
