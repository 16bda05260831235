"""An output for Hugging Face's libraries: transformers loads it, and answers what MindFormers answers."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
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
"""Of logits of up to 8, all computed in float32 in another order: 1.3e-5 is the most that was seen."""
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
NOT_PUT_BACK = "not put back"
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


@dataclass(frozen=True)
class Answers:
    """What both say, by case; NOT_PUT_BACK is the rearranged one, merged as if it was not."""

    mindformers: Mapping[str, NDArray[np.generic]]
    transformers: Mapping[str, NDArray[np.generic]]
    loaded: Mapping[str, Mapping[str, object]]
    """What transformers say of the loading."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Let each program do all cases: it takes longer to start than to answer."""
    directory = tmp_path_factory.mktemp("answers")
    (directory / "cases.json").write_text(json.dumps(CASES))
    program = Path(__file__).with_name("mindformers_logits.py")
    run_program(interpreter("2.9"), program, directory / "cases.json", directory, directory=directory)
    models = {}
    for name, (case, rearranged) in {
        **{case: (case, True) for case in CASES},
        NOT_PUT_BACK: ("rearranged", False),
    }.items():
        (directory / name).mkdir()
        models[name] = merged(case, directory, directory / name, rearranged=rearranged)
        shutil.copy(directory / f"{case}.ids.npy", models[name] / "ids.npy")
    run_program(torch(), Path(__file__).with_name("transformers_logits.py"), *models.values(), directory=directory)
    return Answers(
        {case: np.load(directory / f"{case}.logits.npy") for case in CASES},
        {name: np.load(model / "answer.npy") for name, model in models.items()},
        {name: json.loads((model / "loaded.json").read_text()) for name, model in models.items()},
    )


def torch() -> Path:
    """Return the Python of the environment with transformers."""
    given = os.environ.get("GLMD_TORCH_PYTHON", "")
    if not Path(given).is_file():
        pytest.fail(f"GLMD_TORCH_PYTHON ({given!r}) is no interpreter; `make test` sets up the environments")
    return Path(given)


@pytest.mark.parametrize("case", CASES)
def test_transformers_answer_what_mindformers_answer(case: str, answers: Answers) -> None:
    """Of matrices side by side or apart, and of rearranged rows: every logit, within the tolerance."""
    expected = answers.mindformers[case]
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(answers.transformers[case], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_transformers_take_every_weight_as_it_is(case: str, answers: Answers) -> None:
    """None is missing, none too much, in the type of the training, by transformers' own class."""
    unfit: dict[str, list[str]] = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}
    assert answers.loaded[case] == {"class": "GlmForCausalLM", "type": "torch.float32", "unfit": unfit}


def test_rows_that_were_rearranged_must_be_put_back(answers: Answers) -> None:
    """Else it is another model, which is why the training's YAML is asked."""
    assert np.abs(answers.transformers[NOT_PUT_BACK] - answers.mindformers["rearranged"]).max() > 1
