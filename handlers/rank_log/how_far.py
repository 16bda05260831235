"""How far a training had come, in words: what is told of a rank that said nothing else before its end."""

from collections.abc import Sequence

from handlers.mindformers.log_lines import SAVED, SAVING
from handlers.rank_log.phase import Phase, last_phase
from handlers.rank_log.progress import last_step


def how_far(lines: Sequence[str]) -> str:
    """Return where a rank was by `lines` of its log: `after step 3/4 of epoch 1/2`, `while loading`."""
    phase, step = last_phase(lines), last_step(lines)
    if step is None:
        return phase.when
    is_saving = phase is Phase.SAVING and not any(map(SAVED.search, _since_save(lines)))
    epoch = f" of epoch {step.epoch}/{step.epochs}" if step.epochs > 1 else ""
    after = f"after step {step.step}/{step.steps}{epoch}"
    return f"{phase.when}, {after}" if is_saving else after


def _since_save(lines: Sequence[str]) -> Sequence[str]:
    return lines[max((number for number, line in enumerate(lines) if SAVING.search(line)), default=0) :]
