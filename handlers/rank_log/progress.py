"""How far a training is, read from its ranks' logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from handlers.ckpt.files.listing import freshen
from handlers.rank_log.steps import StepLine, is_step, step_in
from handlers.rank_log.tail import tail

_RECENT = 20
"""Steps whose median time gives the speed: one step may have compiled or saved."""
_LONG = 1000
"""Characters of a line that is not kept: no step is told so."""


@dataclass(frozen=True)
class Progress:
    """The last step a rank reported. Counts start at 1; `step` and `steps` are within the epoch."""

    epoch: int
    epochs: int
    """1 where MindFormers counts the steps of the whole training."""
    step: int
    steps: int
    loss: float
    """May be nan or inf, when that is what the training came to."""
    seconds_per_step: float | None
    """The median of the last steps; None when the log does not tell."""

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the last step, at the speed of the last ones."""
        if self.seconds_per_step is None:
            return None
        steps_left = (self.epochs - self.epoch + 1) * self.steps - self.step
        return max(0, steps_left) * self.seconds_per_step


def read_progress(output: Path, ranks: Sequence[int]) -> Progress | None:
    """Return how far the training that writes the tree `output` is; None before its first step.

    The highest rank is asked first: with pipeline stages only the last one's loss is the loss.
    """
    logs = [output / "log" / f"rank_{rank}" / "mindformer.log" for rank in sorted(ranks, reverse=True)]
    freshen(logs, output)  # ranks of other hosts may have made them since
    return next((progress for log in logs if (progress := progress_in(log)) is not None), None)


def progress_in(log: Path) -> Progress | None:
    """Return the last step in the tail of one rank's log, or None."""
    return last_step(tail(log, enough=tell_the_speed))


def tell_the_speed(lines: Sequence[str]) -> bool:
    """Say whether lines before these would change nothing of what is told of the last steps."""
    return len(_recent(lines)) == _RECENT


def last_step(lines: Sequence[str]) -> Progress | None:
    """Return the last step that `lines` report, or None."""
    recent = _recent(lines)
    if not recent:
        return None
    last = recent[0]
    times = [step.milliseconds for step in recent if step.milliseconds is not None]
    return Progress(
        epoch=last.epoch,
        epochs=last.epochs,
        step=last.step,
        steps=last.steps,
        loss=last.loss,
        seconds_per_step=_median(times) / 1000 if times else None,
    )


def _recent(lines: Sequence[str]) -> Sequence[StepLine]:
    """Return the last steps, the newest first; what lies before them is not looked at."""
    backwards = (step for line in reversed(lines) if "step:[" in line and (step := _step(line)) is not None)
    return list(islice(backwards, _RECENT))


def _step(line: str) -> StepLine | None:
    return step_in(line) if len(line) > _LONG else _known_step(line)


_known_step = lru_cache(512)(step_in)
"""Anyone who looks at some logs again and again finds most lines as they were."""


def after_last_step(lines: Sequence[str]) -> Sequence[str]:
    """Return those of `lines` that came after the last step that was reported; all when none was."""
    last = max((number for number, line in enumerate(lines) if is_step(line)), default=-1)
    return lines[last + 1 :]


def _median(times: Sequence[float]) -> float:
    """Return the middle one; statistics.median takes longer to import than `glmd status` to do all else."""
    ordered, middle = sorted(times), len(times) // 2
    return ordered[middle] if len(times) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
