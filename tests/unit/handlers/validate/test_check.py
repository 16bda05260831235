"""Promises of handlers.validate.check: whole files, as users drop them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.ckpt.planning.lora import LoraScale
from handlers.gate.gate import Gate
from handlers.mindformers.version import Version
from handlers.rank_table.topology import Topology
from handlers.records.checked import PathLook
from handlers.validate.check import CheckedConfig, Rules, check
from handlers.validate.document import parse
from handlers.validate.gate_rules import GateRules
from handlers.validate.problem import ConfigError

FINETUNE = """\
# A finetune in the shape of the stock file.
seed: 0
run_mode: 'train'
output_dir: './output'  # 请勿修改
load_checkpoint: 'DATA/glm.ckpt'
auto_trans_ckpt: False

context:
  mode: 0 #0--Graph Mode; 1--Pynative Mode
  device_target: "Ascend"

model:
  model_config:
    type: GLMConfig
    vocab_size: 1024
    hidden_size: 64
    num_layers: 2
    num_heads: 8
    inner_hidden_size: 256
    hidden_size_per_attention_head: # default
    param_init_type: "float16"
    checkpoint_name_or_path: "glm_6b"
  arch:
    type: GLMForPreTraining

trainer:
  type: CausalLanguageModelingTrainer
  model_name: 'glm_6b'
do_eval: False

train_dataset: &train_dataset
  data_loader:
    type: ADGenDataLoader
    dataset_dir: "DATA/train.json"
  tokenizer:
    type: ChatGLMTokenizer
    vocab_file: "DATA/ice_text.model"
  batch_size: 1
train_dataset_task:
  type: KeyWordGenDataset
  dataset_config: *train_dataset
eval_dataset: &eval_dataset
  data_loader:
    type: ADGenDataLoader
    dataset_dir: "/path/to/dev.json"
eval_dataset_task:
  type: KeyWordGenDataset
  dataset_config: *eval_dataset

runner_config:
  epochs: 1
  batch_size: 8
  sink_mode: True
  sink_size: 4

# What glmd is to do.
glmd:
  devices: "[0,8)"
  run_mode: finetune
  # keep all of it
  merge: {tag: last}

use_parallel: False
parallel:
  parallel_mode: 1 # 0-data parallel, 1-semi-auto parallel
  full_batch: True
  enable_parallel_optimizer: False
  strategy_ckpt_save_file: "./ckpt_strategy.ckpt"
parallel_config:
  data_parallel: 1
  model_parallel: 8
  pipeline_stage: 1
  micro_batch_num: 1
  vocab_emb_dp: True

callbacks:
  - type: MFLossMonitor
  - type: CheckpointMointor
    prefix: "glm-6b"
    save_checkpoint_steps: 500
    keep_checkpoint_max: 2
  - type: ObsMonitor
    keep_last: False
"""
CUT_OUT = FINETUNE[FINETUNE.index("glmd:\n") : FINETUNE.index("\nuse_parallel")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make the files that the configuration names."""
    for name in ("glm.ckpt", "train.json", "ice_text.model"):
        (tmp_path / name).write_bytes(b"content")
    return tmp_path


def rules(data: Path, devices: int = 8, topology: Topology = Topology.ANY) -> Rules:
    """Return the rules of a host with so many devices."""
    return Rules(tuple(range(devices)), topology=topology, disk=data / "jobs", latest=data / "latest")


def checked(data: Path, *changes: tuple[str, str], held_against: Rules | None = None) -> CheckedConfig:
    """Check the finetune with `changes` made to its text, each of which must change something."""
    text = FINETUNE.replace("DATA", str(data))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return check(text.encode(), "run_glm_6b.yaml", held_against or rules(data))


def test_pipeline_stages_are_known(data: Path) -> None:
    """The merge refuses the strategy files of fewer."""
    cut = (("model_parallel: 8", "model_parallel: 4"), ("pipeline_stage: 1", "pipeline_stage: 2"))
    cut = (*cut, ("micro_batch_num: 1", "micro_batch_num: 2"))
    assert checked(data, *cut).stages == 2


