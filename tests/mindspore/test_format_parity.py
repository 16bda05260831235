"""What MindSpore 2.9 writes besides plain checkpoints is read right, and what glmd writes, it reads."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from handlers.ckpt import CkptError, DamagedFileError, Format, OutputFormat, walk
from handlers.merging.merge import run
from handlers.records.merge_plan import MergePlan
from tests.mindspore.cases import BFLOAT16, SCALARS, TYPES, Case, Parameter, cases, glm
from tests.mindspore.merging import differences, merged
from tests.mindspore.worker_process import Worker

pytestmark = pytest.mark.mindspore

EXAMPLES = 60
"""Random cases."""
GLM = Case(glm((2, 2), BFLOAT16) + SCALARS, 4)
HALF = Case(glm((2, 2), "Float16") + SCALARS, 4)
OF_ALL_TYPES = Case(tuple(Parameter(f"of_{kind}", (3, 3), kind) for kind in (*TYPES, BFLOAT16)) + SCALARS, 2)


def test_any_run_saved_as_safetensors_is_merged(newest: Worker, tmp_path: Path) -> None:
    """From safetensors into either format, every tensor is whole again."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(case=cases("2.9"))
    def compare(case: Case) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as name:
            directory, saved = Path(name), replace(case, format="safetensors")
            newest.make(saved, directory / "source")
            for form in (OutputFormat.CKPT, OutputFormat.SAFETENSORS):
                output = merged(saved, directory / "source", directory / form, format=form)
                assert not differences(newest.load(output), saved)

    compare()


@pytest.mark.parametrize("case", (GLM, OF_ALL_TYPES), ids=("glm", "all_types"))
def test_safetensors_output_equals_mindspore_byte_for_byte(case: Case, newest: Worker, directory: Path) -> None:
    """The file is the one that MindSpore's save_checkpoint makes of the same parameters."""
    newest.make(case, directory / "source")
    output = merged(case, directory / "source", directory / "merged", format=OutputFormat.SAFETENSORS)
    theirs = directory / "theirs.safetensors"
    newest.ask("save_again", path=directory / "source" / "reference.ckpt", to=theirs, options={"format": "safetensors"})
    assert output.read_bytes() == theirs.read_bytes()


def test_safetensors_shards_load_one_by_one(newest: Worker, directory: Path) -> None:
    """Each file of a sharded output loads, holds what the index says, and all together hold everything."""
    newest.make(GLM, directory / "source")
    summary = run(
        MergePlan(
            source=directory / "source",
            destination=directory / "merged",
            format=OutputFormat.SAFETENSORS,
            max_shard_size=4096,
        )
    )
    loaded = {path.name: newest.load(path) for path in summary.outputs if path.suffix == ".safetensors"}
    assert len(loaded) > 1
    index = json.loads((directory / "merged" / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {each.name: file for file, entries in loaded.items() for each in entries}
    assert not differences([each for entries in loaded.values() for each in entries], GLM)


@pytest.mark.parametrize("form", Format)
def test_checksums_of_mindspore_are_checked(form: Format, newest: Worker, directory: Path) -> None:
    """A file saved with crc_check is merged; with one bit of content changed, it is refused."""
    case = replace(HALF, format=str(form), crc_check=True)
    newest.make(case, directory / "source")
    output = merged(case, directory / "source", directory / "merged")
    assert not differences(newest.load(output), case)
    (shard,) = (directory / "source" / "checkpoint" / "rank_3").iterdir()
    content, wanted = bytearray(shard.read_bytes()), HALF.whole()["lm_head.weight"][24:25].tobytes()
    content[content.index(wanted)] ^= 1
    shard.unlink()
    shard.write_bytes(content)
    with pytest.raises(DamagedFileError, match="rank_3"):
        merged(case, directory / "source", directory / "again")


TEXTS: Mapping[str, str] = {"note": "of run 7", "unicode": "梯度 ✓"}


def test_texts_and_numbers_beside_the_weights(worker: Worker, directory: Path) -> None:
    """What append_dict holds comes out again; MindSpore's own merge fails over a text."""
    case = replace(HALF, append=(*TEXTS.items(), ("epoch", 3), ("learning_rate", 0.5), ("done", True)))
    failure = worker.make(case, directory / "source")
    assert failure is not None
    output = merged(case, directory / "source", directory / "merged")
    loaded = {each.name: each for each in worker.load(output)}
    for name, text in TEXTS.items():
        assert (loaded[name].type, loaded[name].content.decode("utf-32-le")) == ("str", text)
    assert (loaded["epoch"].type, loaded["epoch"].content) == ("Int64", (3).to_bytes(8, "little"))
    assert (loaded["done"].type, loaded["done"].content) == ("Bool", b"\x01")
    assert loaded["learning_rate"].type == "Float32"
    appended = {name for name, _ in case.append}
    assert not differences([each for each in loaded.values() if each.name not in appended], case)


def test_files_that_may_leave_out_replicas_are_merged(newest: Worker, directory: Path) -> None:
    """remove_redundancy is in the metadata as MindSpore writes it, and what all ranks have all the same is compared."""
    case = replace(GLM, format="safetensors")
    newest.make(GLM, directory / "plain")
    newest.make(case, directory / "source")
    for rank in range(case.ranks):
        (plain,) = (directory / "plain" / "checkpoint" / f"rank_{rank}").iterdir()
        (shard,) = (directory / "source" / "checkpoint" / f"rank_{rank}").iterdir()
        shard.unlink()
        newest.ask("save_again", path=plain, to=shard, options={"format": "safetensors", "remove_redundancy": True})
        assert walk(shard).lacks_replicas
    merged(case, directory / "source", directory / "merged")


def test_encrypted_files_are_refused(worker: Worker, directory: Path) -> None:
    """A file saved with enc_key is named as such, not as damaged."""
    worker.make(HALF, directory / "source")
    for rank in range(HALF.ranks):
        (shard,) = (directory / "source" / "checkpoint" / f"rank_{rank}").iterdir()
        worker.ask("encrypt", path=shard)
    with pytest.raises(CkptError, match="encrypted"):
        merged(HALF, directory / "source", directory / "merged")
