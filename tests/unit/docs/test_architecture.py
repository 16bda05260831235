"""Promises of docs/architecture.md: the files of the code that it names are there, and all states of a job's way."""

import re
from pathlib import Path

from daemon.core.states import ACTIVE, State

HOUSE = Path(__file__).parents[3]
TEXT = (HOUSE / "docs" / "architecture.md").read_text("utf-8")


def test_every_file_of_the_code_is_there() -> None:
    """A name without directories is beside the one before it."""
    found = [HOUSE]
    for name in re.findall(r"`([\w/]+\.py)`", TEXT):
        found.append(HOUSE / name if "/" in name else found[-1].parent / name)
    found = found[1:]
    assert [path for path in found if not path.is_file()] == []
    assert len(set(found)) > 25


def test_the_picture_has_every_state_of_the_way() -> None:
    """On one host: Slurm's own state is a detour."""
    way = {State.QUEUED, *ACTIVE, State.DONE} - {State.SUBMITTED}
    (picture,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    assert {state for state in State if re.search(rf"\b{state.name}\b", picture)} == way
