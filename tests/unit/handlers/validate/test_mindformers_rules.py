"""Promises of handlers.validate.mindformers_rules."""

import pytest

from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B
from handlers.units.devices import format_devices
from handlers.validate.document import parse
from handlers.validate.glmd_section import GlmdSection
from handlers.validate.mindformers_rules import (
    Parallel,
    Target,
    check_device_target,
    check_parallel,
    check_parts,
    check_run_mode,
)
from handlers.validate.problem import Findings

GLM_6B = dialect_of(OF_GLM_6B)


def parallel_of(text: str, ranks: int = 8, target: Target = "Ascend") -> tuple[Parallel, Findings]:
    """Check the parallel settings in `text` for so many devices."""
    findings = Findings()
    root, told = parse(text.encode(), "a.yaml").root, f"devices {format_devices(range(ranks))}"
    return check_parallel(root, ranks, target, GLM_6B, findings, told), findings


def config(mode: object = 1, data: object = 1, model: object = 8, stages: object = 1, more: str = "") -> str:
    """Return parallel settings as YAML."""
    return (
        f"parallel:\n  parallel_mode: {mode}\n  enable_parallel_optimizer: True\n"
        f"parallel_config:\n  data_parallel: {data}\n  model_parallel: {model}\n  pipeline_stage: {stages}\n{more}"
    )


def test_a_product_that_does_not_fit() -> None:
    """Ranks that the devices do not give are reported at the factor to change, with the whole sum."""
    _, findings = parallel_of(config(), ranks=4)
    assert str(findings.problems[0]) == (
        "6:19: parallel_config.model_parallel: 8 does not fit 4 devices "
        "(data_parallel 1 × model_parallel 8 × pipeline_stage 1 = 8, but devices [0,4) are 4)"
    )


@pytest.mark.parametrize(
    ("text", "ranks", "what"),
    (
        (config(model=1), 8, "4:1: parallel_config: uses one of 8 devices"),
        (config(model=2), 1, "6:19: parallel_config.model_parallel: 2 does not fit 1 device "),
        (config(model=1, data=2), 8, "5:18: parallel_config.data_parallel: 2 does not fit 8 devices"),
        (config(model=2, stages=4), 8, "micro_batch_num 1 is less than pipeline_stage 4"),
        (config(model=2, stages=4, more="  micro_batch_num: 3\n"), 8, "8:20: parallel_config.micro_batch_num"),
        (config(mode=0, model=1, stages=2), 8, "2 needs parallel_mode 1 or 2"),
        (config(mode=3), 8, "merging hybrid parallel shards is not in this version"),
        (config(mode=4), 8, "2:18: parallel.parallel_mode: 4 is not supported"),
        (config(mode="True"), 8, "True is not supported"),
        (config(mode="STAND_ALONE"), 8, "'STAND_ALONE' is not supported"),
        (config(mode="semi_auto_parallel"), 8, "knows these names in capitals: SEMI_AUTO_PARALLEL, or 1"),
        (config(mode="[1]"), 8, "a list is not supported"),
        (config(model="eight"), 8, "6:19: parallel_config.model_parallel: 'eight' is not a whole number from 1 on"),
        (config(model=0), 8, "0 is not a whole number from 1 on"),
        (config(model="True"), 8, "True is not a whole number"),
        (config(data="8.0"), 8, "8.0 is not a whole number"),
        (config(data="9" * 80), 8, "is not a whole number"),
    ),
)
def test_parallel_problems(text: str, ranks: int, what: str) -> None:
    """Each rule of MindFormers, and each layout that the merge would refuse after hours, is a problem beforehand."""
    _, findings = parallel_of(text, ranks)
    assert any(what in str(problem) for problem in findings.problems), findings.problems


@pytest.mark.parametrize(
    ("text", "mode", "by_strategy"),
    (
        (config(), 1, True),
        (config(data=2, model=4), 1, True),
        (config(model=2, stages=4, more="  micro_batch_num: 4\n"), 1, True),
        (config(mode=2, data=2, model=2, stages=2, more="  micro_batch_num: 8\n"), 2, True),
        (config(mode="SEMI_AUTO_PARALLEL"), 1, True),
        (config(mode=2), 2, True),
        (config(mode="AUTO_PARALLEL"), 2, True),
        (config(mode=0, model=1), 0, False),
        (config(mode="DATA_PARALLEL", model=1), 0, False),
        ("parallel_config: {}\n", 0, False),
    ),
)
def test_parallel_that_fits(text: str, mode: int, by_strategy: bool) -> None:  # noqa: FBT001 (a table's column)
    """Strategy files come with modes 1 and 2 alone; data parallel ranks need no product.

    A sharded optimizer and pipeline stages are merged like any other layout.
    """
    parallel, findings = parallel_of(text)
    assert findings == Findings()
    assert (parallel.mode, parallel.by_strategy, parallel.ranks) == (mode, by_strategy, 8)


