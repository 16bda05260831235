"""A save in MindFormers' new format is merged into what MindFormers loads from it, and from glmd's output too."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ckpt import Family, OutputFormat
from tests.mindspore.cases import BFLOAT16, Case, Parameter, cases, glm
from tests.mindspore.merging import merged
from tests.mindspore.safetensors_files import stored
from tests.mindspore.worker_process import Worker

pytestmark = pytest.mark.mindspore

EXAMPLES = 40
"""Random cases."""
ITERATION = 8


@st.composite
def saved_in_the_new_format(draw: st.DrawFn) -> Case:
    """Any run of one stage. Its layouts have no optimizer shards: these are an axis of the grid there."""
    case = draw(cases("2.9"))

    def as_saved(parameter: Parameter) -> Parameter:
        layout = parameter.layout and replace(parameter.layout, size=0, step=0)
        return replace(parameter, layout=layout, stages=(0,))

    return replace(case, parameters=tuple(map(as_saved, case.parameters)), stages=1, format="safetensors")


def compare(case: Case, worker: Worker, directory: Path) -> None:
    """Merge a save by glmd; MindFormers loads the same from both."""
    output = directory / "output"
    save = output / "checkpoint" / f"iteration_{ITERATION:08}"
    worker.make(case, directory / "source")
    worker.ask("save_iteration", source=directory / "source", to=save)
    common = {"epoch_num": 2, "step_num": 4, "global_step": ITERATION, "loss_scale": 1.0, "ckpt_status": None}
    (save / "common.json").write_text(json.dumps(common))
    (save.parent / "latest_checkpointed_iteration.txt").write_text(str(ITERATION))
    families = (Family.WEIGHTS, Family.SCALARS, Family.OPTIMIZER)
    made = merged(case, output, directory / "merged", format=OutputFormat.SAFETENSORS, keep=families)
    for path, to in ((save, "of_ranks"), (made.parent, "of_glmd")):
        worker.ask("load_iteration", path=path, to=directory / f"{to}.safetensors")
    ours, theirs = stored([made]), stored([directory / "of_ranks.safetensors"])
    assert ours == theirs
    assert stored([directory / "of_glmd.safetensors"]) == theirs
    whole = case.whole()
    assert {name: each.content for name, each in ours.items()} == {
        each.name: whole[each.name].tobytes()
        for each in case.parameters
        if each.dims and not each.name.startswith("accu_grads")
    }


def test_any_save_in_the_new_format_is_merged_as_mindformers_loads_it(newest: Worker, tmp_path: Path) -> None:
    """Whatever the grid, the axes and the types: metadata.json is MindFormers' own."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(case=saved_in_the_new_format())
    def each(case: Case) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
            compare(case, newest, Path(directory))

    each()


def test_glm_in_the_new_format(newest: Worker, directory: Path) -> None:
    """GLM's own layout on dp 2 × mp 4, in bfloat16, with its moments."""
    compare(Case(glm((2, 4), BFLOAT16), 8, format="safetensors"), newest, directory)
