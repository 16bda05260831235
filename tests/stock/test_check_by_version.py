"""What the check says to each feature of a configuration, by the version of MindFormers that is to run it.

Each table is for one thing that people reported, or for the features that it stands for. Where the last column is not
GOOD, that version's MindFormers would end with an error, or glmd would not find what it saves.
"""

# ruff: noqa: E501 - a row of a table is a line

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.mindformers.loaders import LOADERS
from handlers.mindformers.version import Version
from handlers.rank_table.topology import Topology
from handlers.validate.check import CheckedConfig, Rules
from handlers.validate.problem import ConfigError
from tests.stock.builders import (
    GONE,
    GOOD,
    Value,
    Verdict,
    assert_verdict,
    cut,
    make_data,
    verdict_of,
    yaml_of,
)

GLMD = [sys.executable, "-m", "daemon.cli"]
EIGHT = tuple(range(8))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make the files that the configurations name."""
    return make_data(tmp_path)


def problem(text: str) -> Verdict:
    """Return the verdict of a refused file."""
    return Verdict(problem=text)


def warning(text: str) -> Verdict:
    """Return the verdict of a file that is taken with a word."""
    return Verdict(warning=text)


@pytest.mark.parametrize("version", ("0.6", "0.8", "1.0", "1.1", "1.2", "1.3.2", "1.5", "1.6", "1.7", "1.8.0", "1.9.0"))
def test_the_base_is_good_everywhere(data: Path, version: str) -> None:
    """What the tables change is right by itself."""
    found = verdict_of(version, {}, data)
    assert_verdict(found, GOOD)
    assert isinstance(found, CheckedConfig)
    assert found.dialect.since <= Version.parse(version)


def context(factor: int, data: int = 1, model: int = 1, stages: int = 1) -> dict[str, object]:
    """Return the changes that cut sequences too; the mindrecords need no cutting."""
    return cut(data, model, stages, context_parallel=factor) | {
        "load_checkpoint": "DATA/slices",
        "auto_trans_ckpt": True,
        "model.model_config.use_flash_attention": True,
    }


@pytest.mark.parametrize(
    ("version", "changes", "expected"),
    (
        ("1.2", context(4, model=2), GOOD),
        ("1.9", context(4, model=2), GOOD),
        ("1.9", context(2, data=2, stages=2), GOOD),
        ("1.9", context(8), GOOD),
        ("1.9", context(1, model=8), GOOD),
        ("1.9", context(4, data=2, model=2), problem("2 does not fit 8 devices (data_parallel 2 × model_parallel 2 × context_parallel 4 × pipeline_stage 1 = 16, but")),
        ("1.3.2", context(4, model=8), problem("= 32, but devices [0,8) are 8")),
        ("1.3.2", context(4), problem("context_parallel: 4 does not fit 8 devices")),
        ("1.9", context(2, model=2), problem("= 4, but devices [0,8) are 8")),
        ("1.1", context(4, model=2), problem("context_parallel: is not known (MindFormers 1.1 takes no such key")),
        ("0.8", context(1, model=8), problem("context_parallel: is not known (MindFormers 0.8 and older")),
        # In data parallel nobody multiplies.
        ("1.9", {"parallel_config.context_parallel": 4}, warning("context_parallel: 4 has no effect")),
        ("1.9", {"parallel_config.data_parallel": 3}, GOOD),
        ("0.8", {"parallel_config.data_parallel": 3}, GOOD),
        (None, context(4, model=2), warning("takes no such key: remove it; it came with 1.2; so with MindFormers 0.8 and older, 1.0, 1.1)")),
        ("1.2", context(4, model=2) | {"model.model_config.use_flash_attention": False}, GOOD),
        ("1.3.2", context(4, model=2) | {"model.model_config.use_flash_attention": False}, problem("context_parallel: 4 is not possible (MindFormers 1.3 and 1.4 cuts sequences")),
        ("1.9", context(4, model=2) | {"model.model_config.use_flash_attention": ""}, problem("context_parallel: 4 is not possible")),
        (None, context(4, model=3), problem("3 does not fit 8 devices")),
    ),
)  # fmt: skip
def test_ranks(data: Path, version: str | None, changes: dict[str, Value], expected: Verdict) -> None:
    """Report 4: ranks are data × model × context × stages, where the version has a context, and nothing else."""
    rules = Rules(devices=EIGHT, version=Version.parse(version) if version else None)
    (data / "slices" / "rank_0").mkdir(exist_ok=True)
    assert_verdict(verdict_of(version, changes, data, rules), expected)


def weights(path: str, *, transform: bool, **more: Value) -> dict[str, Value]:
    """Return the changes that load `path` into a cut network."""
    return cut() | {"load_checkpoint": f"DATA/{path}", "auto_trans_ckpt": transform} | more


ONE_FILE = warning("load_checkpoint: one file for model_parallel 2")
SAFE: dict[str, Value] = {"load_ckpt_format": "safetensors"}


@pytest.mark.parametrize(
    ("version", "changes", "expected"),
    (
        # One .ckpt, to be cut.
        ("0.6", weights("glm.ckpt", transform=True), problem("is one file (auto_trans_ckpt needs a directory that")),
        ("0.8", weights("glm.ckpt", transform=True), problem("is one file (auto_trans_ckpt needs a directory that")),
        ("1.0", weights("glm.ckpt", transform=True), GOOD),
        ("1.3.2", weights("glm.ckpt", transform=True), GOOD),
        ("1.9", weights("glm.ckpt", transform=True), GOOD),
        (None, weights("glm.ckpt", transform=True), warning("is one file (auto_trans_ckpt needs a directory")),
        # … that nobody cuts.
        ("0.8", weights("glm.ckpt", transform=False), ONE_FILE),
        ("1.9", weights("glm.ckpt", transform=False), ONE_FILE),
        # A directory of .ckpt files.
        ("0.8", weights("whole", transform=True), problem("holds no rank_N directories")),
        ("1.0", weights("whole", transform=True), GOOD),
        ("1.5", weights("whole", transform=True), GOOD),
        ("0.8", weights("whole", transform=False), problem("holds no .ckpt in rank_0/")),
        ("1.0", weights("whole", transform=False), ONE_FILE),
        (None, weights("whole", transform=True), warning("holds no rank_N directories")),
        # Slices, of this layout or another.
        ("0.8", weights("slices", transform=False), GOOD),
        ("1.9", weights("slices", transform=False), GOOD),
        ("0.8", weights("first", transform=True), GOOD),
        ("1.9", weights("first", transform=True), GOOD),
        ("0.8", weights("second", transform=True), GOOD),
        ("1.0", weights("second", transform=True), problem("holds neither rank_0/ nor .ckpt files")),
        ("1.9", weights("second", transform=False), problem("holds no .ckpt in rank_0/")),
        ("1.9", weights("empty", transform=True), problem("holds neither rank_0/ nor .ckpt files")),
        # Hugging Face's safetensors.
        ("0.8", weights("hf", transform=True, **SAFE), problem("holds no rank_N directories")),
        ("1.0", weights("hf", transform=True, **SAFE), problem("nor .ckpt files (MindFormers 1.0 loads .ckpt only")),
        ("1.3.2", weights("hf", transform=True, **SAFE), problem("MindFormers 1.3 and 1.4 loads .ckpt only")),
        ("1.5", weights("hf", transform=True, **SAFE), GOOD),
        ("1.9", weights("hf", transform=True, **SAFE), GOOD),
        (None, weights("hf", transform=True, **SAFE), warning("loads .ckpt only")),
        ("1.9", weights("hf", transform=True), problem("for .safetensors set load_ckpt_format: safetensors")),
        ("1.9", weights("hf", transform=False, **SAFE), problem("holds whole weights (MindFormers takes a directory of")),
        ("1.9", weights("hf/model-00001-of-00002.safetensors", transform=True, **SAFE), problem("is one file (MindFormers")),
        ("1.9", weights("glm.ckpt", transform=True, **SAFE), problem("is no .safetensors file")),
        ("1.9", weights("hf/model-00001-of-00002.safetensors", transform=True), problem("is no .ckpt file (for .safetensors")),
        ("1.9", weights("sf_slices", transform=False, **SAFE), GOOD),
        ("1.9", weights("sf_slices", transform=False), problem("for .safetensors set load_ckpt_format")),
        ("1.9", weights("slices", transform=False, **SAFE), problem("holds no .safetensors in rank_0/")),
        ("1.9", weights("glm.ckpt", transform=True, load_ckpt_format="pt"), problem("'pt' is not known (ckpt or safe")),
        ("1.9", {"load_checkpoint": "", "load_ckpt_format": ""}, warning("load_checkpoint: is empty")),
        # What glmd names itself is put into the form that every version takes.
        ("0.8", weights("", transform=True) | {"load_checkpoint": "", "glmd.continue_from": "DATA/glm.ckpt"}, GOOD),
        ("1.9", weights("", transform=True) | {"load_checkpoint": "", "glmd.continue_from": "DATA/glm.ckpt"}, GOOD),
    ),
)  # fmt: skip
def test_weights(data: Path, version: str | None, changes: dict[str, Value], expected: Verdict) -> None:
    """Report 5: forms of load_checkpoint."""
    assert_verdict(verdict_of(version, changes, data), expected)


def sunk(*, mode: object = True, size: object = 4, epochs: int = 2, **more: Value) -> dict[str, object]:
    """Return the changes that load slices into a cut network, with these values of runner_config."""
    values = {"runner_config.sink_mode": mode, "runner_config.sink_size": size, "runner_config.epochs": epochs}
    return weights("slices", transform=False) | values | more


@pytest.mark.parametrize(
    ("version", "changes", "expected"),
    (
        ("0.6", sunk(size=1), problem("runner_config.sink_size: is 1 (MindFormers 0.8 and older loads")),
        ("0.8", sunk(size=1), problem("runner_config.sink_size: is 1")),
        # By then MindFormers has multiplied the epochs by the batches of the data.
        ("0.8", sunk(size=1, epochs=1), problem("runner_config.sink_size: is 1")),
        ("0.8", sunk(size=1, load_checkpoint="DATA/glm.ckpt"), problem("runner_config.sink_size: is 1")),
        ("0.8", sunk(size=2), GOOD),
        ("0.8", sunk(size=-1), GOOD),
        ("1.0", sunk(size=1), GOOD),
        ("1.9", sunk(size=1), GOOD),
        (None, sunk(size=1), warning("sink_size: is 1")),
        # Nothing to load, nothing cut, no Ascend: it is not built beforehand.
        ("0.8", cut() | {"runner_config.sink_size": 1, "run_mode": "train", "load_checkpoint": ""}, GOOD),
        ("0.8", {"runner_config.sink_size": 1}, GOOD),
        # Sinking itself.
        ("0.8", sunk(mode=False), problem("runner_config.sink_mode: is False")),
        ("1.9", sunk(mode=False), problem("runner_config.sink_mode: is False")),
        ("0.8", sunk(mode=False, load_checkpoint="DATA/glm.ckpt"), problem("runner_config.sink_mode: is False")),
        ("1.0", sunk(mode=False, load_checkpoint="DATA/glm.ckpt"), ONE_FILE),
        ("1.0", sunk(mode=False, load_checkpoint="DATA/glm.ckpt", auto_trans_ckpt=True), problem("sink_mode: is False")),
        ("1.9", sunk(mode=False, load_checkpoint="DATA/hf", auto_trans_ckpt=True, **SAFE), problem("sink_mode: is False")),
        ("1.3.2", sunk(mode=GONE), problem("sink_mode: is missing")),
        ("1.5", sunk(mode=GONE), GOOD),
        ("1.9", sunk(mode=GONE, size=GONE), GOOD),
        (None, sunk(mode=GONE), warning("sink_mode: is missing")),
    ),
)  # fmt: skip
def test_sinking(data: Path, version: str | None, changes: dict[str, object], expected: Verdict) -> None:
    """Report 7: how data must be sunk where a cut network is built before its weights are loaded."""
    assert_verdict(verdict_of(version, changes, data), expected)


def loader(kind: str, **keys: Value) -> dict[str, Value]:
    """Return the changes that read the training data so."""
    return {"train_dataset.data_loader": {"type": kind, **keys}}


BLENDED = "BlendedMegatronDatasetDataLoader"
CORPUS = "DATA/corpus_text_document"


def blend(*parts: Value) -> dict[str, Value]:
    """Return the changes that read Megatron's indexed files."""
    return loader(BLENDED, datasets_type="GPTDataset", sizes=[8, 0, 0], config={"data_path": list(parts)})


