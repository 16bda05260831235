"""An output for Hugging Face's libraries: transformers loads it, and answers what MindFormers answers."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.ckpt import OutputFormat
from handlers.merging.merge import run as merge
from handlers.records.merge_plan import MergePlan
from handlers.validate.network_config import read_network_config
from tests.mindspore.conftest import interpreter
from tests.unit.handlers.ckpt.ckpt_writer import Lay, Run

pytestmark = pytest.mark.mindspore

TOLERANCE = 1e-4
"""Of logits of up to 8, all computed in float32 in another order: 2e-5 is what was seen."""
SIZES = {
    "num_layers": 2,
    "padded_vocab_size": 256,
    "hidden_size": 32,
    "ffn_hidden_size": 48,
    "kv_channels": 8,
    "num_attention_heads": 4,
    "multi_query_group_num": 2,
    "rope_ratio": 3,
    "layernorm_epsilon": 1.5625e-07,
}
CASES = {
    "stock": SIZES,
    "apart": SIZES | {"qkv_concat": False, "mlp_concat": False, "add_qkv_bias": False},
    "rearranged": SIZES | {"use_rearrange_rope": True},
}
BASE = {
    "model_type": "glm",
    "num_hidden_layers": 2,
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 48,
    "head_dim": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "attention_bias": True,
    "rms_norm_eps": 1.5625e-07,
    "rope_theta": 30000.0,
    "partial_rotary_factor": 0.5,
    "tie_word_embeddings": False,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "eos_token_id": [1],
    "torch_dtype": "bfloat16",
}
ROWS, COLUMNS = (0, -1), (-1, 0)
CUT = {
    "embedding_weight": ROWS,
    "output_layer.weight": ROWS,
    "query_key_value.weight": ROWS,
    "query_key_value.bias": (0,),
    "dense.weight": COLUMNS,
    "dense_h_to_4h.weight": ROWS,
    "dense_4h_to_h.weight": COLUMNS,
}
"""How ChatGLM2's shard calls cut what, over the ranks of a model parallel group."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the weights and the logits of all cases are."""
    directory = tmp_path_factory.mktemp("mindformers")
    (directory / "cases.json").write_text(json.dumps(CASES))
    program = Path(__file__).with_name("mindformers_logits.py")
    run_program(interpreter("2.9"), program, directory / "cases.json", directory, directory=directory)
    return directory


def run_program(python: Path, *words: Path, directory: Path) -> None:
    """Run a program of another environment; what it prints is shown where it fails."""
    environment = os.environ | {"GLOG_v": "3", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([python, *words], cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def write_run(directory: Path, weights: Mapping[str, NDArray[np.generic]]) -> Run:
    """Write the shards of four ranks: two model parallel groups, each of two."""
    run = Run(directory, ranks=4, prefix="glm4", tensors=dict(weights))
    maps = {name: next((cut for end, cut in CUT.items() if name.endswith(f".{end}")), None) for name in weights}
    run.layouts = {name: Lay((2, 2), tensor_map) for name, tensor_map in maps.items() if tensor_map is not None}
    return run.write()


def merged(case: str, answers: Path, directory: Path, *, rearranged: bool = True) -> Path:
    """Merge a case's shards as a user would, with the training's YAML and a base model."""
    with np.load(answers / f"{case}.weights.npz") as weights:
        run = write_run(directory / "output", weights)
    base, destination = directory / "base", directory / "merged"
    base.mkdir()
    config = BASE | {"attention_bias": CASES[case].get("add_qkv_bias", True)}
    (base / "config.json").write_text(json.dumps(config))
    said = {"type": "ChatGLM2Config", **CASES[case]} | ({} if rearranged else {"use_rearrange_rope": False})
    (directory / "run.yaml").write_text(json.dumps({"model": {"model_config": said}}))
    merge(
        MergePlan(
            source=run.source,
            destination=destination,
            format=OutputFormat.HUGGINGFACE,
            keep=("weights",),
            hf_base=base,
            network=read_network_config(directory / "run.yaml"),
        )
    )
    return destination


def answer_of(model: Path, ids: Path, directory: Path) -> NDArray[np.generic]:
    """Return what transformers answers; everything in the file must have been loaded as it is."""
    given = os.environ.get("GLMD_TORCH_PYTHON", "")
    assert Path(given).is_file(), f"GLMD_TORCH_PYTHON ({given!r}) is no interpreter; `make test` sets it up"
    run_program(Path(given), Path(__file__).with_name("transformers_logits.py"), model, ids, directory=directory)
    loaded = json.loads((model / "loaded.json").read_text())
    assert loaded["class"] == "GlmForCausalLM"
    assert loaded["type"] == "torch.float32"
    assert loaded["unfit"] == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}
    return np.load(model / "answer.npy")


@pytest.mark.parametrize("case", CASES)
def test_transformers_answer_what_mindformers_answer(case: str, answers: Path, directory: Path) -> None:
    """Of matrices side by side or apart, and of rearranged rows: every logit, within the tolerance."""
    model = merged(case, answers, directory)
    found = answer_of(model, answers / f"{case}.ids.npy", directory)
    expected = np.load(answers / f"{case}.logits.npy")
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_rows_that_were_rearranged_must_be_put_back(answers: Path, directory: Path) -> None:
    """Else it is another model, which is why the training's YAML is asked."""
    model = merged("rearranged", answers, directory, rearranged=False)
    found = answer_of(model, answers / "rearranged.ids.npy", directory)
    assert np.abs(found - np.load(answers / "rearranged.logits.npy")).max() > 1
