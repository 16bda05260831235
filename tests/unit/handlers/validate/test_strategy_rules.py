"""Promises of handlers.validate.strategy_rules: strategy files come where the merge looks for them."""

import pytest

from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B, Version
from handlers.validate.document import parse
from handlers.validate.problem import Findings
from handlers.validate.strategy_rules import check_strategy_files, names_frozen_weights

BOTH = "strategy_ckpt_save_file: ./ckpt_strategy.ckpt, strategy_ckpt_config: {save_file: ./ckpt_strategy.ckpt}"


def checked(parallel: str, version: Version = OF_GLM_6B) -> Findings:
    """Check a file with these settings under `parallel`."""
    findings = Findings()
    check_strategy_files(parse(f"parallel: {{{parallel}}}".encode(), "a.yaml").root, dialect_of(version), findings)
    return findings


@pytest.mark.parametrize(
    ("parallel", "what"),
    (
        ("strategy_ckpt_save_file: /tmp/s.ckpt", "1:37: parallel.strategy_ckpt_save_file: '/tmp/s.ckpt' would not be"),
        ("strategy_ckpt_config: {save_file: /tmp/s.ckpt}", "parallel.strategy_ckpt_config.save_file: '/tmp/s.ckpt' w"),
        ("strategy_ckpt_config: {save_file: ./other.ckpt}", "leave it at ./ckpt_strategy.ckpt"),
        ("strategy_ckpt_config: {save_file: [x]}", "a list would not be found"),
        ("strategy_ckpt_config: ./ckpt_strategy.ckpt", "'./ckpt_strategy.ckpt' is not a mapping"),
        ("strategy_ckpt_config: {only_trainable_params: 'False'}", "'False' is neither True nor False"),
        ("strategy_ckpt_config: {only_trainable_param: False}", "only_trainable_param: MindSpore does not know it"),
        (BOTH, "strategy_ckpt_config.save_file: would not be found, because of strategy_ckpt_save_file"),
    ),
)
def test_what_would_not_be_found(parallel: str, what: str) -> None:
    """Files elsewhere are missed after the training; what MindSpore does not take ends it as it begins."""
    (problem,) = checked(parallel).problems
    assert what in str(problem)


@pytest.mark.parametrize(
    ("parallel", "version"),
    (
        ("parallel_mode: 1", OF_GLM_6B),
        ("strategy_ckpt_config: ", OF_GLM_6B),
        ("strategy_ckpt_save_file: ./ckpt_strategy.ckpt", OF_GLM_6B),
        ("strategy_ckpt_config: {save_file: ckpt_strategy.ckpt, only_trainable_params: True}", OF_GLM_6B),
        ("strategy_ckpt_config: {only_trainable_params: False, load_file: ''}", OF_GLM_6B),
        (
            "strategy_ckpt_save_file: ./ckpt_strategy.ckpt, strategy_ckpt_config: {only_trainable_params: False}",
            OF_GLM_6B,
        ),
        (
            "strategy_ckpt_config: {save_file: ./ckpt_strategy.ckpt}, strategy_ckpt_save_file: ckpt_strategy.ckpt",
            OF_GLM_6B,
        ),
        (BOTH, Version(1, 0)),
    ),
)
def test_what_will_be_found(parallel: str, version: Version) -> None:
    """The stock files' values are right, in either setting; of two the later counts, up to 0.8."""
    assert checked(parallel, version) == Findings()


@pytest.mark.parametrize(
    ("config", "named"),
    (("{only_trainable_params: False}", True), ("{only_trainable_params: True}", False), ("{}", False), ("x", False)),
)
def test_who_is_named(config: str, *, named: bool) -> None:
    """MindSpore names what is trained alone, unless it is told otherwise."""
    root = parse(f"parallel: {{strategy_ckpt_config: {config}}}".encode(), "a.yaml").root
    assert names_frozen_weights(root) == named
