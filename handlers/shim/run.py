"""Runs one step of one job as its own process, so that the daemon may come and go.

    python -m handlers.shim JOB_DIR ATTEMPT STEP
    python -m handlers.shim --root ROOT --instance 0042-1-train

Writes shim.json (who runs the step) first and exit.json (how it ended) last, both whole. TERM or INT ends the step.
Exit codes: 0 completed, 1 not completed, 2 bad usage, 75 refused because the step is running or has ended.

The ranks of a training wait for nothing: what takes long to import is imported when they have been started.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from handlers.ckpt.errors import DamagedFileError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.files.durable import make_directory, open_lock, publish_bytes
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.event_lines import EventLog, Log
from handlers.records.job_dir import JobDir, Step
from handlers.records.process import ProcessIdentity
from handlers.records.train_plan import MOST_PLAN_BYTES
from handlers.shim.begun import Begun, begin
from handlers.shim.fence import locked
from handlers.shim.home import Home, while_moving
from handlers.shim.instance import StepRun, find_step_run
from handlers.shim.own_plan import own_training
from handlers.shim.patience import patiently
from handlers.shim.wakeups import Wakeups

EXIT_COMPLETED = 0
EXIT_NOT_COMPLETED = 1
EXIT_REFUSED = 75
"""EX_TEMPFAIL of sysexits.h."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the step that the command line names; return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        run = while_moving(lambda: _asked_for(given), _jobs(given))
    except (BadInputError, FileNotFoundError) as error:
        parser.error(str(error))
    log = EventLog()
    with (
        Wakeups() as wakeups,
        Home(run.job_dir) as home,
        patiently("lock", partial(home.do, partial(_open_lock, run)), wakeups, log) as lock,
    ):
        mine = locked(lock)
        if not mine or home.directory.step(run.attempt, run.step).exit.exists():
            reason = "it has ended" if mine else "another shim runs it"
            log.warning("shim_refused", path=run.directory.path, reason=reason)
            return EXIT_REFUSED
        return _run_step(run, home, wakeups)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m handlers.shim", description="Runs one step of one job.")
    parser.add_argument("job_dir", type=Path, nargs="?", metavar="JOB_DIR")
    parser.add_argument("attempt", type=int, nargs="?", metavar="ATTEMPT")
    parser.add_argument("step", type=Step, nargs="?", metavar="STEP", help="train, merge or evaluate")
    parser.add_argument("--root", type=Path, help="where jobs/ is; with --instance")
    parser.add_argument("--instance", help="JOB-ATTEMPT-STEP, as 0042-1-train: the name of a systemd instance")
    return parser


def _jobs(given: argparse.Namespace) -> Path | None:
    """Return where the directories of all jobs are, as far as the command line says so."""
    if given.root is not None:
        return Path(given.root, "jobs")
    return None if given.job_dir is None else Path(given.job_dir.absolute().parent)


def _asked_for(given: argparse.Namespace) -> StepRun:
    if given.root is not None and given.instance is not None and given.job_dir is None:
        return find_step_run(given.root, given.instance)
    if given.root is None and given.instance is None and given.step is not None:
        given.job_dir.stat()
        return StepRun(JobDir(given.job_dir.absolute()), given.attempt, given.step)
    raise BadInputError("give JOB_DIR, ATTEMPT and STEP, or --root and --instance", Code.SHIM_USAGE)


def _open_lock(run: StepRun, job_dir: JobDir) -> BinaryIO:
    directory = job_dir.step(run.attempt, run.step)
    make_directory(directory.path)
    return open_lock(directory.lock)


def _run_step(run: StepRun, home: Home, wakeups: Wakeups) -> int:
    started = datetime.now(UTC)
    log = EventLog(run.job_dir.events, job=run.job, attempt=run.attempt, step=run.step)
    begun: Begun | Exception | None
    try:
        begun = _begun(run, started, home, wakeups, log)
    except Exception as error:  # noqa: BLE001 - raised again where exit.json is made of it
        begun = error
    from handlers.shim.finish import finish  # noqa: PLC0415 - half a second, for which no rank is to wait

    return EXIT_COMPLETED if finish(run, begun, started, home, wakeups, log) else EXIT_NOT_COMPLETED


def _begun(run: StepRun, started: datetime, home: Home, wakeups: Wakeups, log: Log) -> Begun | None:
    """Say who runs the step, and start its ranks; None where there is more to read first, or nothing to start."""
    me = {**asdict(ProcessIdentity.of(os.getpid())), "started": started.isoformat()}
    content = (json.dumps(me, indent=2) + "\n").encode()
    patiently("shim.json", partial(home.do, partial(_say_who, run, content)), wakeups, log)
    log.info("step_started")
    if run.step is not Step.TRAIN:
        return None
    try:
        plan = patiently("plan.json", partial(home.do, _plan), wakeups, log)
    except DamagedFileError:
        return None
    own = own_training(plan)
    return None if own is None else begin(own.plan, run, own.devices, wakeups, log)


def _say_who(run: StepRun, content: bytes, job_dir: JobDir) -> None:
    publish_bytes(job_dir.step(run.attempt, run.step).shim, content)


def _plan(job_dir: JobDir) -> bytes:
    return read_bounded(job_dir.plan, MOST_PLAN_BYTES)
