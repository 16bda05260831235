"""Promises of handlers.shim.reading_plan."""

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from handlers.errors import BadInputError
from handlers.shim.reading_plan import read_plan

if TYPE_CHECKING:
    from tests.unit.handlers.conftest import Workshop


@pytest.mark.parametrize(
    ("by", "told"),
    (
        ("99.1", f"written by glmd 99.1, and run by glmd {version('glmd')}: `glmd retry N` plans it again"),
        (version("glmd"), "not a plan that this version can run: new_key: Extra inputs are not permitted"),
        (None, "not a plan that this version can run: new_key: Extra inputs are not permitted"),
    ),
)
def test_a_plan_of_another_version_that_cannot_be_run_says_so(
    workshop: "Workshop", by: str | None, told: str
) -> None:  # fmt: skip
    """A job may wait for days in Slurm's queue while glmd is upgraded. One that can be run is."""
    plan = workshop.job_dir.plan
    workshop.publish(workshop.train("pass"))
    whole = json.loads(plan.read_text()) | {"glmd": "99.1"}
    plan.write_text(json.dumps(whole))
    assert read_plan(workshop.job_dir, plan).glmd == "99.1"
    del whole["glmd"]
    plan.write_text(json.dumps(whole | {"new_key": 1} | ({} if by is None else {"glmd": by})))
    with pytest.raises(BadInputError) as raised:
        read_plan(workshop.job_dir, plan)
    assert str(raised.value) == f"{plan}: {told}"
