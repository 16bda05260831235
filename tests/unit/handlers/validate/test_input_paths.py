"""Promises of handlers.validate.input_paths and data_sets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B
from handlers.validate.data_sets import check_data
from handlers.validate.document import parse
from handlers.validate.problem import Findings

NOBODY = 65534


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a directory with a data set, a vocabulary, and things that are neither."""
    (tmp_path / "train.json").write_text("{}\n")
    (tmp_path / "ice_text.model").write_bytes(b"model")
    (tmp_path / "empty").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("train.json")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def findings_of(text: str) -> Findings:
    """Check the data sets in `text`."""
    findings = Findings()
    check_data(parse(text.encode(), "a.yaml").root, dialect_of(OF_GLM_6B), findings)
    return findings


def data_set(path: str | Path, vocabulary: str | Path | None = None, kind: str = "ADGenDataLoader") -> str:
    """Return a training data set as YAML, with the anchor of the stock files."""
    tokenizer = f"  tokenizer:\n    vocab_file: '{vocabulary}'\n" if vocabulary else ""
    return (
        f"train_dataset: &train_dataset\n  data_loader:\n    type: {kind}\n    dataset_dir: '{path}'\n{tokenizer}"
        "train_dataset_task:\n  type: KeyWordGenDataset\n  dataset_config: *train_dataset\n"
    )


@pytest.mark.parametrize(
    ("name", "kind"), (("train.json", "ADGenDataLoader"), ("link", "ADGenDataLoader"), ("directory", "MindDataset"))
)
def test_what_can_be_read(data: Path, name: str, kind: str) -> None:
    """A file, a link to one, and for loaders that take it a directory, are good."""
    assert findings_of(data_set(data / name, data / "ice_text.model", kind)) == Findings()


@pytest.mark.parametrize(
    ("name", "what"),
    (
        ("nowhere.json", "is not there"),
        ("train.json/x", "is not there"),
        ("empty", "is an empty file"),
        ("fifo", "is neither a file nor a directory"),
        ("directory", "is a directory"),
        ("loop", "cannot be looked at: Too many levels of symbolic links"),
        ("x" * 300, "cannot be looked at: File name too long"),
    ),
)
def test_what_cannot_be_read(data: Path, name: str, what: str) -> None:
    """Each is one problem at the path in the file, though an alias names it too."""
    problems = findings_of(data_set(data / name)).problems
    assert [(problem.line, problem.where) for problem in problems] == [(4, "train_dataset.data_loader.dataset_dir")]
    assert what in problems[0].message


@pytest.mark.parametrize(
    ("path", "what"),
    (
        ("''", "'' is no path"),
        ("7", "7 is no path"),
        ("train.json", "'train.json' is a relative path"),
        ("~/train.json", "is a relative path"),
        ("/path/to/train.json", "is not there (write the real path)"),
        ('"/a\\0b"', "embedded null"),
        ('"/\\ud800"', "cannot be looked at"),
    ),
)
def test_what_is_no_path(path: str, what: str) -> None:
    """What cannot name a file, for a rank in a directory of its own, is a problem."""
    text = data_set("PATH").replace("'PATH'", path)
    assert [what in str(problem) for problem in findings_of(text).problems] == [True]


@pytest.fixture
def as_another_user() -> Iterator[None]:
    """Let root be somebody else, whom file modes bind; any other user is bound already."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(user)


def test_what_this_user_may_not_read(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Files without permission, and files behind a directory without it, are told apart from missing ones."""
    closed, secret = tmp_path / "closed", tmp_path / "secret.json"
    closed.mkdir()
    for file in (secret, closed / "train.json"):
        file.write_text("{}")
    secret.chmod(0)
    closed.chmod(0)
    for parent in tmp_path.parents:
        if parent.name.startswith(("pytest-", "popen-")):  # made by pytest, for this user alone
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    request.getfixturevalue("as_another_user")
    assert "cannot be read by this user" in str(findings_of(data_set(secret)).problems[0])
    assert "cannot be reached by this user" in str(findings_of(data_set(closed / "train.json")).problems[0])


@pytest.mark.parametrize(
    ("text", "what"),
    (
        ("seed: 0\n", "train_dataset: is missing"),
        ("train_dataset: {}\ntrain_dataset_task: {a: 1}\n", "train_dataset.data_loader: is missing"),
        ("train_dataset: {data_loader: {type: MindDataset}}\n", "train_dataset.data_loader.dataset_dir: is missing"),
        ("train_dataset: {data_loader: {dataset_files: [/nowhere]}}\n", "dataset_files[0]: '/nowhere' is not there"),
        ("train_dataset: {data_loader: {dataset_files: /nowhere}}\n", "dataset_files: '/nowhere' is not there"),
        ("train_dataset: {data_loader: {dataset_files: /nowhere}}\n", "train_dataset_task: is missing"),
        ("train_dataset_task: {dataset_config: {data_loader: {dataset_dir: /n}}}", "dataset_dir: '/n' is not there"),
        (data_set("/n", "/nowhere/ice_text.model"), "vocab_file: '/nowhere/ice_text.model' is not there"),
        ("do_eval: True\n", "eval_dataset: is missing"),
    ),
)
def test_incomplete_data_sets(text: str, what: str) -> None:
    """What MindFormers would look for in vain is a problem."""
    assert any(what in str(problem) for problem in findings_of(text).problems)


def test_evaluation_data_counts_only_when_used(data: Path) -> None:
    """The stock files' /path/to/dev.json is left in peace without do_eval."""
    text = data_set(data / "train.json") + "eval_dataset: {data_loader: {dataset_dir: /path/to/dev.json}}\n"
    assert findings_of(text + "do_eval: False\n") == Findings()
    problems = findings_of(text + "do_eval: True\neval_dataset_task: {type: X}\n").problems
    assert [problem.where for problem in problems] == ["eval_dataset.data_loader.dataset_dir"]


def test_vocabulary_of_the_processor_is_a_warning(data: Path) -> None:
    """Training does not use the processor's tokenizer, so a wrong path there does not refuse the file."""
    findings = findings_of(data_set(data / "train.json") + "processor: {tokenizer: {vocab_file: /nowhere}}\n")
    assert findings.problems == []
    assert "processor.tokenizer.vocab_file: '/nowhere' is not there" in str(findings.warnings[0])
