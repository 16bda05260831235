"""The merged file equals, byte for byte, what the real MindSpore makes of the same shards by the merge by hand."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from handlers.job_plan import MergePlan
from handlers.merge import run as merge_run

pytestmark = pytest.mark.mindspore

REFERENCE = Path(__file__).with_name("make_reference.py")
SCALARS: dict[str, tuple[str, object]] = {
    "scale_sense": ("Float32", 1024.0),
    "global_step": ("Int32", [124]),
    "current_iterator_step": ("Int32", 7),
    "last_overflow_iterator_step": ("Int32", 0),
    "epoch_num": ("Int64", 31),
    "step_num": ("Int64", 124),
    "loss_scale": ("Float32", 1.5),
}
Parameter = tuple[str, list[int], str, list[int] | None, list[int] | None]


@pytest.fixture(scope="session")
def training_python() -> Path:
    """Return the interpreter of the training environment."""
    given = os.environ.get("GLMD_TRAINING_PYTHON", "")
    if not Path(given).is_file():
        pytest.fail(f"GLMD_TRAINING_PYTHON ({given!r}) is no interpreter; `make test` sets up the training environment")
    return Path(given)


def glm(
    dev_matrix: list[int], kind: str, *, layers: int = 2, hidden: int = 16, vocabulary: int = 48
) -> list[Parameter]:
    """GLM's parameters under the stock layout: rows, columns, biases and norms, and Adam's moments of them all."""
    weights: list[Parameter] = [
        ("word_embeddings.embedding_table", [vocabulary, hidden], "Float32", dev_matrix, [0, -1])
    ]
    for layer in range(layers):
        at = f"transformer.layers.{layer}"
        weights += [
            (f"{at}.input_layernorm.gamma", [hidden], "Float32", dev_matrix, [-1]),
            (f"{at}.attention.query_key_value.weight", [3 * hidden, hidden], kind, dev_matrix, [0, -1]),
            (f"{at}.attention.query_key_value.bias", [3 * hidden], kind, dev_matrix, [0]),
            (f"{at}.attention.dense.bias", [hidden], kind, dev_matrix, [-1]),
            (f"{at}.mlp.dense_h_to_4h.weight", [4 * hidden, hidden], kind, dev_matrix, [0, -1]),
            (f"{at}.mlp.dense_4h_to_h.weight", [hidden, 4 * hidden], kind, dev_matrix, [-1, 0]),
        ]
    weights.append(("lm_head.weight", [vocabulary, hidden], kind, dev_matrix, [0, -1]))
    moments: list[Parameter] = [
        (f"adam_{which}.{name}", dims, "Float32", grid, cut) for which in "mv" for name, dims, _, grid, cut in weights
    ]
    return weights + moments


def split_twice(kind: str) -> list[Parameter]:
    """Tensors cut along several dimensions, and some along none."""
    return [
        ("blocks", [6, 8], kind, [3, 2, 2], [2, 0]),
        ("experts", [4, 5, 6], kind, [3, 2, 2], [1, -1, 2]),
        ("deep", [2, 3, 4, 5], kind, [3, 2, 2], [-1, 2, 0, -1]),
        ("between", [2, 4, 3], kind, [3, 2, 2], [-1, 1, -1]),
        ("whole", [3, 3], kind, [3, 2, 2], [-1, -1]),
    ]


CASES: dict[str, tuple[int, list[Parameter]]] = {
    "mp2_fp16": (2, glm([2], "Float16")),
    "mp4_fp32": (4, glm([4], "Float32")),
    "mp8_fp16": (8, glm([8], "Float16")),
    "dp2_mp2_fp16": (4, glm([2, 2], "Float16")),
    "dp2_mp4_fp16": (8, glm([2, 4], "Float16")),
    "data_parallel": (2, [(name, dims, kind, None, None) for name, dims, kind, _, _ in glm([1], "Float16")]),
    "one_rank": (1, glm([1], "Float16")),
    "split_twice_int32": (12, split_twice("Int32")),
    "split_twice_float64": (12, split_twice("Float64")),
    "uint8": (12, split_twice("UInt8")),
    "bool": (12, split_twice("Bool")),
    "unlaid_first": (2, [("table", [3, 3], "Int64", None, None), *glm([2], "Float16")]),
}


def make_references(training_python: Path, directory: Path) -> None:
    """Let MindSpore make shards and their merge for each case in `directory`."""
    made = subprocess.run([training_python, REFERENCE, directory], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def describe(directory: Path, ranks: int, parameters: list[Parameter], scalars: dict[str, tuple[str, object]]) -> None:
    """Write a case for make_reference.py."""
    directory.mkdir()
    case = {"ranks": ranks, "parameters": parameters, "scalars": scalars}
    (directory / "case.json").write_text(json.dumps(case))


@pytest.fixture(scope="session")
def references(training_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All small cases, made by one MindSpore process."""
    directory = tmp_path_factory.mktemp("references")
    odd = {"flag": ("Bool", True), "half": ("Float16", 0.1), "small": ("UInt8", 3), "double": ("Float64", 0.1)}
    for case, (ranks, parameters) in CASES.items():
        describe(directory / case, ranks, parameters, SCALARS | odd)
    make_references(training_python, directory)
    return directory


@pytest.mark.parametrize("case", CASES)
def test_equal_to_mindspore_byte_for_byte(case: str, references: Path, tmp_path: Path) -> None:
    """Names, order, shapes, types, framing, contents: there is no difference."""
    source = references / case
    has_strategy = (source / "strategy").is_dir()
    summary = merge_run(MergePlan(source=source, destination=tmp_path / "merged", needs_strategy=has_strategy))
    assert summary.ranks == CASES[case][0]
    assert summary.outputs[0].read_bytes() == (source / "reference.ckpt").read_bytes()


def test_chunks_equal_mindspore_byte_for_byte(tmp_path: Path, training_python: Path) -> None:
    """A tensor over 512 MiB, in shards of two chunks each, is joined and cut again as MindSpore does."""
    parameters: list[Parameter] = [("embedding", [290_000_008], "Float32", [2], [0]), ("b", [4], "Float16", [2], [0])]
    source = tmp_path / "case"
    describe(source, 2, parameters, SCALARS)
    make_references(training_python, tmp_path)
    try:
        summary = merge_run(MergePlan(source=source, destination=tmp_path / "merged"))
        assert subprocess.run(["cmp", summary.outputs[0], source / "reference.ckpt"], check=False).returncode == 0
    finally:
        for path in tmp_path.rglob("*.ckpt"):
            path.unlink()  # gigabytes need not wait until pytest tidies up
