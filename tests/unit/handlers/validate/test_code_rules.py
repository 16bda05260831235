"""A dropped file lets no code run that root has not allowed, whatever key brings it, and however deep it stands."""

from pathlib import Path

import pytest

from handlers.codes import Code
from handlers.mindformers.foreign_code import ForeignCode
from handlers.mindformers.version import Version
from handlers.records.checked import CodeLook
from handlers.validate.code_rules import check_code
from handlers.validate.document import parse
from handlers.validate.overrides import with_overrides
from handlers.validate.problem import Findings

TODAY = Version(1, 9)
NOTHING: frozenset[ForeignCode] = frozenset()
BY_PATH = frozenset({ForeignCode.REGISTER_PATH})


def found(
    text: str,
    allowed: frozenset[ForeignCode] = NOTHING,
    version: Version | None = TODAY,
    *,
    has_register_path: bool = False,
) -> tuple[Findings, Path | None]:
    """Return what is found in a file, and the register path."""
    findings = Findings()
    root = with_overrides(parse(text.encode(), "a.yaml")).document.root
    return findings, check_code(root, allowed, version, findings, has_register_path=has_register_path)


WAYS = (
    ("register_path: /srv/code\n", "1:16: register_path", ForeignCode.REGISTER_PATH),
    ("model:\n  arch: {auto_register: m.C, type: C}\n", "2:25: model.arch.auto_register", ForeignCode.REGISTER_PATH),
    ("callbacks:\n  - {type: C, auto_register: m.C}\n", "2:30: callbacks[0].auto_register", ForeignCode.REGISTER_PATH),
    (
        "model: {model_config: {auto_map: {AutoConfig: m.C}}}\n",
        "1:24: model.model_config.auto_map",
        ForeignCode.REGISTER_PATH,
    ),
    ("trust_remote_code: True\n", "1:20: trust_remote_code", ForeignCode.TRUST_REMOTE_CODE),
    ("trust_remote_code: 'False'\n", "1:20: trust_remote_code", ForeignCode.TRUST_REMOTE_CODE),
    (
        "train_dataset:\n  data_loader:\n    handler:\n      - {tokenizer: {trust_remote_code: 1}}\n",
        "4:41: train_dataset.data_loader.handler[0].tokenizer.trust_remote_code",
        ForeignCode.TRUST_REMOTE_CODE,
    ),
    ("load: {load_func: anything}\n", "1:19: load.load_func", ForeignCode.TRUST_REMOTE_CODE),
    ("load: {path: pandas, data_files: /d/x.pkl}\n", "1:14: load.path", ForeignCode.PICKLE),
    ("data_loader: {type: Cifar100DataLoader}\n", "1:21: data_loader.type", ForeignCode.PICKLE),
    ("callbacks: [{type: StressTestModelMonitor}]\n", "1:20: callbacks[0].type", ForeignCode.STRESS_TEST),
)


@pytest.mark.parametrize(("text", "where", "way"), WAYS)
def test_code_runs_only_where_the_settings_allow_it(text: str, where: str, way: ForeignCode) -> None:
    """Refused with place, reason and the setting; another permission does not help, its own does."""
    for allowed in (NOTHING, frozenset(ForeignCode) - {way}):
        (problem,) = [one for one in found(text, allowed)[0].problems if "would run code" in one.message]
        assert str(problem).startswith(f"{where}: would run code as the user of glmd (it ")
        assert problem.hint.endswith(f"take it out, or have root add it to the settings: training.allow_code: [{way}]")
        assert problem.code is Code.CONFIG_FOREIGN_CODE
    assert not [one for one in found(text, frozenset({way}))[0].problems if "would run code" in one.message]


@pytest.mark.parametrize(
    "text",
    (
        "register_path:\ntrust_remote_code: False\nmodel: {model_config: {auto_map: }}\n",
        "load: {load_func: load_from_disk, path: /data/pandas}\n",
        "load: {load_func: load_dataset, path: json}\ntype: [Cifar100DataLoader]\n",
        "trust_remote_codes: True\nname: trust_remote_code\npath: 3\n",
    ),
)
def test_what_runs_nothing_is_left_alone(text: str) -> None:
    """The stock YAMLs say False, and name formats and functions that only read."""
    assert found(text)[0] == Findings()