def parts(*loaders: Value) -> dict[str, Value]:
    """Return the changes that read several data sets."""
    return loader("MultiSourceDataLoader", sub_data_loader=list(loaders))


@pytest.mark.parametrize(
    ("version", "changes", "expected"),
    (
        ("0.8", loader("MindDataset", dataset_dir="DATA"), GOOD),
        ("1.9", loader("MindDataset", dataset_dir="DATA/train.mindrecord"), GOOD),
        ("1.9", loader("MindDataset", dataset_files=["DATA/train.mindrecord"]), GOOD),
        ("1.9", loader("MindDataset", dataset_dir=""), problem("data_loader.dataset_dir: '' is no path")),
        ("1.9", loader("MindDataset"), problem("data_loader.dataset_dir: is missing")),
        ("0.8", loader("ADGenDataLoader", dataset_dir="DATA"), problem("is a directory (name the file)")),
        ("0.8", loader("SQuADDataLoader", dataset_dir="DATA/train.json"), problem("is a file (name its directory)")),
        ("1.3.2", loader("BaseMultiModalDataLoader", annotation_file="DATA/train.json"), GOOD),
        ("1.3.2", loader("BaseMultiModalDataLoader", annotation_file="/n"), problem("annotation_file: '/n' is not there")),
        ("1.1", loader("ToolAlpacaDataLoader", dataset_dir="DATA/train.json"), GOOD),
        ("1.0", loader("SFTDataLoader", dataset_dir="DATA/train.json", tokenizer={"type": "X"}), GOOD),
        ("1.0", loader("TrainingDataLoader", dataset_dir="/nowhere"), problem("'/nowhere' is not there")),
        # Several data sets in one.
        ("1.0", parts({"type": "ADGenDataLoader", "dataset_dir": "DATA/train.json"}), GOOD),
        ("1.9", parts({"type": "SFTDataLoader", "dataset_dir": "/n"}), problem("sub_data_loader[0].dataset_dir: '/n' is not")),
        ("1.9", parts({"type": "Mine", "dataset_dir": "/n"}), warning("sub_data_loader[0].type: 'Mine' is no data loader")),
        ("1.9", loader("MultiSourceDataLoader"), problem("sub_data_loader: is missing")),
        ("1.9", loader("MultiSourceDataLoader", sub_data_loader="DATA"), problem("is no list of data loaders")),
        # Hugging Face's data sets.
        ("1.7", loader("HFDataLoader", path="json", data_files="DATA/train.json"), GOOD),
        ("1.9", loader("HFDataLoader", path="json", data_files={"train": ["DATA/train.json"]}), GOOD),
        ("1.9", loader("HFDataLoader", load_func="load_from_disk", dataset_path="DATA"), GOOD),
        ("1.9", loader("HFDataLoader", path="json", data_files="/nowhere"), problem("data_files: '/nowhere' is not there")),
        ("1.9", loader("HFDataLoader", path="json", data_files="path/to/a.json"), problem("data_files: 'path/to/a.json' is a rel")),
        ("1.9", loader("HFDataLoader", path="json", data_files="https://host/a.json"), GOOD),
        ("1.9", loader("HFDataLoader", path="parquet", data_files="DATA/*.parquet"), GOOD),
        ("1.9", loader("HFDataLoader", path="json"), problem("data_files: is missing ('json' is a format")),
        ("1.9", loader("HFDataLoader"), problem("data_loader.path: is missing")),
        ("1.9", loader("HFDataLoader", path="DATA"), GOOD),
        ("1.9", loader("HFDataLoader", path="/nowhere"), problem("path: '/nowhere' is not there")),
        ("1.9", loader("HFDataLoader", path="./alpaca"), problem("path: './alpaca' is a relative path")),
        ("1.9", loader("HFDataLoader", path="a/b/c"), problem("path: 'a/b/c' is a relative path")),
        ("1.9", loader("HFDataLoader", path="llm/alpaca"), warning("'llm/alpaca' is taken for the name of a data set on a")),
        ("1.9", loader("HFDataLoader", path=7), problem("path: 7 is no path")),
        ("1.3.2", loader("CommonDataLoader", path="json", data_files="DATA/train.json", shuffle=True), GOOD),
        ("1.3.2", loader("CommonDataLoader", path="json", data_files="/nowhere"), problem("'/nowhere' is not there")),
        # Megatron's.
        ("1.5", blend("1", CORPUS), GOOD),
        ("1.9", blend(0.3, CORPUS, 0.7, CORPUS), GOOD),
        ("1.9", blend(CORPUS), GOOD),
        ("1.9", blend(CORPUS, CORPUS), GOOD),
        ("1.9", blend("1", "/nowhere/text_document"), problem("data_path[1]: '/nowhere/text_document.bin' is not there")),
        ("1.9", blend("1", f"{CORPUS}.bin"), problem("document.bin.bin' is not there (leave .bin out)")),
        ("1.9", blend("1", "./dataset"), problem("data_path[1]: './dataset' is a relative path")),
        ("1.9", blend("1", CORPUS, CORPUS, "2"), problem("is no weight (weights and paths stand in turn")),
        ("1.9", loader(BLENDED, config={"data_path": "DATA"}), problem("is no list")),
        ("1.9", loader(BLENDED, config={"train_data_path": ["1", CORPUS]}), GOOD),
        ("1.9", loader(BLENDED, config={}), warning("MindFormers makes up its data")),
        # Loaders that the version does not have.
        ("0.8", loader("HFDataLoader", path="json", data_files="DATA/train.json"), warning("'HFDataLoader' is no data loader of MindFormers 0.8 and older (it came with 1.7)")),
        ("1.9", loader("MyDataLoader", dataset_dir="DATA"), warning("'MyDataLoader' is no data loader of MindFormers")),
        ("1.9", loader("MyDataLoader", somewhere="/n"), warning("'MyDataLoader' is no data loader of MindFormers")),
        ("1.9", loader("MyDataLoader", dataset_dir="/n"), warning("dataset_dir: '/n' is not there")),
        (None, loader("HFDataLoader", path="json", data_files="DATA/train.json"), warning("'HFDataLoader' is no data loader")),
        (None, loader("HFDataLoader", path="json", data_files="/nowhere"), warning("data_files: '/nowhere' is not there")),
    ),
)  # fmt: skip
def test_data(data: Path, version: str | None, changes: dict[str, Value], expected: Verdict) -> None:
    """Report 8: which keys of a data loader name what it reads; what nobody knows is no reason to refuse a file."""
    assert_verdict(verdict_of(version, changes, data), expected)