def test_a_good_file(data: Path) -> None:
    """Everything that the rest of glmd asks is answered."""
    config = checked(data)
    assert config.devices == tuple(range(8))
    assert config.ranks == 8
    assert (config.run_mode, config.device_target, config.prefix) == ("finetune", "Ascend", "glm-6b")
    assert (config.parallel_mode, config.needs_strategy, config.stages) == (1, True, 1)
    assert config.section.merge.tag == "last"
    assert not config.cuts_weights
    assert [warning.where for warning in config.warnings] == ["load_checkpoint"]  # one file for eight slices


@pytest.mark.parametrize(
    ("old", "new", "size"),
    (
        ("sink_size: 4", "sink_size: 5", 5),
        ("  sink_size: 4\n", "", -1),
        ("sink_size: 4", "sink_size: -1", -1),
        ("sink_mode: True", "sink_mode: False", None),
    ),
)
def test_the_size_of_a_sink(data: Path, old: str, new: str, size: int | None) -> None:
    """It decides how many epochs MindFormers counts; without sinking there is none."""
    lora = as_lora("lora_rank: 8, target_modules: '.*dense.*'")  # data parallel, which needs no sinking
    assert checked(data, *lora, (old, new)).sink_size == size


def test_what_runs_is_the_file_without_the_section(data: Path) -> None:
    """The configuration of the job is the dropped file byte for byte, without the lines of `glmd:`."""
    original = FINETUNE.replace("DATA", str(data))
    config = checked(data).config
    assert config == original.replace(CUT_OUT, "").encode()
    assert "# 请勿修改".encode() in config
    rest = parse(config, "a.yaml").node.data
    assert isinstance(rest, dict)
    assert "glmd" not in rest


def test_inputs_have_to_be_there(data: Path) -> None:
    """Files that are read when the training has come to its end are looked at before each attempt."""
    good = ("glmd:\n", f"glmd:\n  inputs: [{data}/train.json]\n")
    assert f"{data}/train.json" in {look.path for look in checked(data, good).looks if isinstance(look, PathLook)}
    for path, why in ((f"{data}/absent.json", "is not there"), (f"{data}", "is a directory")):
        with pytest.raises(ConfigError) as told:
            checked(data, ("glmd:\n", f"glmd:\n  inputs: ['{path}']\n"))
        assert [problem.where for problem in told.value.problems] == ["glmd.inputs[0]"]
        assert why in told.value.problems[0].message
    outside = replace(rules(data), allowed=(data / "inside",))
    with pytest.raises(ConfigError, match=r"glmd\.inputs\[0\]: .* lies where no job may read"):
        checked(data, good, held_against=outside)


def test_a_plain_file_runs_with_defaults(data: Path) -> None:
    """A MindFormers YAML without the section takes all devices, and runs as it is."""
    config = checked(data, (CUT_OUT, ""))
    assert config.devices == tuple(range(8))
    assert config.run_mode == "train"
    assert config.config.decode() == FINETUNE.replace("DATA", str(data)).replace(CUT_OUT, "")


def as_lora(pet: str, merge: str = "tag: last") -> tuple[tuple[str, str], ...]:
    """Return the changes that make the finetune a data parallel LoRA run."""
    return (
        ("parallel_mode: 1", "parallel_mode: 0"),
        ("model_parallel: 8", "model_parallel: 1"),
        ("{tag: last}", f"{{{merge}}}"),
        ("    vocab_size", f"    pet_config: {{pet_type: lora, {pet}}}\n    vocab_size"),
    )


def test_data_parallel_lora(data: Path) -> None:
    """The stock LoRA shape: data parallel on any count, no strategy files, no warning."""
    config = checked(data, ('"[0,8)"', '"[4,8)"'), *as_lora("lora_rank: 8, target_modules: '.*dense.*'"))
    assert (config.parallel_mode, config.needs_strategy, config.devices) == (0, False, (4, 5, 6, 7))
    assert config.warnings == ()
    assert config.lora_scale is None


def test_lora_to_be_merged(data: Path) -> None:
    """The merge is told what the adapters are scaled by; what is wrong in other parts of the file is said too."""
    pet = "lora_rank: 8, lora_alpha: 32, target_modules: '.*dense.*'"
    assert checked(data, *as_lora(pet, "lora: merge")).lora_scale == LoraScale(32, 8)
    with pytest.raises(ConfigError) as caught:
        checked(data, *as_lora("lora_rank: 8", "lora: merge"))
    wheres = [problem.where.rpartition(".")[2] for problem in caught.value.problems]
    assert sorted(wheres) == ["lora_alpha", "target_modules"]