def test_an_override_is_no_way_around() -> None:
    """What it sets is held against the same rules, at its own line."""
    overrides = "    trust_remote_code: True\n    model.arch.auto_register: m.C\n"
    text = f"model: {{arch: {{type: C}}}}\nglmd:\n  overrides:\n{overrides}"
    problems = sorted(found(text)[0].problems, key=lambda problem: problem.line)
    assert [(problem.line, problem.where) for problem in problems] == [
        (4, "trust_remote_code"),
        (5, "model.arch.auto_register"),
    ]


def test_anchors_and_merge_keys_are_no_way_around() -> None:
    """A value that is harmless under one key may not be under another."""
    text = "a: &yes True\nb: {<<: {trust_remote_code: *yes}}\nc: &c {x: 1}\nauto_map: *c\n"
    assert sorted(problem.where for problem in found(text)[0].problems) == ["auto_map", "b.trust_remote_code"]


def test_a_script_of_a_data_set_runs_where_datasets_2_does_it_unasked(tmp_path: Path) -> None:
    """MindFormers 1.3 to 1.6 want datasets 2.18; from 1.7 on it is 4.0, which runs none."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "corpus.py").touch()
    (tmp_path / "plain").mkdir()
    here = (f"{tmp_path}/corpus", f"{tmp_path}/corpus/", f"{tmp_path}/corpus/corpus.py")
    for path in (*here, "corpus.py", "organization/corpus"):
        text = f"data_loader: {{path: {path}}}\n"
        for version in (Version(1, 6), None):
            (problem,) = found(text, version=version)[0].problems
            assert problem.where == "data_loader.path"
        assert found(text, version=Version(1, 7))[0].problems == []
    for path in (f"{tmp_path}/plain", f"{tmp_path}/absent", "json"):
        assert found(f"data_loader: {{path: {path}}}\nother: {{path: a}}\n", version=Version(1, 6))[0] == Findings()


def test_an_allowed_register_path_is_a_directory_from_the_root(tmp_path: Path) -> None:
    """It is what the training is told; anything else is refused before devices are taken."""
    findings, path = found(f"register_path: {tmp_path}\nmodel: {{arch: {{auto_register: m.C}}}}\n", BY_PATH)
    assert (findings.problems, path) == ([], tmp_path)
    assert [look.way for look in findings.looks if isinstance(look, CodeLook)] == ["register_path", "register_path"]
    (tmp_path / "file").write_text("x")
    for wrong, said in ((tmp_path / "absent", "is not there"), (tmp_path / "file", "is a file"), ("code", "relative")):
        findings, path = found(f"register_path: {wrong}\n", BY_PATH)
        assert path is None
        assert said in str(findings.problems)


@pytest.mark.parametrize("reference", ("/srv--m.C", "org/name--m.C", "/srv/m.C", "../m.C", "C", "a.b.C", "[1]", "3"))
def test_a_class_comes_from_nowhere_but_the_register_path(tmp_path: Path, reference: str) -> None:
    """MindFormers itself follows `DIR--module.Class`, and paths in the place of the module."""
    text = f"register_path: {tmp_path}\nmodel: {{arch: {{auto_register: {reference}}}}}\n"
    (problem,) = found(text, BY_PATH)[0].problems
    assert problem.where == "model.arch.auto_register"
    assert "is no class of a module in register_path" in problem.message


def test_a_class_of_the_files_own_needs_a_register_path() -> None:
    """The file's, or one that the settings give every training."""
    text = "model: {arch: {auto_register: m.C}}\n"
    (problem,) = found(text, BY_PATH)[0].problems
    assert str(problem) == "1:1: register_path: is missing (model.arch.auto_register imports from there)"
    assert found(text, BY_PATH, has_register_path=True)[0].problems == []