VALUES: st.SearchStrategy[Value] = st.recursive(
    st.sampled_from(("", "json", "DATA", "/n", "a/b", "1", 1, 0.5, True, None, "\0", "/" + "x" * 5000)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("type", "data_path")), inner),
    max_leaves=5,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(LOADERS)) | VALUES,
    key=st.sampled_from(
        sorted({key.split(".")[0] for each in LOADERS.values() for key in each.sources} | {"data_files"})
    ),
    path=st.sampled_from(("json", "DATA", "a/b")),
    value=VALUES,
)
def test_data_of_any_type(data: Path, kind: Value, key: str, path: str, value: Value) -> None:
    """A value that nobody expects is a problem or a warning, never a crash."""
    changes = {"train_dataset.data_loader": {"type": kind, "path": path, key: value}}
    assert isinstance(verdict_of("1.9", changes, data), CheckedConfig | ConfigError)


@pytest.mark.parametrize(
    ("version", "changes", "expected"),
    (
        ("1.3.2", {"parallel.parallel_mode": GONE}, problem("parallel_mode: is missing (MindFormers 1.3 and 1.4 does not start")),
        ("0.8", {"parallel.parallel_mode": GONE}, problem("parallel_mode: is missing")),
        ("1.5", cut() | {"parallel.parallel_mode": GONE}, ONE_FILE),
        ("1.9", cut(model=1) | {"parallel.parallel_mode": GONE}, problem("uses one of 2 devices")),
        ("1.9", cut() | {"parallel": GONE}, ONE_FILE),
        ("1.9", {"parallel": GONE, "parallel_config": GONE}, problem("parallel_config: is missing (data_parallel 1 ×")),
        ("1.3.2", {"parallel": GONE}, problem("parallel: is missing")),
        ("1.9", {"runner_config": GONE}, GOOD),
        ("0.8", {"runner_config": GONE}, problem("runner_config: is missing")),
        ("1.9", {"model": GONE}, problem("model: is missing")),
        ("0.8", {"load_checkpoint": ""}, problem("load_checkpoint: is empty (a finetune starts from weights")),
        ("1.0", {"load_checkpoint": GONE}, problem("load_checkpoint: is missing (a finetune starts from weights")),
        ("1.1", {"load_checkpoint": ""}, warning("load_checkpoint: is empty (it begins from random weights")),
        ("1.9", {"load_checkpoint": GONE}, warning("it begins from random weights")),
        ("1.9", {"load_checkpoint": "", "run_mode": "train"}, GOOD),
        (None, {"load_checkpoint": ""}, warning("a finetune starts from weights")),
        ("1.1", {"callbacks.1.type": "CheckpointMonitor"}, problem("'CheckpointMonitor' is not known (in MindFormers 1.1")),
        ("1.2", {"callbacks.1.type": "CheckpointMointor"}, problem("'CheckpointMointor' is not known (in MindFormers 1.2")),
        (None, {"callbacks.1.type": "CheckpointMonitor"}, warning("'CheckpointMonitor' is not known")),
        ("1.9", {"parallel.strategy_ckpt_config": {"save_file": "./ckpt_strategy.ckpt"}}, GOOD),
        ("1.3.2", {"parallel.strategy_ckpt_config": {"save_file": "./mine.ckpt"}}, problem("save_file: './mine.ckpt' would not")),
    ),
)  # fmt: skip
def test_defaults(data: Path, version: str | None, changes: dict[str, object], expected: Verdict) -> None:
    """Report 8, continued: what has to be said, and what holds where it is not."""
    assert_verdict(verdict_of(version, changes, data), expected)


