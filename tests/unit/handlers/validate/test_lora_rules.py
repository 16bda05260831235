"""Promises of handlers.validate.lora_rules: what the merge would refuse after the training is refused before it."""

from pathlib import Path

import pytest

from handlers.ckpt.planning.lora import LoraScale
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.validate.document import parse
from handlers.validate.glmd_section import read_section
from handlers.validate.lora_rules import check_adapters, check_lora
from handlers.validate.mindformers_rules import Parallel
from handlers.validate.problem import Findings

DATA_PARALLEL = Parallel(0, 1, 8, 1, 8, "Ascend")
ONE_SLICE = Parallel(1, 8, 1, 1, 8, "Ascend")
CUT = Parallel(1, 2, 4, 1, 8, "Ascend")
PET = "pet_config: {pet_type: lora, lora_rank: 8, lora_alpha: 32, target_modules: '.*query_key_value*'}"


def checked(
    wish: str,
    parallel: Parallel = DATA_PARALLEL,
    pet: str = PET,
    more: str = "",
    version: Version = OF_GLM_6B,
) -> tuple[LoraScale | None, Findings]:
    """Check a file with this `merge` wish and this part of its model."""
    text = f"model:\n  model_config:\n    type: GLMConfig\n    {pet}\nglmd:\n  merge: {{{wish}}}\n{more}"
    root = parse(text.encode(), "a.yaml").root
    section, wrong, _ = read_section(root)
    assert not wrong
    findings = Findings()
    return check_lora(root, section, parallel, findings, version), findings


@pytest.mark.parametrize("parallel", (DATA_PARALLEL, ONE_SLICE), ids=("data parallel", "mp 1"))
def test_merging_takes_alpha_and_rank_along(parallel: Parallel) -> None:
    """What the merge scales by is what the training is given."""
    assert checked("lora: merge", parallel) == (LoraScale(32, 8), Findings())


@pytest.mark.parametrize("wish", ("tag: last", "lora: keep", "lora: only"))
def test_other_wishes_need_no_alpha(wish: str) -> None:
    """Adapters that are not added to anything are not scaled."""
    assert checked(wish, pet="pet_config: {pet_type: lora, lora_rank: 8}") == (None, Findings())


@pytest.mark.parametrize("lora", ("merge", "only"))
def test_there_must_be_adapters(lora: str) -> None:
    """A full run with `lora: merge` would train for a week and be refused."""
    _, findings = checked(f"lora: {lora}", pet="")
    (problem,) = findings.problems
    assert (problem.line, problem.column, problem.where) == (6, 17, "glmd.merge.lora")
    assert f"'{lora}' is for a LoRA run, and the file has no pet_config" in str(problem)


def test_full_runs_need_nothing() -> None:
    """A file without adapters is all right, however it is cut."""
    assert checked("tag: last", CUT, pet="") == (None, Findings())


def test_merging_needs_alpha() -> None:
    """The problem stands where alpha would."""
    _, findings = checked("lora: merge", pet="pet_config: {pet_type: lora, lora_rank: 8}")
    assert [problem.where for problem in findings.problems] == ["model.model_config.pet_config.lora_alpha"]


@pytest.mark.parametrize("wish", ("tag: last", "lora: keep", "lora: merge", "lora: only, transformed: true"))
def test_frozen_slices_need_a_layout(wish: str) -> None:
    """The run's own strategy files do not name them."""
    _, findings = checked(wish, CUT)
    (problem,) = findings.problems
    assert problem.where == "model.model_config.pet_config"
    assert "with model_parallel 4 nothing says how the frozen weights are cut" in str(problem)
    assert "layout_from" in str(problem)


OLD = "pet: {pet_type: lora, pet_config: {lora_rank: 8, lora_alpha: 32}}"
"""The form of MindFormers 0.6."""
STRATEGY = "parallel: {{strategy_ckpt_config: {{only_trainable_params: {}}}}}"


@pytest.mark.parametrize("wish", ("tag: last", "lora: keep", "lora: merge", "lora: only, transformed: true"))
def test_strategy_files_may_name_all_weights(wish: str) -> None:
    """What is named by the run's own strategy needs no other's."""
    assert checked(wish, CUT, more=STRATEGY.format("False"))[1] == Findings()
    _, findings = checked(wish, CUT, more=STRATEGY.format("True"))
    (problem,) = findings.problems
    assert "set `parallel: strategy_ckpt_config: {only_trainable_params: False}`" in problem.hint


def test_the_mend_is_one_that_the_version_has() -> None:
    """Up to 0.7 MindFormers goes with a MindSpore that does not know the setting."""
    _, findings = checked("lora: keep", CUT, OLD, version=Version(0, 6))
    (problem,) = findings.problems
    assert problem.hint.startswith("give `glmd: merge: layout_from`")


