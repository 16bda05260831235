"""Time limits learned from earlier trainings of the same configuration.

A limit is MULTIPLE times the longest silence that such a training had in that phase, not below what FLOORS has for
it, and never above what the user or the defaults allow: learning finds a hang sooner, and never waits longer.
"""

import hashlib
import heapq
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from handlers.rank_log.phase import Phase
from handlers.records.job_dir import JobDir, Step, is_number
from handlers.records.step_exit import Outcome, Silences, StepExit
from handlers.records.train_plan import TimeLimits

MULTIPLE = 3.0
FLOORS = {Phase.LOAD: 600.0, Phase.FIRST_STEP: 900.0, Phase.STEP: 300.0, Phase.SAVING: 600.0}
"""Seconds: a cold cache, a busy disk or an empty compile cache is no hang."""
MOST_TRAININGS = 20
"""How many earlier trainings count, the newest ones."""
MOST_JOBS = 500
"""How many jobs are looked at for them."""

_SHAPING = (
    ("model", "model_config"),
    ("model", "arch", "type"),
    ("runner_config", "batch_size"),
    ("runner_config", "sink_mode"),
    ("runner_config", "sink_size"),
    ("runner_config", "gradient_accumulation_steps"),
    ("micro_batch_interleave_num",),
    ("parallel",),
    ("parallel_config",),
    ("recompute_config",),
    ("moe_config",),
    ("optimizer", "type"),
    ("context", "mode"),
    ("context", "device_target"),
)
"""What decides how long loading, compiling, a step and a save take. Not epochs, learning rates, paths or names."""
_NAMES = {"checkpoint_name_or_path"}
"""Keys of a model that say where it comes from, not how large it is."""


def configuration(config: Mapping[str, object], ranks: int) -> str:
    """Return what trainings have in common whose silences can be compared; `config` is a MindFormers YAML, as data."""
    shaping = {".".join(path): _at(config, path) for path in _SHAPING}
    text = json.dumps({"ranks": ranks, **shaping}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def learned(limits: TimeLimits, seen: Sequence[Silences], *, fixed: Collection[str] = ()) -> TimeLimits:
    """Return `limits`, lowered to what the trainings in `seen` allow; `fixed` names those that the user chose himself.

    A limit of None is the user's wish for none, and stays.
    """
    loading = _limit(Phase.LOAD, [silences.load for silences in seen], limits.first_step)
    first_step = _limit(Phase.FIRST_STEP, [silences.first_step for silences in seen], limits.first_step)
    step = _limit(Phase.STEP, [silences.step for silences in seen], limits.silence)
    saving = _limit(Phase.SAVING, [silences.saving for silences in seen], limits.silence)
    changes: dict[str, float | None] = {}
    if "first_step" not in fixed:
        changes |= {"load": loading, "first_step": first_step}
    if "silence" not in fixed:
        changes |= {"silence": step, "saving": saving}
    if not seen or not changes:
        return limits
    return replace(limits, **changes, learned_from=len(seen))


def earlier_silences(jobs: Path, wanted: str) -> tuple[Silences, ...]:
    """Return what completed trainings of the configuration `wanted` below `jobs` had seen, the newest jobs' first."""
    found: list[Silences] = []
    for job in _newest(jobs):
        directory = JobDir(job)
        for attempt in directory.attempts():
            exit_ = _completed(directory, attempt)
            if exit_ is not None and exit_.silences is not None and exit_.silences.configuration == wanted:
                found.append(exit_.silences)
        if len(found) >= MOST_TRAININGS:
            break
    return tuple(found[:MOST_TRAININGS])


def _newest(jobs: Path) -> list[Path]:
    """Return the directories of the newest jobs, of which there may be a hundred thousand, while devices idle."""
    try:
        names = os.listdir(jobs)  # noqa: PTH208 - a Path of each takes ten times as long
    except FileNotFoundError:
        return []
    numbered = ((name.partition("-")[0], name) for name in names)
    newest = heapq.nlargest(MOST_JOBS, ((int(number), name) for number, name in numbered if is_number(number)))
    return [jobs / name for _, name in newest]


def _completed(job: JobDir, attempt: int) -> StepExit | None:
    """Return how a training ended that was completed. A record that cannot be read teaches nothing."""
    try:
        exit_ = StepExit.read(job.step(attempt, Step.TRAIN).exit)
    except (OSError, ValidationError):
        return None
    return exit_ if exit_.outcome is Outcome.COMPLETED else None


def _limit(phase: Phase, seen: Sequence[float | None], most: float | None) -> float | None:
    longest = max((silence for silence in seen if silence is not None), default=None)
    if longest is None or most is None:
        return most
    return min(most, max(FLOORS[phase], MULTIPLE * longest))


def _at(config: Mapping[str, object], path: Sequence[str]) -> object:
    found: object = config
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        return {str(key): value for key, value in found.items() if key not in _NAMES}
    return found