def test_a_wrong_wish_is_one_problem(data: Path) -> None:
    """Its default is not held against the rest of the file: `layout_from` was given, if with a slip beside it."""
    pet = ("    vocab_size", "    pet_config: {pet_type: lora, target_modules: '.*dense.*'}\n    vocab_size")
    with pytest.raises(ConfigError) as caught:
        checked(data, pet, ("{tag: last}", f"{{layout_from: {data}/glm.ckpt, lora: marge}}"))
    assert [problem.where for problem in caught.value.problems] == ["glmd.merge.lora"]


def test_the_example_of_the_style_guide(data: Path) -> None:
    """The commonest mistake reads as promised."""
    with pytest.raises(ConfigError) as caught:
        checked(data, ('"[0,8)"', '"[0,4)"'))
    line = FINETUNE[: FINETUNE.index("model_parallel: 8")].count("\n") + 1
    assert str(caught.value) == (
        f"run_glm_6b.yaml:{line}:19: parallel_config.model_parallel: 8 does not fit 4 devices\n"
        f"  {line} |   model_parallel: 8\n"
        "     |                   ^ data_parallel 1 × model_parallel 8 × pipeline_stage 1 = 8, but devices [0,4) are 4"
    )


def test_all_problems_at_once(data: Path) -> None:
    """One error has the problems of every part, in the order of the file."""
    with pytest.raises(ConfigError) as caught:
        checked(
            data,
            ("seed: 0", "seed: 0\nseed: 1"),
            ("./output", "/data/output"),
            ("glm.ckpt", "nowhere.ckpt"),
            ("num_heads: 8", "num_heads: 6"),
            ("train.json", "nowhere.json"),
            ("merge: {tag: last}", "merge: {tag: every}"),
            ("model_parallel: 8", "model_parallel: 4"),
            ('prefix: "glm-6b"', "prefix: a/b"),
        )
    assert [problem.where for problem in caught.value.problems] == [
        "seed",
        "output_dir",
        "load_checkpoint",
        "model.model_config.num_heads",
        "model.model_config.num_heads",
        "train_dataset.data_loader.dataset_dir",
        "glmd.merge.tag",
        "parallel_config.model_parallel",
        "callbacks[1].prefix",
    ]


@pytest.mark.parametrize(
    ("devices", "host", "topology", "what"),
    (
        ("[0,8]", 8, Topology.ANY, "8 are not among this host's devices: [0,8)"),
        ("[0,8]", 8, Topology.ANY, "for 8 devices write [0,8)"),
        ("[0,8)", 0, Topology.ANY, "[0,8) are not among this host's devices: none"),
        (
            "0,1,2",
            8,
            Topology.A910,
            "a 910A server takes 1, 2, 4 or 8 devices, not 3; [0,2] includes device 2: for 2 devices write [0,2)",
        ),
        ("0-8", 16, Topology.ANY, "no product takes 9 devices ([0,9))"),
        ("0,2", 16, Topology.A3, "0 without 1 and 2 without 3"),
        ("2-5", 8, Topology.A910, "cross the two rings"),
    ),
)
def test_devices(data: Path, devices: str, host: int, topology: Topology, what: str) -> None:
    """Devices that are not there, or cannot work together, are reported at the section."""
    with pytest.raises(ConfigError) as caught:
        checked(data, ("[0,8)", devices), held_against=rules(data, host, topology))
    assert what in str(caught.value)
    assert caught.value.problems[0].where == "glmd.devices"


def test_devices_that_some_products_take(data: Path) -> None:
    """An A2 server with a broken card runs on the other seven; without a topology set, that is told."""
    seven = (('"[0,8)"', '"0-6"'), ("model_parallel: 8", "model_parallel: 1"), ("data_parallel: 1", "data_parallel: 7"))
    assert [*checked(data, *seven, held_against=rules(data, 8, Topology.B910)).warnings] == []
    (warning,) = checked(data, *seven, held_against=rules(data, 8)).warnings
    assert warning.where == "glmd.devices"
    assert "only a server of the topology 910B or 16-card takes 7 devices ([0,7))" in warning.hint