@pytest.mark.parametrize(
    ("version", "changes", "mode", "sink_size"),
    (
        ("0.8", {}, 0, 4),
        ("0.8", {"runner_config.sink_mode": GONE}, 0, None),
        ("1.5", cut() | {"parallel.parallel_mode": GONE}, 1, 4),
        ("1.9", cut() | {"parallel.parallel_mode": GONE, "runner_config": GONE}, 1, 1),
        ("1.9", {"runner_config.sink_mode": False}, 0, None),
        (None, cut() | {"parallel.parallel_mode": GONE, "callbacks.1.type": "CheckpointMonitor"}, 1, 4),
    ),
)
def test_what_the_rest_of_glmd_is_told(
    data: Path, version: str | None, changes: dict[str, object], mode: int, sink_size: int | None
) -> None:
    """A cut run is known for one, though its file does not say so: its shards are slices, not replicas."""
    found = verdict_of(version, changes, data)
    assert isinstance(found, CheckedConfig)
    assert (found.parallel_mode, found.needs_strategy, found.sink_size) == (mode, mode == 1, sink_size)


NEW: dict[str, Value] = {"load_checkpoint": GONE, "use_legacy_format": False}


@pytest.mark.parametrize(
    ("version", "changes", "expected"),
    (
        ("1.5", {"callbacks.1.checkpoint_format": "safetensors"}, GOOD),
        ("1.5", {"callbacks.1.checkpoint_format": "safetensors", "callbacks.1.remove_redundancy": True}, GOOD),
        ("1.5", {"callbacks.1.remove_redundancy": True}, problem("checkpoint_format: safetensors only")),
        ("1.4", {"callbacks.1.checkpoint_format": "safetensors"}, problem("'safetensors' is not known (write ckpt)")),
        ("1.6", {"use_legacy": False}, GOOD),
        ("1.6", {"use_legacy": False, "pretrained_model_dir": "DATA/nowhere"}, problem("pretrained_model_dir: '")),
        ("1.6", {"load_checkpoint": "", "pretrained_model_dir": "DATA/empty"}, warning("begins from random weights")),
        ("1.6", {"load_checkpoint": "", "pretrained_model_dir": "DATA/hf"}, problem("set load_ckpt_format: safetensors")),
        ("1.8", {"checkpoint": {"load_path": "DATA/hf"}}, warning("checkpoint: has no effect")),
        ("1.9", cut() | {"load_checkpoint": GONE, "checkpoint": {"load_path": "DATA/hf"}}, GOOD),
        ("1.9", cut() | {"checkpoint": {"load_path": "DATA/hf"}}, GOOD),
        ("1.9", {"checkpoint": {"load_path": "DATA/hf"}}, warning("checkpoint: may fail at the first save")),
        ("1.9", {"checkpoint": {"load_path": "DATA/nowhere"}}, problem("checkpoint.load_path: '")),
        ("1.9", {"load_checkpoint": "DATA/glm.ckpt", "checkpoint": {"save_max": 2}}, problem("load_checkpoint: is one file")),
        ("1.9", NEW | {"checkpoint": {"load_path": "DATA/empty"}}, problem("holds neither a save nor .safetensors")),
        ("1.9", NEW | {"checkpoint": {"load_path": "DATA/whole"}}, problem("holds neither a save nor .safetensors")),
        ("1.9", NEW | {"checkpoint": {"load_path": "DATA/hf", "no_load_optim": False}}, problem("without common.json")),
        ("1.9", NEW | {"load_checkpoint": "DATA/hf", "resume_training": True}, problem("without common.json")),
        ("1.9", {"remove_redundancy": True}, problem("remove_redundancy: MindFormers loads no .ckpt with it")),
        ("1.9", weights("sf_slices", transform=False, **SAFE) | {"remove_redundancy": True}, GOOD),
    ),
)  # fmt: skip
def test_forms_of_todays_saves_and_weights(
    data: Path, version: str, changes: dict[str, Value], expected: Verdict
) -> None:
    """What MindFormers takes is taken; what it ends over is a problem with its place."""
    assert_verdict(verdict_of(version, changes, data), expected)


