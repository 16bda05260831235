"""What MindFormers prints of its metrics at the end of `run_mode: eval` (core/metric/metric.py, trainer/base_trainer.py).

metric: ADGENMetric
rouge-1: 10.4926
…
F1 score: 12.5, Em score: 4.0, total_count: 8
Acc: 0.731, total_acc_num: 57, total_num: 78
2026-11-29 10:37:37,837 - mindformers[base_trainer.py:733] - INFO - PerplexityMetric = {'PerplexityMetric': {'loss': 1.2, 'PPL': 3.3}}
"""  # noqa: E501 - as they are printed

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence

_ADGEN = "metric: ADGENMetric"
_SCORE = re.compile(r"(rouge-[12l]|bleu-4):\s+(\S+)", re.ASCII)
_SUMS = (
    re.compile(r"F1 score: (?P<F1>[\d.]+), Em score: (?P<Em>[\d.]+), total_count: \d+", re.ASCII),
    re.compile(r"Acc: (?P<Acc>[\d.]+), total_acc_num: \d+, total_num: \d+", re.ASCII),
)
_RESULT = re.compile(r"(?:^|- INFO - )\w{1,100} = (\{[^{}]*(?:\{[^{}]*\}[^{}]*)?\})$", re.ASCII)
"""`%s = %s` of the name of a metric and of what it says."""
_LONGEST = 10_000


def metrics_of(lines: Sequence[str]) -> dict[str, float]:
    """Return the numbers that `lines`, the end of an evaluation's log, tell last; none where they tell none."""
    found: dict[str, float] = {}
    for line in (line.strip() for line in lines if len(line) <= _LONGEST):
        if line == _ADGEN:
            found = {}
        found.update(_in(line))
    return found


def _in(line: str) -> Iterator[tuple[str, float]]:
    if score := _SCORE.fullmatch(line):
        yield from _number(score[1], score[2])
    for summed in (match for pattern in _SUMS if (match := pattern.fullmatch(line))):
        for name, text in summed.groupdict().items():
            yield from _number(name, text)
    if result := _RESULT.search(line):
        try:
            values = ast.literal_eval(result[1])
        except (ValueError, SyntaxError, MemoryError, RecursionError):  # with a NaN, say
            return
        yield from _flat(values)


def _flat(values: object) -> Iterator[tuple[str, float]]:
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield str(name), float(value)


def _number(name: str, text: str) -> Iterator[tuple[str, float]]:
    try:
        number = float(text)
    except ValueError:
        return
    if math.isfinite(number):
        yield name, number
