"""glmd's merge of a case, to be compared with MindSpore's and with the whole tensors."""

from pathlib import Path

from handlers.merging.merge import run
from handlers.records.merge_plan import MergePlan
from tests.mindspore.cases import Case
from tests.mindspore.worker_process import Loaded


def merged(case: Case, source: Path, destination: Path, **options: object) -> Path:
    """Merge a case's shards by glmd; return the filtered file."""
    plan = MergePlan(source=source, destination=destination, needs_strategy=case.has_strategy, **options)
    *_, output = run(plan).outputs
    return output


def differences(loaded: list[Loaded], case: Case) -> list[str]:
    """Say where what was loaded differs from the case's whole tensors, of the families that the default keeps."""
    expected, whole = case.kept(), case.whole()
    found = {each.name for each in loaded}
    said = [f"{name} is missing" for name in expected if name not in found]
    for each in loaded:
        if each.name not in expected:
            said.append(f"{each.name} is too much")
            continue
        parameter = expected[each.name]
        if each.type != parameter.type:
            said.append(f"{each.name}: {each.type}, not {parameter.type}")
        elif parameter.dims and each.dims != parameter.dims:  # MindSpore 2.0 loads some scalars () as (1,)
            said.append(f"{each.name}: {each.dims}, not {parameter.dims}")
        elif each.content != whole[each.name].tobytes():
            said.append(f"{each.name}: other content")
    return said