@pytest.mark.parametrize(
    ("version", "overrides", "expected"),
    (
        ("0.8", {"runner_config.epochs": 5}, GOOD),
        ("0.8", {"runner_config.epochs": "two"}, problem("runner_config.epochs: 'two' is not a whole number")),
        ("0.8", {"parallel_config.context_parallel": 2}, problem("context_parallel: is not known (MindFormers 0.8 and older")),
        ("0.8", {"callbacks.1.type": "CheckpointMonitor"}, problem("callbacks[1].type: 'CheckpointMonitor' is not known")),
        ("0.8", {"load_checkpoint": "/nowhere"}, problem("load_checkpoint: '/nowhere' is not there")),
        ("1.3.2", {"load_ckpt_format": "safetensors"}, warning("load_ckpt_format: has no effect")),
        ("1.9", {"runner_config.epochs": 5, "parallel_config.context_parallel": 2}, warning("2 has no effect")),
        ("1.9", {"runner_config.epoch": 5}, problem("runner_config.epoch: is not known (MindFormers 1.9 and newer takes")),
        ("1.9", {"runer_config.epochs": 5}, problem("'runer_config' is not a key of the file")),
        (None, {"runner_config.epochs": "two"}, problem("runner_config.epochs: 'two' is not a whole number")),
    ),
)  # fmt: skip
def test_overrides_are_checked_like_the_file(
    data: Path, version: str | None, overrides: dict[str, Value], expected: Verdict
) -> None:
    """By the rules of the version that runs them."""
    assert_verdict(verdict_of(version, {"glmd": {"overrides": overrides}}, data), expected)


