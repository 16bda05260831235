"""The end of a step: ranks that were begun are watched, shards merged, an output evaluated; exit.json says how."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from pathlib import Path

from handlers.ckpt.errors import CkptError
from handlers.ckpt.files.durable import fsync_directory, fsync_tree, make_directory
from handlers.ckpt.planning.trained_on import TrainedOn
from handlers.codes import Code
from handlers.error_codes import code_of
from handlers.errors import BadInputError, HandlerError
from handlers.event_lines import EventLog, Log
from handlers.printable import printable_lines
from handlers.rank_log.advice import filled_in
from handlers.records.job_dir import JobDir, Step
from handlers.records.job_plan import JobPlan
from handlers.records.step_exit import Diagnosis, Outcome, StepExit
from handlers.records.train_plan import TrainPlan
from handlers.shards.names import SHARD_DIRECTORIES, holds_shards
from handlers.shim.begun import Begun, begin
from handlers.shim.evaluate import evaluate
from handlers.shim.home import Home
from handlers.shim.instance import StepRun
from handlers.shim.patience import patiently
from handlers.shim.reading_plan import read_plan
from handlers.shim.step_recorder import recorder_of
from handlers.shim.supervise import StepEnd, supervise
from handlers.shim.wakeups import Wakeups

_PROGRESS_EVERY = 1.0
"""Seconds between two progress events of a merge, at least."""


def finish(
    run: StepRun, begun: Begun | Exception | None, started: datetime, home: Home, wakeups: Wakeups, log: Log
) -> bool:
    """Do the rest of a step of which `begun` is all that was done; return whether it was completed, and recorded."""
    return conclude(run, partial(_end_of, run, begun, home, wakeups, log), started, home, wakeups, log)


def conclude(
    run: StepRun, work: Callable[[], StepEnd], started: datetime, home: Home, wakeups: Wakeups, log: Log
) -> bool:  # fmt: skip
    """Do the `work` of a step, and write down how it ended; return whether it was completed, and recorded."""
    job = run.job
    try:
        end = work()
    except (CkptError, HandlerError, OSError) as error:
        end = StepEnd(Outcome.FAILED, str(error), code_of(error))
    except Exception as error:
        log.exception("shim_broke")
        what = f"unexpected {type(error).__name__}: {error}; its traceback is in {run.job_dir.events}"
        end = StepEnd(Outcome.FAILED, what, Code.GLMD_DEFECT)
    step_exit = StepExit(
        step=run.step,
        outcome=end.outcome,
        reason=" ".join(printable_lines(filled_in(end.reason, job=job)).split()),
        code=end.code,
        first=end.first,
        diagnosis=_of_job(end.diagnosis, job),
        divergence=end.divergence,
        limit=end.limit,
        processes=end.processes,
        survivors=end.survivors,
        nodes_without_record=end.nodes_without_record,
        nodes_unfit=end.nodes_unfit,
        silences=end.silences,
        metrics=None if end.metrics is None else dict(end.metrics),
        started=started,
        ended=datetime.now(UTC),
    )
    log.info("step_ended", outcome=step_exit.outcome, code=step_exit.code, reason=step_exit.reason)
    try:
        patiently("exit.json", partial(home.do, partial(_publish, step_exit, run)), wakeups, log)
    except OSError as error:
        log.error("exit_not_recorded", path=run.directory.exit, reason=str(error))  # noqa: TRY400 - an OSError says it all
        return False
    return step_exit.outcome is Outcome.COMPLETED


def _publish(step_exit: StepExit, run: StepRun, job_dir: JobDir) -> None:
    """Write exit.json where the job's directory is now, however much of it somebody has removed."""
    directory = job_dir.step(run.attempt, run.step)
    make_directory(directory.path)
    step_exit.publish(directory.exit)


def _of_job(diagnosis: Diagnosis | None, job: int | str) -> Diagnosis | None:
    if diagnosis is None:
        return None
    return diagnosis.model_copy(update={"remedy": filled_in(diagnosis.remedy, job=job)})


def _end_of(run: StepRun, begun: Begun | Exception | None, home: Home, wakeups: Wakeups, log: Log) -> StepEnd:
    if isinstance(begun, Exception):
        raise begun
    if run.step is Step.EVALUATE:
        return evaluate(run, home, wakeups, log)
    if run.step is Step.MERGE:
        return merge_at_home(run, home, wakeups, log)
    if begun is None:
        plan = _plan(run, home, wakeups, log)
        if not isinstance(plan.train, TrainPlan):
            what = (
                "no training, only a merge" if plan.train is None else "a training on nodes of Slurm, not on this host"
            )
            raise BadInputError(f"{run.job_dir.plan}: plans {what}", Code.SHIM_PLAN)
        begun = begin(plan.train, run, plan.devices, wakeups, log)
    end = supervise(begun, run.directory.stacks, wakeups, log, recorder_of(run, begun.plan, log))
    if end.outcome is not Outcome.COMPLETED:
        return end
    # Trees of this attempt's own: what those before it wrote was put aside. They are two while the directory is away,
    # and ranks make some of it again under its old name.
    here = (directory for directory in (run.job_dir.output,) if directory.is_dir())
    outputs = tuple(dict.fromkeys((*here, home.directory.output)))
    rank = next(process for process in begun.plan.processes if process.ranks)
    return saved(end, outputs, rank.argv, log)