def test_no_devices_at_all(data: Path) -> None:
    """A host without devices runs nothing."""
    with pytest.raises(ConfigError, match="no devices"):
        checked(data, (CUT_OUT, ""), held_against=rules(data, 0))


def test_a_cpu_takes_any_count(data: Path) -> None:
    """HCCL's counts are no rule for a rehearsal."""
    config = checked(
        data,
        ('"Ascend"', '"CPU"'),
        ("parallel_mode: 1", "parallel_mode: 0"),
        ("model_parallel: 8", "model_parallel: 1"),
        ('"[0,8)"', '"0-2"'),
    )
    assert (config.device_target, config.ranks) == ("CPU", 3)


def test_disk_is_checked_for_jobs_not_yet_there(data: Path) -> None:
    """More tags than the disk holds are refused; without a disk to ask, nothing is estimated."""
    many = ("keep_checkpoint_max: 2", "keep_checkpoint_max: 999999999")
    with pytest.raises(ConfigError, match=r"needs about .* TB of disk"):
        checked(data, many)
    assert checked(data, many, held_against=Rules(tuple(range(8)))).ranks == 8


def test_continuing_from_what_was_published(data: Path) -> None:
    """`latest` needs no other weights once there is a result of the same prefix."""
    latest = ("run_mode: finetune", "run_mode: finetune\n  continue_from: latest")
    gone = ("glm.ckpt", "gone.ckpt")
    with pytest.raises(ConfigError, match=r"gone\.ckpt' is not there"):
        checked(data, latest, gone)
    (data / "latest" / "glm-6b").mkdir(parents=True)
    (data / "latest" / "glm-6b" / "filtered_transformed.ckpt").write_bytes(b"merged")
    assert checked(data, latest, gone).section.continue_from == "latest"


@pytest.mark.parametrize("content", (b"", b"\x00", b"a: [", b"services:\n  web:\n    image: nginx\n", b"[]"))
def test_other_files(data: Path, content: bytes) -> None:
    """What is no MindFormers configuration is refused."""
    with pytest.raises(ConfigError):
        check(content, "a.yaml", rules(data))


def test_size_limit(data: Path) -> None:
    """The limit of settings counts."""
    with pytest.raises(ConfigError, match="the limit is 1000"):
        checked(data, held_against=Rules(tuple(range(8)), max_bytes=1000))


SNIPPETS = st.sampled_from(
    ("", "\n", ": ", "- ", "[]", "{}", "~", "True", "0", "-1", "1e9", "'", '"', "&a ", "*a", "<<: *train_dataset",
     "#", "glmd:\n", "x: 1\n",
     "!!str ", "9" * 50, ".nan", "\t", "/", "..", "权", '"\\0"', '"\\ud800"', "[[1]]", "{a: {b: 1}}")
)  # fmt: skip


VERSIONS = st.sampled_from((Version(0, 8), Version(1, 0), Version(1, 3), Version(1, 9), None))


def outcome(text: str, data: Path, version: Version | None) -> CheckedConfig | None:
    """Return what the check makes of `text`, None where it is refused with reasons that can be written to a file."""
    try:
        return check(text.encode(), "a.yaml", replace(rules(data), version=version))
    except ConfigError as error:
        if not error.problems or not str(error).encode():
            raise AssertionError from error
        return None


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.tuples(st.integers(0, len(FINETUNE)), st.integers(0, 30), SNIPPETS), min_size=1, max_size=4),
    version=VERSIONS,
)
def test_a_damaged_file_is_accepted_or_refused(
    data: Path, cuts: list[tuple[int, int, str]], version: Version | None
) -> None:
    """Whatever is cut out of a good file or put into it, the check ends in a result or in ConfigError."""
    text = FINETUNE
    for start, length, snippet in cuts:
        text = text[:start] + snippet + text[start + length :]
    config = outcome(text.replace("DATA", str(data)), data, version)
    if isinstance(config, CheckedConfig):
        assert b"\nglmd:" not in config.config
        assert config.ranks >= 1