@pytest.mark.parametrize(
    ("devices", "topology", "expected"),
    (
        ((0, 1, 2), Topology.A910, problem("1, 2, 4 or 8 devices, not 3")),
        ((0, 1, 2, 3), Topology.A910, GOOD),
        ((2, 3, 4, 5), Topology.A910, problem("cross the two rings")),
        ((0, 1, 2), Topology.B910, GOOD),
        (EIGHT[:5], Topology.B910, GOOD),
        (EIGHT[:6], Topology.B910, GOOD),
        (EIGHT[1:], Topology.B910, GOOD),
        (EIGHT[1:], Topology.ANY, warning("not every product takes these devices together")),
        ((0, 1, 2, 3, 4, 8, 9, 10, 11, 12), Topology.CARDS16, GOOD),
        ((*EIGHT, 8, 9), Topology.CARDS16, problem("not at the same positions")),
        (tuple(range(6)), Topology.A3, GOOD),
        ((1, 2), Topology.A3, problem("modules, 0-1, 2-3, …, are used whole")),
        (EIGHT[:3], Topology.A3, problem("1 or an even number of devices")),
        (EIGHT, Topology.ANY, GOOD),
    ),
)
def test_counts_of_devices(data: Path, devices: tuple[int, ...], topology: Topology, expected: Verdict) -> None:
    """Report 13: counts and sets are judged by product."""
    rules = Rules(devices=devices, topology=topology, version=Version(0, 8))
    assert_verdict(verdict_of("0.8", {}, data, rules), expected)


