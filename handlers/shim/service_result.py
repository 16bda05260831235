"""Keeps what systemd says of a step's end, for the case that its shim could not: it was killed for memory, say.

    python -m handlers.shim.service_result --root ROOT --instance 0042-1-train

Run by ExecStopPost= of glmd-job@.service, since `systemctl show` answers success/0 once the unit is collected.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from handlers.ckpt.files.durable import UMASK, make_directory
from handlers.errors import BadInputError
from handlers.records.job_dir import StepDir
from handlers.records.record import Record
from handlers.shim.home import while_moving
from handlers.shim.instance import find_step_run


class ServiceResult(Record):
    """service_result.json: the words of systemd.exec(5), "Environment variables set on the service manager's side"."""

    service_result: str
    """`success`, `exit-code`, `signal`, `oom-kill`, `timeout`, `core-dump`, …"""
    exit_code: str
    """`exited`, `killed` or `dumped`; empty when the shim never started."""
    exit_status: str
    """The shim's exit code, or the signal's name without SIG."""

    @classmethod
    def read_of(cls, directory: StepDir) -> Self:
        """Read a step's record; raises OSError or pydantic.ValidationError."""
        return cls.read(_file(directory))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the record of the instance that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m handlers.shim.service_result")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--instance", required=True)
    given = parser.parse_args(arguments)
    try:
        run = while_moving(lambda: find_step_run(given.root, given.instance))
    except (BadInputError, FileNotFoundError) as error:
        parser.error(str(error))
    result = ServiceResult(
        service_result=os.environ.get("SERVICE_RESULT", ""),
        exit_code=os.environ.get("EXIT_CODE", ""),
        exit_status=os.environ.get("EXIT_STATUS", ""),
    )
    make_directory(run.directory.path)
    result.publish(_file(run.directory))
    return 0


def _file(directory: StepDir) -> Path:
    return directory.path / "service_result.json"


if __name__ == "__main__":
    os.umask(UMASK)
    raise SystemExit(main())
