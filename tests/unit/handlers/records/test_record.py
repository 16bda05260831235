"""Promises of handlers.records.record: whatever lies in a record's place, its reader neither dies of it nor waits."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.publishing.manifest import read_manifest
from handlers.records.job_dir import Step
from handlers.records.record import Record
from handlers.records.shim_record import ShimRecord
from handlers.records.step_exit import Outcome, StepExit, Survivor
from handlers.resume.decision import TakenUp

NOW = datetime.now(UTC)
SHIM = ShimRecord(pid=1, start_time=1, boot_id="b", started=NOW)
EXIT = StepExit(step=Step.TRAIN, outcome=Outcome.FAILED, reason="", started=NOW, ended=NOW)
SURVIVOR = Survivor(pid=1, start_time=1, boot_id="b", name="n", state="D", rank=0, device=0)


@pytest.mark.parametrize(
    ("record", "changed"),
    (
        *((SHIM, {"pid": pid}) for pid in (0, -1, 1 << 31, 1 << 63, 10**400, True, "1", 1.5)),
        *((SHIM, {"start_time": ticks}) for ticks in (-1, 1 << 63, False)),
        *(
            (SHIM, {"started": at})
            for at in ("2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z")
        ),
        (EXIT, {"survivors": [{**SURVIVOR.model_dump(), "pid": 1 << 31}]}),
        (EXIT, {"survivors": [{**SURVIVOR.model_dump(), "device": 64}]}),
        (EXIT, {"silences": {"configuration": "c", "step": 1e300}}),
        (EXIT, {"ended": 1e300}),
        *((TakenUp(resumes=0, tag=None), {"resumes": count}) for count in (-1, 1 << 63, True)),
    ),
)
def test_a_number_out_of_bounds_makes_a_record_unreadable(
    tmp_path: Path, record: Record, changed: dict[str, Any]
) -> None:
    """Of every record that the daemon reads: what no kernel, no table and no clock takes is damage."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**json.loads(record.model_dump_json()), **changed}))
    with pytest.raises(ValidationError):
        type(record).read(path)


def test_a_record_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """It is as unreadable as bad JSON, and takes no memory."""
    path = tmp_path / "exit.json"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(ValidationError, match="larger than the 1048576 bytes"):
        StepExit.read(path)
    with pytest.raises(DamagedFileError, match="larger than the"):
        read_manifest(path)


def test_nobody_is_waited_for(tmp_path: Path) -> None:
    """A FIFO without a writer, in a record's place, holds up no loop."""
    os.mkfifo(tmp_path / "exit.json")
    with pytest.raises(ValidationError, match="not a regular file"):
        StepExit.read(tmp_path / "exit.json")


def test_bytes_up_to_the_bound_are_read(tmp_path: Path) -> None:
    """The bound itself is within."""
    (tmp_path / "file").write_bytes(b"1234")
    assert read_bounded(tmp_path / "file", 4) == b"1234"
    with pytest.raises(DamagedFileError):
        read_bounded(tmp_path / "file", 3)


def test_an_end_that_an_older_glmd_wrote_has_no_code(tmp_path: Path) -> None:
    """It is read all the same."""
    told = json.loads(EXIT.model_dump_json())
    del told["code"]
    (tmp_path / "exit.json").write_text(json.dumps(told))
    assert StepExit.read(tmp_path / "exit.json").code == ""
