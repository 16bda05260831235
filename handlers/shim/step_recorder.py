"""Keeps the record of a training while it runs: each step that is printed, read from the logs once a second.

No failure of it is the training's: what cannot be read or written now is tried again at the next look.
"""

import os
from pathlib import Path

from handlers.event_lines import Log
from handlers.rank_log.step_reader import LoggedStep, StepReader
from handlers.records.train_plan import TrainPlan
from handlers.shim.instance import StepRun
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header

_MOST_LOOKS = 100
"""At the end: of 1 MiB each."""
_MOST_TRIES = 3
"""At the end, when nothing is waited for any more."""


class StepRecorder:
    """Writes what the ranks of one attempt print of their steps into its directory."""

    def __init__(self, directory: Path, header: Header, logs: dict[int, Path], log: Log) -> None:
        self._reader = StepReader(logs)
        self._writer = RecordWriter(directory, header)
        self._log = log
        self._unwritten: list[LoggedStep] = []
        """What was read, and could not be written yet; nothing more is read before it is."""
        self._has_steps = False
        self._is_failing = self._is_broken = False

    def look(self) -> bool:
        """Record what there is that is new; return whether that was possible. Raises nothing."""
        if self._is_broken:
            return False
        try:
            self._unwritten = self._unwritten or self._reader.read()
            self._has_steps = self._has_steps or bool(self._unwritten)
            self._writer.append(self._unwritten, self._reader.rank)
        except FileNotFoundError:  # no log yet, or somebody has moved the directory away
            return False
        except OSError as error:
            if not self._is_failing:
                self._log.warning("steps_not_recorded", reason=str(error))
            self._is_failing = True
            return False
        except Exception:  # noqa: BLE001 - a defect of the record must not end a training either
            self._log.exception("step_record_broke")
            self._is_broken = True
            return False
        if self._is_failing and self._unwritten:
            self._log.info("steps_recorded_again")
            self._is_failing = False
        self._unwritten = []
        return True

    def finish(self) -> None:
        """Record the rest, when all ranks are gone; where the loss's rank has logged no step, another one's."""
        self._drain()
        while not self._has_steps and not self._is_broken and self._reader.turn_to_next_rank():
            self._drain()

    def _drain(self) -> None:
        failures = 0
        for _ in range(_MOST_LOOKS):
            failures = 0 if self.look() else failures + 1
            if failures == _MOST_TRIES or self._is_at_end():
                return

    def _is_at_end(self) -> bool:
        try:
            return not self._unwritten and self._reader.at_end()
        except OSError:
            return False


def recorder_of(run: StepRun, plan: TrainPlan, log: Log) -> StepRecorder | None:
    """Return what records the training of `plan`; None for one without ranks."""
    logs = {rank.number: rank.log for rank in plan.ranks}
    if not logs:
        return None
    header = Header(
        job=run.job,
        attempt=run.attempt,
        rank=max(logs),
        devices=len(logs),
        host=os.uname().nodename,
        epochs=0,
        steps=0,
    )
    return StepRecorder(run.directory.path, header, logs, log)
