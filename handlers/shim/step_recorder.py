"""Looks at the steps that a training prints, once a second: each is judged, and recorded. One read serves both.

No failure of the record is the training's: what cannot be read or written now is tried again at the next look. Steps
are judged anyway, since a full disk is no reason to train on what has diverged.
"""

import os
from pathlib import Path

from handlers.event_lines import Log
from handlers.rank_log.divergence import Diverged, DivergenceWatch
from handlers.rank_log.step_reader import LoggedStep, StepReader
from handlers.records.train_plan import StopOn, TrainPlan
from handlers.shim.instance import StepRun
from handlers.training_record.record import RecordWriter
from handlers.training_record.rows import Header

MOST_WAITING = 10_000
"""Steps that wait to be written: hours of a training; what comes then is left out of the record."""
_MOST_LOOKS = 100
"""At the end: of 1 MiB each."""
_MOST_TRIES = 3
"""At the end, when nothing is waited for any more."""


class StepRecorder:
    """Judges what the ranks of one attempt print of their steps, and writes it into the attempt's directory."""

    def __init__(self, directory: Path, header: Header, logs: dict[int, Path], log: Log, stop_on: StopOn) -> None:
        self._reader = StepReader(logs)
        self._writer: RecordWriter | None = RecordWriter(directory, header)
        """None once it broke."""
        self._watch: DivergenceWatch | None = DivergenceWatch(not_finite=stop_on.not_finite, rise=stop_on.rise)
        """Likewise."""
        self._log = log
        self._waiting: list[LoggedStep] = []
        """What was read, and could not be written yet."""
        self._has_steps = False
        self._is_failing = self._is_leaving_out = self._is_blind = False

    @property
    def diverged(self) -> Diverged | None:
        """How the training diverged, if it has."""
        return None if self._watch is None else self._watch.found

    def look(self) -> bool:
        """Judge and record what there is that is new; return whether it could be recorded. Raises nothing."""
        is_read = self._read()
        return self._write() and is_read

    def finish(self) -> None:
        """Do the rest, when all ranks are gone; where the loss's rank has logged no step, with another one's."""
        self._drain()
        while not self._has_steps and not self._is_blind and self._reader.turn_to_next_rank():
            self._drain()

    def _read(self) -> bool:
        if self._is_blind:
            return False
        try:
            steps = self._reader.read()
        except FileNotFoundError:  # no log yet, or somebody has moved the directory away
            return False
        except OSError as error:
            self._fail(error)
            return False
        except Exception:  # noqa: BLE001 - a defect of ours must not end a training
            self._log.exception("step_reading_broke")
            self._is_blind = True
            return False
        self._has_steps = self._has_steps or bool(steps)
        self._judge(steps)
        room = MOST_WAITING - len(self._waiting)
        if len(steps) > room and self._writer is not None and not self._is_leaving_out:
            reason = "too many wait to be written; when there is room, `glmd steps rebuild` adds them from the logs"
            self._log.warning("steps_left_out", reason=reason)
            self._is_leaving_out = True
        self._waiting += steps[: max(0, room)]
        return True

    def _judge(self, steps: list[LoggedStep]) -> None:
        try:
            for logged in steps:
                if self._watch is not None:
                    self._watch.take(logged.step)
        except Exception:  # noqa: BLE001 - likewise
            self._log.exception("divergence_watch_broke")
            self._watch = None

    def _write(self) -> bool:
        if self._writer is None:
            self._waiting.clear()
            return False
        try:
            self._writer.append(self._waiting, self._reader.rank)
        except FileNotFoundError:  # as above
            return False
        except OSError as error:
            self._fail(error)
            return False
        except Exception:  # noqa: BLE001 - likewise
            self._log.exception("step_record_broke")
            self._writer = None
            return False
        if self._is_failing and self._waiting:
            self._log.info("steps_recorded_again")
            self._is_failing = self._is_leaving_out = False
        self._waiting.clear()
        return True

    def _fail(self, error: OSError) -> None:
        if not self._is_failing:
            self._log.warning("steps_not_recorded", reason=str(error))
        self._is_failing = True

    def _drain(self) -> None:
        failures = 0
        for _ in range(_MOST_LOOKS):
            failures = 0 if self.look() else failures + 1
            if self._all_is_read() and (not self._waiting or failures >= _MOST_TRIES):
                return

    def _all_is_read(self) -> bool:
        try:
            return self._is_blind or self._reader.at_end()
        except FileNotFoundError:
            return True
        except OSError:
            return False


def recorder_of(run: StepRun, plan: TrainPlan, log: Log) -> StepRecorder | None:
    """Return what looks at the steps of the training of `plan`; None for one without ranks."""
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
    return StepRecorder(run.directory.path, header, logs, log, plan.stop_on)
