"""When a training is taken for hung. No I/O here: times come in, a verdict goes out."""

from dataclasses import dataclass
from typing import Literal

from handlers.codes import Code
from handlers.rank_log.phase import Phase
from handlers.records.train_plan import TimeLimits

LONGEST_LOOK = 3.0
"""Seconds between two looks that count. A process that looks once a second and comes later was stopped itself."""

Setting = Literal["silence", "first_step", "total"]

_HUNG = {
    Phase.LOAD: Code.HANG_LOAD,
    Phase.FIRST_STEP: Code.HANG_FIRST_STEP,
    Phase.STEP: Code.HANG_SILENCE,
    Phase.SAVING: Code.HANG_SAVING,
}


@dataclass(frozen=True)
class PassedLimit:
    """A limit that was passed."""

    setting: Setting
    """Which of the `glmd:` section's `timeout` bounds it."""
    seconds: float
    phase: Phase
    """What the training was at."""

    @property
    def code(self) -> Code:
        """What programs know it by."""
        return Code.HANG_TOTAL if self.setting == "total" else _HUNG[self.phase]

    def reason(self, limits: TimeLimits, quietest: str, words: str, frame: str | None) -> str:
        """Say that it was passed, and what is known of the rank that was quiet for longest."""
        what = "not finished" if self.setting == "total" else f"no log line and no shard {self.phase.when}"
        learned = f", learned from {limits.learned_from} earlier trainings" if limits.learned_from else ""
        return (
            f"{what} for {self.seconds:g} s (timeout.{self.setting}{learned}); "
            f"quiet for longest is {quietest}: {words}" + (f"; it stands in {frame}" if frame else "")
        )


class LimitClock:
    """Knows for how long a training has been watched, when it last gave a sign of life, and what it is at.

    Only watched time counts: not what passes while the watcher is stopped (SIGSTOP, a frozen cgroup), for then signs of
    life went unseen.
    """

    def __init__(self, limits: TimeLimits, now: float) -> None:
        self._limits = limits
        self._looked = now
        self._watched = 0.0
        self._last_sign = 0.0
        self._longest: dict[Phase, float] = {}
        self.phase = Phase.LOAD

    def look(self, now: float) -> None:
        """Let the time since the last look pass; `now` is in monotonic seconds."""
        self._watched += min(now - self._looked, LONGEST_LOOK)
        self._looked = now

    def sign_of_life(self, phase: Phase | None = None) -> None:
        """Note at the present look that a log grew or a shard appeared, and what the log says that it is at."""
        quiet = self._watched - self._last_sign
        self._longest[self.phase] = max(self._longest.get(self.phase, 0.0), quiet)
        self._last_sign = self._watched
        # There is no way back to loading or to the first step, whatever the end of a log does not show any more.
        if phase in {Phase.STEP, Phase.SAVING} or (phase is not None and self.phase is Phase.LOAD):
            self.phase = phase

    def longest(self, phase: Phase) -> float | None:
        """Return the longest time in seconds without a sign of life in `phase`; None when it was never in it."""
        return self._longest.get(phase)

    def passed(self) -> PassedLimit | None:
        """Return the limit that is passed at the present look, if one is."""
        return next((limit for deadline, limit in self._deadlines() if self._watched >= deadline), None)

    def seconds_left(self) -> float:
        """Return the time to the nearest limit; infinite when there is no limit."""
        return min((max(0.0, deadline - self._watched) for deadline, _ in self._deadlines()), default=float("inf"))

    def _deadlines(self) -> list[tuple[float, PassedLimit]]:
        setting, quiet = quiet_limit(self._limits, self.phase)
        candidates = [(setting, self._last_sign, quiet), ("total", 0.0, self._limits.total)]
        return [
            (since + limit, PassedLimit(setting, limit, self.phase))
            for setting, since, limit in candidates
            if limit is not None
        ]


def quiet_limit(limits: TimeLimits, phase: Phase) -> tuple[Setting, float | None]:
    """Return the longest silence allowed in `phase`, and the setting that bounds it."""
    match phase:
        case Phase.LOAD:
            return "first_step", limits.first_step if limits.load is None else limits.load
        case Phase.FIRST_STEP:
            return "first_step", limits.first_step
        case Phase.STEP:
            return "silence", limits.silence
        case Phase.SAVING:
            return "silence", limits.silence if limits.saving is None else limits.saving
