"""When a training is taken for hung. No I/O here: times come in, a verdict goes out."""

from dataclasses import dataclass

from handlers.job_plan import TimeLimits


@dataclass(frozen=True)
class PassedLimit:
    """A limit that was passed."""

    name: str
    """As in the `glmd:` section's `timeout`."""
    seconds: float


class LimitClock:
    """Knows when a training started, last gave a sign of life, and did its first step. Times are monotonic seconds."""

    def __init__(self, limits: TimeLimits, now: float) -> None:
        self._limits = limits
        self._started = now
        self._last_sign = now
        self._stepped = False

    @property
    def stepped(self) -> bool:
        """Whether the first step was reported."""
        return self._stepped

    def sign_of_life(self, now: float, *, stepped: bool) -> None:
        """Note that a log grew or a shard appeared; `stepped` when a step has been logged by now."""
        self._last_sign = now
        self._stepped = self._stepped or stepped

    def passed(self, now: float) -> PassedLimit | None:
        """Return the limit that is passed at `now`, if one is."""
        return next((limit for deadline, limit in self._deadlines() if now >= deadline), None)

    def seconds_left(self, now: float) -> float | None:
        """Return the time to the nearest limit; None when there is no limit."""
        return min((max(0.0, deadline - now) for deadline, _ in self._deadlines()), default=None)

    def _deadlines(self) -> list[tuple[float, PassedLimit]]:
        # Loading and compiling are silent for long: until the first step another limit stands in for silence.
        name = "silence" if self._stepped else "first_step"
        quiet = self._limits.silence if self._stepped else self._limits.first_step
        candidates = [(name, self._last_sign, quiet), ("total", self._started, self._limits.total)]
        return [(since + limit, PassedLimit(name, limit)) for name, since, limit in candidates if limit is not None]
