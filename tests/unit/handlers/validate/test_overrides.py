"""What overrides set, what of them is refused and where, and what runs then."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.codes import Code
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B
from handlers.resume.config import Beginning, beginning_with
from handlers.validate.document import parse
from handlers.validate.glmd_section import read_section
from handlers.validate.overrides import with_overrides
from handlers.validate.problem import ConfigError
from handlers.validate.written_out import written_out
from handlers.validate.yaml_nodes import Data

WEIGHTS = Path("/data/resume_from")
FILE = """\
# A comment
seed: 0
runner_config: {epochs: 1, sink_size: 4}
train_dataset: &data
  data_loader: {type: MindDataset, dataset_dir: /a}
train_dataset_task:
  dataset_config: *data
context:
callbacks:
  - type: MFLossMonitor
  - {type: CheckpointMonitor, prefix: glm, keep_checkpoint_max: 2}
"""


def overridden(*overrides: str) -> str:
    """Return the file with a section of these, each a line from line 14 on."""
    return FILE + "glmd:\n  overrides:\n" + "".join(f"    {each}\n" for each in overrides)


def data_of(content: bytes) -> object:
    """Read what runs."""
    return parse(content, "config.yaml").root.data


def test_values_are_set() -> None:
    """In mappings and lists; the last key may be new; all else is what it was."""
    text = overridden(
        "runner_config.epochs: 2", "runner_config.stop_step: 7", "callbacks.1.keep_checkpoint_max: 5", "seed:",
        "callbacks.0: {type: SummaryMonitor}", "new: [1, {a: 5.e-5}]", "train_dataset.data_loader.dataset_dir: /b",
    )  # fmt: skip
    found = with_overrides(parse(text.encode(), "a.yaml"))
    assert found.problems == ()
    config = found.config(1 << 20)
    assert data_of(config) == {
        "seed": None,
        "runner_config": {"epochs": 2, "sink_size": 4, "stop_step": 7},
        "train_dataset": {"data_loader": {"type": "MindDataset", "dataset_dir": "/b"}},
        # What an alias names elsewhere stays; MindFormers puts train_dataset over it.
        "train_dataset_task": {"dataset_config": {"data_loader": {"type": "MindDataset", "dataset_dir": "/a"}}},
        "context": None,
        "callbacks": [
            {"type": "SummaryMonitor"},
            {"type": "CheckpointMonitor", "prefix": "glm", "keep_checkpoint_max": 5},
        ],
        "new": [1, {"a": 5e-5}],
    }
    assert config.decode().startswith(
        "# Written by glmd, with what the overrides of the file say:\n#   runner_config.epochs"
    )


def test_a_resumed_run_keeps_them() -> None:
    """It is made from what ran."""
    config = with_overrides(parse(overridden("runner_config.epochs: 2").encode(), "a.yaml")).config(1 << 20)
    resumed = data_of(beginning_with(config, Beginning(WEIGHTS), dialect_of(OF_GLM_6B)))
    assert isinstance(resumed, dict)
    assert (resumed["runner_config"], resumed["resume_training"]) == ({"epochs": 2, "sink_size": 4}, True)


@pytest.mark.parametrize(
    "section", ("", "glmd:\n", "glmd: {priority: 3}\n", "glmd: {overrides: {}}\n", "glmd: {overrides: }\n")
)
def test_without_any_the_file_runs_as_it_is(section: str) -> None:
    """Byte for byte, comments too."""
    found = with_overrides(parse((FILE + section).encode(), "a.yaml"))
    assert (found.set_keys, found.problems) == ((), ())
    assert found.config(1 << 20).decode() == FILE


def test_a_problem_with_a_value_is_at_the_override() -> None:
    """Not where the file said something else before."""
    document = with_overrides(parse(overridden("runner_config.epochs: two").encode(), "a.yaml")).document
    place = document.root["runner_config"]["epochs"]
    said = str(place.problem(Code.CONFIG_NUMBER, "is no number"))
    assert said == "14:27: runner_config.epochs: is no number"
    assert place.problem(Code.CONFIG_NUMBER, "").excerpt == "    runner_config.epochs: two"


@pytest.mark.parametrize(
    ("override", "said"),
    (
        ("runer_config.epochs: 2", "'runer_config' is not a key of the file (did you mean `runner_config`?)"),
        ("runner_config.a.b: 2", "'a' is not a key of runner_config"),
        ("context.mode: 0", "context is empty, and has no keys"),
        ("seed.a: 0", "seed is 0, and has no keys"),
        ("callbacks.2.prefix: a", "has no element '2' (callbacks is a list of 2, counted from 0)"),
        ("callbacks.-1.prefix: a", "has no element '-1'"),
        ("callbacks.last: a", "has no element 'last'"),
        ("callbacks.99999999999999999999.prefix: a", "has no element"),
        ("callbacks.01.prefix: a", "has no element '01'"),
        ("a" + ".b" * 60 + ": 3", "is no dotted key"),
        ("glmd.priority: 3", "is glmd's own section: write it there"),
        ("a..b: 3", "is no dotted key"),
        ("'': 3", "is no dotted key"),
    ),
)
def test_what_does_not_fit_in(override: str, said: str) -> None:
    """Is refused at its place: MindFormers' own `--a.b=value` would be."""
    found = with_overrides(parse(overridden(override, "new: 1").encode(), "a.yaml"))
    (problem,) = found.problems
    assert (problem.line, problem.column) == (14, 5)
    assert said in str(problem)
    assert found.document.root["new"].data == 1