def saved(end: StepEnd, outputs: Sequence[Path], command: Sequence[str], log: Log) -> StepEnd:
    """Make what a completed training of `command` has saved in `outputs` survive a power cut; without any, it failed.

    Raises OSError, also where the kernel could not put on the disk what the ranks wrote.
    """
    for output in outputs:
        _save(output, log)
    if any(map(holds_shards, outputs)):
        return end
    ran = " ".join(takewhile(lambda word: not word.startswith("--"), command))
    reason = (
        f"all ranks exited 0, but none saved anything in {outputs[0] / 'checkpoint'}: what ran was "
        f"`{ran}`; is that the Python with MindFormers (training.python) and its checkout "
        "(training.checkout)? `glmd logs N --rank 0` shows what it printed"
    )
    return replace(end, outcome=Outcome.FAILED, reason=reason, code=Code.RANK_NOTHING_SAVED, silences=None)


def _save(output: Path, log: Log) -> None:
    """Make what was trained survive a power cut, before exit.json says that it was: MindSpore never calls fsync."""
    started = time.monotonic()
    for name in (*SHARD_DIRECTORIES, "strategy"):
        fsync_tree(output / name)
    fsync_directory(output)
    log.info("output_saved", seconds=round(time.monotonic() - started, 3))


def _plan(run: StepRun, home: Home, wakeups: Wakeups, log: Log) -> JobPlan:
    return patiently("plan.json", partial(home.do, partial(read_plan, name=run.job_dir.plan)), wakeups, log)


def merge_at_home(run: StepRun, home: Home, wakeups: Wakeups, log: Log) -> StepEnd:
    """Merge; again where that failed because the job's directory was moved away, once it is back.

    Raises CkptError, HandlerError and OSError.
    """
    plan = _plan(run, home, wakeups, log)
    while True:
        try:
            return _merge(plan, run, wakeups, log)
        except (CkptError, HandlerError, OSError) as error:
            if not home.is_away:
                raise
            log.warning("directory_is_away", path=run.job_dir.path, reason=str(error))
            if not home.wait_until_back(wakeups):
                raise


def _merge(plan: JobPlan, run: StepRun, wakeups: Wakeups, log: Log) -> StepEnd:
    from handlers.ckpt.copying.finite import named  # noqa: PLC0415 - what a training's shim has no use for
    from handlers.merging import merge  # noqa: PLC0415 - likewise
    from handlers.merging.shards_origin import origin_of  # noqa: PLC0415 - likewise

    wanted = replace(plan.merge, origin=origin_of(plan, run.job_dir, run.attempt))
    try:
        with wakeups.interrupting():
            summary = merge.run(wanted, _progress_events(log), EventLog().info, partial(_trained_on, run, log))
    except KeyboardInterrupt:
        name = wakeups.stop.name if wakeups.stop is not None else "SIGINT"
        return StepEnd(Outcome.CANCELLED, f"stopped by {name}", Code.SHIM_STOPPED)
    log.info(
        "shards_merged",
        tag=summary.tag,
        ranks=summary.ranks,
        stages=summary.stages,
        entries=summary.entries_in,
        kept=summary.entries_kept,
        bytes=summary.bytes,
        seconds=round(summary.seconds, 3),
    )
    for caution in summary.cautions:
        log.warning(caution.event, reason=caution.reason, **caution.fields)
    reason = f"tag {summary.tag}: {summary.entries_kept} of {summary.entries_in} entries kept"
    if summary.unlisted:
        reason += f", without {', '.join(summary.unlisted)}"
    if summary.not_finite:
        reason += f"; {named(summary.not_finite)}"
    return StepEnd(Outcome.COMPLETED, reason)


def _trained_on(run: StepRun, log: Log) -> tuple[TrainedOn, ...]:
    """Return what the job was trained on, as far as that can be told: no output waits for it."""
    from handlers.inputs.noting import trained_on  # noqa: PLC0415 - of a merge alone

    started = time.monotonic()
    try:
        found = trained_on(run.job_dir)
    except (OSError, RuntimeError) as error:  # the latter where no thread can be started
        log.warning("inputs_not_hashed", path=run.job_dir.inputs, reason=str(error))
        return ()
    for file in found:
        if file.changed:
            log.warning("input_changed", path=file.path, reason=file.changed)
    if found:
        size = sum(file.bytes for file in found if file.sha256)
        log.info("inputs_hashed", files=len(found), bytes=size, seconds=round(time.monotonic() - started, 3))
    return found


def _progress_events(log: Log) -> Callable[[int, int], None]:
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_EVERY:
            last = now
            log.info("merge_progress", done=done, total=total)

    return progress
