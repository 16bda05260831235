"""What an evaluation says that it has measured: numbers by name, and nothing else."""

import json
import math
from pathlib import Path
from typing import NoReturn

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.gate.gate import name_of_evaluation
from handlers.mindformers.metric_lines import metrics_of
from handlers.rank_log.tail import tail
from handlers.records.evaluation_plan import Telling

MOST = 100
"""Numbers."""
LARGEST = 1e30
_SHOWN = 80
"""Characters of a line that is none."""


def metrics_in(log: Path, telling: Telling = Telling.JSON) -> dict[str, float]:
    """Return the numbers that an evaluation has printed to `log`, as a rule in its last line. Raises BadInputError."""
    if telling is Telling.MINDFORMERS:
        found = metrics_of(tail(log))
        return found or _refuse(
            "MindFormers has printed no metrics that glmd knows: ADGENMetric, PerplexityMetric, "
            "EmF1Metric or PromptAccMetric, as `metric:` in the YAML says"
        )
    return _of_json(log)


def _of_json(log: Path) -> dict[str, float]:
    line = next((line.strip() for line in reversed(tail(log)) if line.strip()), "")
    if not line:
        _refuse('it has printed nothing; its last line has to be JSON, as {"bleu": 0.31}')
    try:
        found = json.loads(line, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        known = f": {error}" if isinstance(error, _RefusedError) else ""
        _refuse(f'its last line is no JSON of numbers, as {{"bleu": 0.31}}{known}: {line[:_SHOWN]}')
    if not isinstance(found, dict):
        _refuse(f'its last line is no JSON object, as {{"bleu": 0.31}}: {line[:_SHOWN]}')
    if len(found) > MOST:
        _refuse(f"it reports {len(found)} numbers, but {MOST} is the most")
    return {_name(name): _number(name, value) for name, value in found.items()}


class _RefusedError(ValueError):
    """Of what JSON's own readers would take."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _RefusedError(f"{twice!r} is there twice")
    return dict(pairs)


def _no_number(text: str) -> NoReturn:
    raise _RefusedError(f"{text} is no number")


def _name(name: str) -> str:
    try:
        return name_of_evaluation(name)
    except ValueError as error:
        _refuse(str(error))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(f"{name} is no number")
    if abs(value) > LARGEST or not math.isfinite(value):
        _refuse(f"{name} is {value:g}, which no measure is" if isinstance(value, float) else f"{name} is too large")
    return float(value)


def _refuse(what: str) -> NoReturn:
    raise BadInputError(what, Code.GATE_EVALUATION)