@pytest.mark.parametrize(
    ("text", "target", "what"),
    (
        (config(mode=0), "Ascend", "parallel_config.model_parallel: 8 has no effect"),
        (config(), "CPU", "parallel: is not data parallel"),
    ),
)
def test_parallel_warnings(text: str, target: Target, what: str) -> None:
    """What runs, but hardly as meant, is a warning."""
    _, findings = parallel_of(text, target=target)
    assert findings.problems == []
    assert what in str(findings.warnings[0])


def test_no_product_without_devices() -> None:
    """Devices that are not known give no second problem."""
    assert parallel_of(config(), ranks=0)[1].problems == []


@pytest.mark.parametrize(
    ("text", "what"),
    (
        ("output_dir: /data/out\n", "output_dir: '/data/out' lies outside the job"),
        ("output_dir: ../out\n", "lies outside the job"),
        ("output_dir: ./a/../../out\n", "lies outside the job"),
        ("output_dir: ~/out\n", "lies outside the job"),
        ("output_dir: [x]\n", "a list lies outside the job"),
        ("base_config: [a.yaml]\n", "base_config: glmd does not read other files"),
        ("only_save_strategy: True\n", "with True there is nothing to merge"),
        ("parallel: {strategy_ckpt_save_file: /tmp/s.ckpt}\n", "'/tmp/s.ckpt' would not be found"),
        ("parallel: {strategy_ckpt_save_file: ./other.ckpt}\n", "leave it at ./ckpt_strategy.ckpt"),
        ("runner_config: {epochs: 0}\n", "runner_config.epochs: 0 is not a whole number from 1 on"),
        ("runner_config: 3\n", "runner_config: 3 is not a mapping"),
        ("modle: {}\n", "model: is missing (is `modle` meant for it? is this a MindFormers configuration?)"),
        ("parallel:\n", "parallel: is empty"),
    ),
)
def test_parts(text: str, what: str) -> None:
    """What no training goes without, and what would put files where the merge does not look, are problems."""
    findings = Findings()
    check_parts(parse(text.encode(), "a.yaml").root, GLM_6B, findings)
    assert any(what in str(problem) for problem in findings.problems), findings.problems


@pytest.mark.parametrize("path", ("./output", "output", "output/", "./x", "'./a..b'"))
def test_output_inside_the_job(path: str) -> None:
    """An output directory inside the job is no problem; one that is not `output` is not looked at, and a warning."""
    findings = Findings()
    check_parts(parse(f"output_dir: {path}\n".encode(), "a.yaml").root, GLM_6B, findings)
    assert not any(problem.where == "output_dir" for problem in findings.problems)
    assert bool(findings.warnings) == ("output" not in path)


@pytest.mark.parametrize(
    ("text", "section", "mode", "what"),
    (
        ("run_mode: train", GlmdSection(), "train", ""),
        ("run_mode: 'finetune'", GlmdSection(), "finetune", ""),
        ("run_mode: train", GlmdSection(run_mode="finetune"), "finetune", ""),
        ("run_mode: eval", GlmdSection(run_mode="finetune"), "finetune", ""),
        ("seed: 0", GlmdSection(run_mode="train"), "train", ""),
        ("run_mode: eval", GlmdSection(), "train", "1:11: run_mode: 'eval' is no training"),
        ("run_mode: 7", GlmdSection(), "train", "7 is no training"),
        ("runmode: train", GlmdSection(), "train", "run_mode: is missing (is `runmode` meant for it?"),
        ("run_mode:", GlmdSection(), "train", "run_mode: is empty"),
    ),
)
def test_run_mode(text: str, section: GlmdSection, mode: str, what: str) -> None:
    """The section wins over the file, and what does not train is refused."""
    findings = Findings()
    assert check_run_mode(parse(text.encode(), "a.yaml").root, section, findings) == mode
    assert what in "".join(map(str, findings.problems))
    assert bool(what) == bool(findings.problems)


@pytest.mark.parametrize(
    ("text", "target", "what"),
    (
        ("seed: 0", "Ascend", ""),
        ("context: {device_target: Ascend}", "Ascend", ""),
        ("context: {device_target: CPU}", "CPU", ""),
        ("context: {device_target: GPU}", "Ascend", "1:26: context.device_target: 'GPU' is not supported"),
        ("context: {device_target: [CPU]}", "Ascend", "a list is not supported"),
    ),
)
def test_device_target(text: str, target: str, what: str) -> None:
    """Ascend is the default, CPU is for rehearsals, a GPU is refused."""
    findings = Findings()
    assert check_device_target(parse(text.encode(), "a.yaml").root, findings) == target
    assert what in "".join(map(str, findings.problems))
    assert bool(what) == bool(findings.problems)
