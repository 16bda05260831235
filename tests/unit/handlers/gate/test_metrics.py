"""Promises of handlers.gate.metrics: numbers are taken, and whatever else a program prints is refused with why."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import BadInputError
from handlers.gate.metrics import metrics_in


def told(path: Path, text: str | bytes) -> dict[str, float]:
    """Return what a program that has printed `text` tells."""
    log = path / "stdout.log"
    log.write_bytes(text.encode() if isinstance(text, str) else text)
    return metrics_in(log)


@pytest.mark.parametrize(
    ("text", "numbers"),
    (
        ('{"bleu": 0.31}', {"bleu": 0.31}),
        ('starting\n{"a": 1}\n{"bleu": 1, "rouge-l": -2e3}\n\n  \n', {"bleu": 1.0, "rouge-l": -2000.0}),
        ('\x1b[32mdone\x1b[0m\r{"val/acc@1": 0}', {"val/acc@1": 0.0}),
        ("{}", {}),
    ),
)
def test_the_last_line_tells(tmp_path: Path, text: str, numbers: dict[str, float]) -> None:
    """Blank lines behind it do not count, nor do colours."""
    assert told(tmp_path, text) == numbers


@pytest.mark.parametrize(
    ("text", "why"),
    (
        ("", "printed nothing"),
        ("\n \n", "printed nothing"),
        ('{"bleu": 0.31}\ndone', "no JSON"),
        ("0.31", "no JSON object"),
        ("[0.31]", "no JSON object"),
        ('{"bleu": "0.31"}', "bleu is no number"),
        ('{"bleu": true}', "bleu is no number"),
        ('{"bleu": null}', "bleu is no number"),
        ('{"bleu": {"f": 1}}', "bleu is no number"),
        ('{"bleu": NaN}', "NaN is no number"),
        ('{"bleu": -Infinity}', "-Infinity is no number"),
        ('{"bleu": 1e999}', "which no measure is"),
        ('{"bleu": 1' + "0" * 400 + "}", "too large"),
        ('{"bleu": 1' + "0" * 5000 + "}", "no JSON"),
        ('{"bleu": 1, "bleu": 2}', "there twice"),
        ('{"b l": 1}', "no name"),
        ('{"": 1}', "no name"),
        ("[" * 100_000, "no JSON"),
        ("{" + ", ".join(f'"m{n}": 1' for n in range(101)) + "}", "101 numbers"),
        (b"\xff\xfe{", "no JSON"),
    ),
)  # fmt: skip
def test_anything_else_is_refused(tmp_path: Path, text: str | bytes, why: str) -> None:
    """It says what is wrong with the line."""
    with pytest.raises(BadInputError, match=why) as caught:
        told(tmp_path, text)
    assert caught.value.code == "gate.evaluation"
    assert len(str(caught.value)) < 400


@given(st.binary(max_size=300))
def test_no_bytes_are_a_defect(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A program may print whatever it likes."""
    found: dict[str, float] = {}
    with suppress(BadInputError):
        found = told(tmp_path_factory.mktemp("m"), content)
    assert all(isinstance(value, float) for value in found.values())