VALUES = st.recursive(
    st.sampled_from(("", "~", "0", "-1", "3", "8", "1.5", "True", "text", "''", "/", "/path/to/x", "1_4", "'0-3'")),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda parts: "[" + ", ".join(parts) + "]")
        | inner.map(lambda part: f"{{type: {part}}}")
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.sampled_from([i for i, row in enumerate(FINETUNE.splitlines()) if ":" in row]),
    value=VALUES,
    version=VERSIONS,
)
def test_any_value_of_any_type(data: Path, line: int, value: str, version: Version | None) -> None:
    """A key with a value of a type that nobody expects is accepted or refused, never a crash."""
    rows = FINETUNE.replace("DATA", str(data)).splitlines()
    rows[line] = f"{rows[line].split(':')[0]}: {value}"
    outcome("\n".join(rows), data, version)


def test_the_daemon_stays_light() -> None:
    """The check is for the daemon's own process: it brings in neither numpy nor MindSpore."""
    program = "import sys, handlers.validate.check; print([m for m in ('numpy', 'mindspore') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


GATE = Gate.model_validate({"finite": True, "loss": {"max": 2}, "evaluate": "bleu", "metrics": {"bleu": {"min": 0.3}}})


@pytest.mark.parametrize(
    ("gate", "where", "says"),
    (
        ("finite: false", "glmd.gate.finite", "false is looser than true"),
        ("loss: {max: 3}", "glmd.gate.loss.max", "3 is looser than the settings' 2"),
        ("loss: {over: 5}", "glmd.gate.loss.over", "5 steps are not the 20 of the settings"),
        ("metrics: {bleu: {min: 0.2}}", "glmd.gate.metrics.bleu.min", "0.2 is looser than the settings' 0.3"),
        ("evaluate: rouge", "glmd.gate.evaluate", "another evaluation than the settings' bleu"),
        ("evaluate: 'touch /tmp/x'", "glmd.gate.evaluate", "no name"),
        ("evaluate: [touch, /tmp/x]", "glmd.gate.evaluate", "string"),
        ("command: [touch, /tmp/x]", "glmd.gate.command", "not a key"),
        ("loss: {max_rise: .05}", "glmd.gate.loss.max_rise", "per cent"),
        ("loss: {max: .nan}", "glmd.gate.loss.max", "no limit"),
        ("metrics: {bleu: {minimum: 1}}", "glmd.gate.metrics.bleu.minimum", "not a key"),
        ("evaluate: mindformers", "eval_dataset.data_loader.dataset_dir", "is not there"),
    ),
)
def test_a_file_that_loosens_the_gate_is_refused(data: Path, gate: str, where: str, says: str) -> None:
    """At the very value, naming both; so is one that would run what the settings do not know."""
    known = GateRules(Gate() if "mindformers" in gate else GATE, ("bleu", "rouge", "mindformers"))
    with pytest.raises(ConfigError) as caught:
        checked(data, ("  merge: {tag: last}", f"  gate: {{{gate}}}"), held_against=replace(rules(data), gate=known))
    found = {problem.where: problem for problem in caught.value.problems}
    assert where in found, caught.value
    assert says in str(found[where])


def test_a_file_may_ask_for_more(data: Path) -> None:
    """Also where the settings ask for nothing; what nothing measures is a slip, and so is an unknown evaluation."""
    wish = "  gate: {loss: {max: 1.5, max_rise: 2%}, metrics: {bleu: {min: 0.31, max_drop: 0}}}"
    held = replace(rules(data), gate=GateRules(GATE, ("bleu",)))
    assert checked(data, ("  merge: {tag: last}", wish), held_against=held).section.gate.loss.max == 1.5
    with pytest.raises(ConfigError, match="nothing measures them"):
        checked(data, ("  merge: {tag: last}", wish))
    with pytest.raises(ConfigError, match="'other' is no evaluation"):
        checked(data, ("  merge: {tag: last}", "  gate: {evaluate: other}"))


def test_the_settings_evaluation_by_mindformers_needs_the_files_data(data: Path) -> None:
    """Else whoever leaves it out would not be measured."""
    held = replace(rules(data), gate=GateRules(Gate(evaluate="mindformers")))
    with pytest.raises(ConfigError, match=r"dev\.json' is not there"):
        checked(data, held_against=held)
    (data / "dev.json").write_text("{}")
    assert checked(data, ("/path/to/dev.json", f"{data}/dev.json"), held_against=held)
