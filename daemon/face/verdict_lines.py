"""What there is to say of the gate: each rule in a line, and what came of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handlers.gate.verdict import Rule, Verdict


def verdict_lines(verdict: "Verdict | None") -> list[tuple[str, str]]:
    """Return the lines, each with its name and its text; none where nothing was judged."""
    return [] if verdict is None else list(_lines(verdict))


def _lines(verdict: "Verdict") -> Iterator[tuple[str, str]]:
    for rule in verdict.rules:
        yield rule.name, _rule_text(rule)
    if verdict.metrics:
        yield "measured", ", ".join(f"{name} {value:.4g}" for name, value in verdict.metrics.items())


def _rule_text(rule: "Rule") -> str:
    if rule.passed is None:
        return rule.why
    numbers = {"": rule.value, "limit ": rule.limit, "before ": rule.champion}
    shown = ", ".join(f"{name}{number:.4g}" for name, number in numbers.items() if number is not None)
    how = "passed" if rule.passed else f"failed: {rule.why}"
    return f"{how} ({shown})" if shown else how
