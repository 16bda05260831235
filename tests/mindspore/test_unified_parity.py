"""What glmd makes of safetensors is, byte for byte, what today's MindSpore makes of them, and what it loads again."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from handlers.ckpt import CkptError, Family, OutputFormat
from handlers.ckpt.codes import Code
from tests.mindspore.cases import BFLOAT16, SCALARS, Case, Parameter, cases, glm, mindspore_fault
from tests.mindspore.merging import merged
from tests.mindspore.safetensors_files import Stored, stored, without
from tests.mindspore.worker_process import MindSporeError, Worker

pytestmark = pytest.mark.mindspore

EXAMPLES = 60
"""Random cases a test."""
TODAY = "2.9"
EVERYTHING = (Family.WEIGHTS, Family.SCALARS, Family.OPTIMIZER)


@st.composite
def saved_today(draw: st.DrawFn, *, leaves_out: bool | None = None) -> Case:
    """Any run that saves safetensors and, as MindFormers does, a scalar in each; with replicas or without, or either.

    Of a dimension that is cut over several axes MindSpore would leave out slices altogether.
    """
    case = draw(cases(TODAY))
    epoch = Parameter("epoch_num", (), "Int64", None, tuple(range(case.stages)))
    plain = all(len(axes) == 1 for each in case.parameters if each.layout for axes in each.layout.tensor_map)
    if leaves_out is None:
        leaves_out = plain and draw(st.booleans())
    assume(plain or not leaves_out)
    return replace(
        case,
        parameters=(*case.parameters, epoch),
        format="safetensors",
        strategy="protobuf",
        remove_redundancy=leaves_out,
    )


def strategy_of(case: Case, source: Path) -> Path:
    """Return the strategy file that MindSpore is to be given."""
    return source / ("joined.ckpt" if case.stages > 1 else "strategy/ckpt_strategy_rank_0.ckpt")


def shard_of(source: Path, rank: int) -> Path:
    """Return a rank's file."""
    (path,) = (source / "checkpoint" / f"rank_{rank}").iterdir()
    return path


def all_merged(case: Case, source: Path, to: Path) -> dict[str, Stored]:
    """Return what glmd's one file holds; of gradients that are still summed up MindSpore's merge knows nothing."""
    output = merged(case, source, to, format=OutputFormat.SAFETENSORS, keep=EVERYTHING)
    return _without_gradients(stored([output]))


def _without_gradients(found: Mapping[str, Stored]) -> dict[str, Stored]:
    return {name: each for name, each in found.items() if not name.startswith("accu_grads")}


def unified(case: Case, source: Path, to: Path, worker: Worker) -> dict[str, Stored]:
    """Return what MindSpore's merge holds in its parts and hyper_param.safetensors. Raises MindSporeError."""
    worker.ask("unify", source=source / "checkpoint", strategy=strategy_of(case, source), to=to)
    return _without_gradients(stored(to.glob("*.safetensors")))


def compare_with_unified(case: Case, worker: Worker, directory: Path) -> None:
    """Merge by both, and compare; where MindSpore's merge has a fault, numpy's whole tensors say what is right."""
    source = directory / "source"
    worker.make(case, source)
    found = all_merged(case, source, directory / "merged")
    whole = case.whole()
    assert {name: each.content for name, each in found.items()} == {
        each.name: whole[each.name].tobytes() for each in case.parameters if not each.name.startswith("accu_grads")
    }
    if mindspore_fault(case, worker.version()) is None:
        assert found == unified(case, source, directory / "unified", worker)


def test_any_run_is_merged_as_by_unified_safetensors(newest: Worker, tmp_path: Path) -> None:
    """Names, types, shapes and bytes, with replicas and without, whatever the grid, the cuts and the stages."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(case=saved_today())
    def compare(case: Case) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
            compare_with_unified(case, newest, Path(directory))

    compare()


@pytest.mark.parametrize("remove_redundancy", (False, True))
def test_glm_is_merged_as_by_unified_safetensors(newest: Worker, directory: Path, *, remove_redundancy: bool) -> None:
    """GLM's own layout on dp 2 × mp 4, in bfloat16, with its moments and scalars."""
    parameters = glm((2, 4), BFLOAT16) + SCALARS
    case = Case(parameters, 8, format="safetensors", remove_redundancy=remove_redundancy)
    compare_with_unified(case, newest, directory)


def test_a_slice_that_no_rank_has_is_refused(newest: Worker, tmp_path: Path) -> None:
    """MindSpore's merge leaves out a parameter that no file has and says nothing; with some of its slices it raises."""
    outcomes = set()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(case=saved_today(leaves_out=True), data=st.data())
    def compare(case: Case, data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as name:
            directory = Path(name)
            source = directory / "source"
            newest.make(case, source)
            # Of another stage a tied weight could be taken, and a file may be without any moments.
            only = {each.name for each in case.parameters if each.name.startswith("layer") and len(each.stages) == 1}
            shards = [shard_of(source, rank) for rank in range(case.ranks * case.stages)]
            shard, lost = data.draw(
                st.sampled_from([(shard, each) for shard in shards for each in stored([shard]) if each in only])
            )
            without(shard, lost)
            with pytest.raises(CkptError) as refused:
                all_merged(case, source, directory / "merged")
            assert refused.value.code in {Code.SLICE_MISSING, Code.ENTRIES_DIFFER}  # of some ranks, or of all
            assert lost in str(refused.value)
            outcomes.add(_outcome(case, source, directory / "unified", newest, lost))

    compare()
    assert outcomes == {"left out", "raised"}


def _outcome(case: Case, source: Path, to: Path, worker: Worker, lost: str) -> str:
    try:
        found = unified(case, source, to, worker)
    except MindSporeError:
        return "raised"
    return "left out" if lost not in found else "merged"


def test_a_training_loads_from_the_merged_file_what_its_ranks_saved(newest: Worker, tmp_path: Path) -> None:
    """load_distributed_checkpoint cuts glmd's file into the very slices that it was merged from."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(case=saved_today(leaves_out=False))
    def compare(case: Case) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as name:
            directory, ranks = Path(name), case.ranks * case.stages
            source, cut = directory / "source", directory / "cut"
            newest.make(case, source)
            merged(case, source, directory / "merged", format=OutputFormat.SAFETENSORS, keep=EVERYTHING)
            if mindspore_fault(case, newest.version()) is not None:
                return
            newest.ask(
                "distribute",
                merged=directory / "merged",
                strategy=strategy_of(case, source),
                to=cut,
                ranks=ranks,
            )
            laid = {each.name for each in case.parameters if each.layout}
            for rank in range(ranks):
                loaded = stored([cut / f"rank_{rank}" / "net.safetensors"])
                saved = stored([shard_of(source, rank)])
                assert loaded == {each: saved[each] for each in saved if each in laid}

    compare()