@pytest.mark.parametrize("wish", ("tag: last", "lora: merge"))
def test_the_form_of_0_6_is_looked_at_alike(wish: str) -> None:
    """The merge would refuse its frozen slices after the training, whatever the section is called."""
    _, findings = checked(wish, CUT, OLD)
    (problem,) = findings.problems
    assert (problem.line, problem.column, problem.where) == (4, 5, "model.model_config.pet")
    assert "with model_parallel 4 nothing says how the frozen weights are cut" in str(problem)
    assert checked("lora: merge", pet=OLD) == (LoraScale(32, 8), Findings())


@pytest.mark.parametrize(
    ("pet", "problems", "warnings"),
    (
        ("pet_config: {pet_type: ptuning2, pre_seq_len: 16}", 1, 0),
        ("pet_config: {pet_type: prefixtuning}", 1, 0),
        ("pet_config: {pet_type: something_new}", 0, 1),
        ("pet_config: {}", 0, 0),
    ),
)
def test_other_adapters_freeze_the_network_too(pet: str, problems: int, warnings: int) -> None:
    """Of an unknown kind it is not known what is frozen; an empty section asks for nothing."""
    _, findings = checked("tag: last", CUT, pet)
    assert (len(findings.problems), len(findings.warnings)) == (problems, warnings)


def test_adapters_alone_need_no_layout() -> None:
    """The frozen weights stay behind."""
    assert checked("lora: only", CUT)[1] == Findings()


def test_a_layout_given(tmp_path: Path) -> None:
    """With the strategy of a full run all modes are open, and it must be there before the training starts."""
    path = tmp_path / "ckpt_strategy_rank_0.ckpt"
    path.write_bytes(b"strategy")
    assert checked(f"lora: merge, layout_from: {path}", CUT) == (LoraScale(32, 8), Findings())
    assert checked(f"layout_from: {tmp_path}", CUT) == (None, Findings())
    path.unlink()
    _, findings = checked(f"lora: merge, layout_from: {path}", CUT)
    (problem,) = findings.problems
    assert problem.where == "glmd.merge.layout_from"
    assert "is not there" in str(problem)


@pytest.mark.parametrize(
    ("pet", "what"),
    (
        ("{pet_type: lora}", "pet_config.target_modules: is missing"),
        ("{pet_type: lora, target_modules: '*dense'}", "'*dense' is no regular expression (nothing to repeat"),
        ("{pet_type: lora, target_modules: [dense]}", "a list is no regular expression"),
        ("{pet_type: lora, target_modules: '.*dense*'}", ""),
        ("{pet_type: prefixtuning}", ""),
        ("lora", ""),
    ),
)
def test_what_ends_a_training_at_its_start(pet: str, what: str) -> None:
    """LoraModel raises without target_modules; `re.match` without a regular expression."""
    findings = Findings()
    check_adapters(parse(f"model: {{model_config: {{pet_config: {pet}}}}}".encode(), "a.yaml").root, findings)
    assert [what in str(problem) for problem in findings.problems] == [True] * bool(what)


@pytest.mark.parametrize(
    ("text", "version", "what"),
    (
        ("model: {model_config: {pet: {pet_type: lora}}}", Version(0, 6), ""),
        (
            "model: {model_config: {pet: {pet_type: lora}}}",
            Version(0, 8),
            "model.model_config.pet: MindFormers from 0.7 on",
        ),
        (
            "model: {arch: {pet: {pet_type: lora}}}",
            Version(0, 7),
            "model.arch.pet: MindFormers from 0.7 on does not read",
        ),
        ("model: {model_config: {pet_config: {pet_type: lora}}}", Version(0, 7), ""),
        ("model: {model_config: {pet_config: {pet_type: Lora}}}", Version(1, 0), "has no model for 'Lora'"),
        ("model: {model_config: {pet_config: {pet_type: ptuning2}}}", Version(1, 2), ""),
        ("pet_config: {pet_type: lora}", Version(1, 0), "1:1: pet_config: MindFormers does not look here"),
        ("model: {pet_config: {pet_type: lora}, model_config: {}}", Version(1, 0), "does not look here"),
        ("model: {model_config: {type: GLMConfig}}", Version(1, 0), ""),
    ),
)
def test_adapters_that_will_not_be_made_are_a_warning(text: str, version: Version, what: str) -> None:
    """The whole network would be trained without a word. Up to 0.7 the model's class names the layers."""
    findings = Findings()
    check_adapters(parse(text.encode(), "a.yaml").root, findings, version)
    assert findings.problems == []
    assert [what in str(warning) for warning in findings.warnings] == [True] * bool(what)