def test_an_unknown_version_refuses_what_no_version_takes(data: Path) -> None:
    """What all versions refuse is a problem, and it alone; the rest are warnings, though no release takes them all."""
    found = verdict_of(None, context(2) | {"run_mode": "eval"}, data)
    assert isinstance(found, ConfigError)
    assert [each.where for each in found.problems] == ["run_mode"]
    found = verdict_of(None, context(2), data)
    assert isinstance(found, CheckedConfig)
    assert {"callbacks[1].type", "parallel_config.context_parallel"} <= {each.where for each in found.warnings}


def test_an_unknown_version_and_which_dialect(data: Path) -> None:
    """The rest of glmd goes by the oldest version that takes the file."""
    names = [
        found.dialect.name
        for changes in ({}, weights("whole", transform=True), {"callbacks.1.type": "CheckpointMonitor"})
        if isinstance(found := verdict_of(None, changes, data), CheckedConfig)
    ]
    assert names == ["0.8 and older", "1.0", "1.2"]


@pytest.mark.parametrize(
    ("version", "code", "said"),
    (("0.8", 2, "is one file"), ("1.3.2", 0, "good: finetune on Ascend devices [0,2)"), (None, 0, "warning: ")),
)
def test_on_the_command_line(data: Path, version: str | None, code: int, said: str) -> None:
    """`glmd check` says the same, and which version it checked against."""
    file = data / "stock.yaml"
    callbacks: Value = [{"type": "CheckpointMonitor", "prefix": "glm", "save_checkpoint_steps": 8}]
    changes = weights("glm.ckpt", transform=True) | ({} if version == "0.8" else {"callbacks": callbacks})
    file.write_bytes(yaml_of(version, changes, data))
    named = ["--mindformers", version] if version else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLMD_")}
    done = subprocess.run(
        [*GLMD, "check", str(file), "--root", str(data), *named],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"GLMD_TRAINING__CHECKOUT": "/nowhere", "GLMD_DEVICES": "0-1"},
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert f"checked against MindFormers {version or 'of an unknown version'}" in done.stderr
