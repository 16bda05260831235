"""Promises of docs/files.md: each file of the root and of a job's directory has a row."""

import re
from pathlib import Path
from typing import get_type_hints

from daemon.core.root import Root
from handlers.records.job_dir import JobDir, Step, StepDir
from handlers.training_record.record import NAME

TEXT = (Path(__file__).parents[3] / "docs" / "files.md").read_text("utf-8")
ROOT = Path("/var/glm")
JOB = ROOT / "jobs" / "0042-NAME"
ATTEMPT = JOB / "attempts" / "2"


def rows(head: str) -> set[str]:
    """Return what the table says that begins with `head`."""
    (table,) = re.findall(rf"^\| {re.escape(head)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    names = [row.split(" | ")[0] for row in table.splitlines()]
    return {name.rstrip("/") for cell in names for name in re.findall(r"`([^`]+)`", cell)}


def paths_of(kind: type, instance: object, place: Path) -> set[str]:
    """Return the paths that the properties of a directory's class are, from there."""
    properties = [one for one in vars(kind).values() if isinstance(one, property)]
    found = [one.fget(instance) for one in properties if one.fget and get_type_hints(one.fget)["return"] is Path]
    return {str(path.relative_to(place)) for path in found if path != place}


def test_every_place_of_the_root_has_a_row() -> None:
    """By what the code calls it."""
    assert paths_of(Root, Root(ROOT), ROOT) <= rows("in `/var/glm`")


def test_every_file_of_a_job_has_a_row() -> None:
    """Its attempts have tables of their own."""
    directory = JobDir(JOB)
    rank_log = str(directory.rank_log(3).relative_to(JOB))
    assert paths_of(JobDir, directory, JOB) | {rank_log} <= rows("in `jobs/0042-NAME`")


def test_every_file_of_an_attempt_has_a_row() -> None:
    """What it began with, and the steps."""
    directory = JobDir(JOB)
    began_with = {directory.resume_record(2), directory.resume_from(2), directory.resumed_config(2)}
    places = began_with | {directory.earlier_output(2)} | {directory.step(2, step).path for step in Step}
    assert {str(path.relative_to(ATTEMPT)) for path in places} == rows("in `attempts/2`")


def test_every_file_of_a_step_has_a_row() -> None:
    """Also the record of a training."""
    place = ATTEMPT / "train"
    expected = paths_of(StepDir, StepDir(place), place)
    assert expected | {NAME} <= rows("in `attempts/2/train`, `merge`, `evaluate`")