def test_one_in_another_is_refused() -> None:
    """Which of them would count would be a riddle."""
    text = overridden("runner_config: {epochs: 3}", "runner_config.epochs: 2")
    (problem,) = with_overrides(parse(text.encode(), "a.yaml")).problems
    assert "15:5: glmd.overrides.runner_config.epochs: lies in 'runner_config', which is overridden too" in str(problem)


@pytest.mark.parametrize("wrong", ("[a]", "3", "a.b=3"))
def test_what_is_no_mapping_sets_nothing(wrong: str) -> None:
    """The section's own check says so."""
    found = with_overrides(parse(f"{FILE}glmd: {{overrides: {wrong}}}\n".encode(), "a.yaml"))
    assert (found.set_keys, found.problems) == ((), ())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
PARTS = st.sampled_from(
    ("seed", "runner_config", "epochs", "callbacks", "0", "1", "prefix", "context", "new", "", "glmd")
)


@given(st.dictionaries(st.lists(PARTS, min_size=1, max_size=4).map(".".join), VALUES, max_size=4))
def test_whatever_they_say(overrides: dict[str, Data]) -> None:
    """They are refused at their place, or what runs is read with them; the section can be kept as JSON."""
    lines = written_out(dict(overrides)).decode().replace("\n", "\n    ")
    document = parse(f"{FILE}glmd:\n  overrides:\n    {lines}".encode(), "a.yaml")
    found = with_overrides(document)
    assert all(problem.where.startswith("glmd.overrides") for problem in found.problems)
    assert len(found.set_keys) + len(found.problems) >= bool(overrides)
    if not found.problems:
        ran = with_overrides(parse(found.config(1 << 20), "config.yaml")).document.node.data
        assert {key: value for key, value in found.document.node.data.items() if key != "glmd"} == ran  # type: ignore[union-attr]
    read_section(document.root)[0].model_dump_json()


def test_half_a_character_can_be_kept() -> None:
    """YAML's escapes can make one."""
    section, wrong, _ = read_section(parse(b'glmd: {overrides: {"a\\ud800": "\\udfff"}}\n', "a.yaml").root)
    assert not wrong
    assert section.model_dump_json()


def test_what_becomes_too_much() -> None:
    """Aliases cost nothing in a file, and are written out in what runs."""
    lists = "\n".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in zip("abcd", "bcde", strict=True)
    )
    text = f"a: &a [{', '.join(['1'] * 10)}]\n{lists}\n"
    document = parse(f"{text}x: 0\nglmd: {{overrides: {{x: 1}}}}\n".encode(), "a.yaml")
    with pytest.raises(
        ConfigError, match=r"a.yaml:7:8: glmd.overrides: with all aliases written out there are more than 20000 values"
    ):
        with_overrides(document).config(1 << 20)
    deep = f"a: {'{b: ' * 30}0{'}' * 30}\nglmd: {{overrides: {{a{'.b' * 30}: {'[' * 30}0{']' * 30}}}}}\n"
    with pytest.raises(
        ConfigError, match=r"glmd.overrides: with all aliases written out there are more than .* or 50 levels"
    ):
        with_overrides(parse(deep.encode(), "a.yaml")).config(1 << 20)
    small = parse(b"a: 0\nglmd: {overrides: {a: 1}}\n", "a.yaml")
    with pytest.raises(ConfigError, match="the file has more than 10 bytes"):
        with_overrides(small).config(10)
