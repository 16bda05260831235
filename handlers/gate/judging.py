"""Judging an output: what is known of it against the gate, with its champion and its evaluation."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from handlers.gate.facts import candidate_of, champion_of
from handlers.gate.gate import Gate
from handlers.gate.rules import decide, of_evaluation, of_output
from handlers.gate.standing import Candidate, Champion, Evaluated
from handlers.gate.verdict import Rule, Verdict
from handlers.records.job_dir import JobDir


@dataclass(frozen=True)
class Judged:
    """What came of it."""

    verdict: Verdict
    needs_evaluation: bool = False
    """Whether all that could be judged has passed, and the verdict is to be made when the evaluation has ended."""


def judge(
    job_dir: JobDir, gate: Gate, champion: Path | None, evaluated: Evaluated | None, *, job: int, attempt: int
) -> Judged:
    """Return what `gate` says of the merged output of a job, beside what `champion` leads to. Raises OSError.

    `evaluated` is how its evaluation ended; None before that.
    """
    candidate = candidate_of(job_dir, gate.loss.over)
    standing = None if champion is None else champion_of(champion, job_dir.merged)
    rules = [*of_output(gate, candidate, standing)]
    has_passed = decide(rules).passed
    if gate.evaluate is not None and not has_passed:
        rules.append(Rule(name="evaluate", passed=None, why="not judged: other rules did not pass"))
    elif gate.evaluate is not None and evaluated is not None:
        rules += of_evaluation(gate, evaluated, standing)
    verdict = _verdict(rules, gate, candidate, standing, evaluated)
    verdict = verdict.model_copy(update={"job": job, "attempt": attempt, "at": datetime.now(UTC)})
    return Judged(verdict, gate.evaluate is not None and has_passed and evaluated is None)


def _verdict(
    rules: list[Rule], gate: Gate, candidate: Candidate, champion: Champion | None, evaluated: Evaluated | None
) -> Verdict:
    decision = decide(rules)
    loss, trained = candidate.loss, candidate.trained
    return Verdict(
        passed=decision.passed,
        reason=decision.reason,
        code=decision.code,
        rules=tuple(rules),
        champion=champion.directory if champion else "",
        champion_job=champion.job if champion else None,
        final_loss=loss.value if loss and math.isfinite(loss.value) else None,
        over=loss.over if loss else gate.loss.over,
        configuration=trained.configuration,
        inputs=trained.inputs,
        evaluation=evaluated.name if evaluated else "",
        metrics=dict(evaluated.metrics) if evaluated else {},
    )
