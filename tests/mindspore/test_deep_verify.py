"""`glmd verify --deep` asks the real MindSpore."""

import os
from pathlib import Path

import numpy as np
import pytest

from handlers.ckpt import OutputFormat, OutputOptions, merge, open_set
from handlers.merging.deep_verify import MindSporeError, deep_verify
from tests.mindspore.conftest import INTERPRETERS
from tests.unit.handlers.ckpt.ckpt_writer import record, small_run

pytestmark = pytest.mark.mindspore


@pytest.fixture
def python(version: str) -> Path:
    """Return the interpreter of one MindSpore."""
    return Path(os.environ[INTERPRETERS[version]])


def merged(directory: Path, options: OutputOptions) -> Path:
    """Merge a small run with a scalar of each kind."""
    run = small_run(directory / "output")
    run.tensors |= {"flag": np.array([True]), "long": np.array([1, 2], "int64")}
    run.write()
    (directory / "merged").mkdir()
    plan = open_set([run.shard(rank) for rank in range(4)], [run.strategy]).plan()
    merge(plan, directory / "merged", options)
    return directory / "merged"


def test_mindspore_loads_what_glmd_wrote(directory: Path, python: Path, version: str) -> None:
    """The same names, shapes, types and bytes."""
    found = deep_verify(merged(directory, OutputOptions()), python)
    assert (found.problems, found.compared) == ((), 10)
    assert found.mindspore.startswith(f"{version}.")


def test_safetensors_are_loaded_by_a_mindspore_that_knows_them(directory: Path, python: Path, version: str) -> None:
    """2.0 does not, and says so."""
    output = merged(directory, OutputOptions(OutputFormat.SAFETENSORS, max_shard_size=500))
    if version == "2.0":
        with pytest.raises(MindSporeError, match=r"MindSpore 2\.0\.0 does not load safetensors"):
            deep_verify(output, python)
    else:
        assert deep_verify(output, python).problems == ()


def test_what_mindspore_cannot_load_is_quoted(directory: Path, python: Path) -> None:
    """Complex numbers, which it saves but does not load."""
    shard = directory / "shard.ckpt"
    shard.write_bytes(record("w", [1], "Complex64", bytes(8)))
    (directory / "merged").mkdir()
    merge(open_set([shard]).plan(), directory / "merged")
    with pytest.raises(MindSporeError, match="Complex64"):
        deep_verify(directory / "merged", python)
