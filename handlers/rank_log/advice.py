"""Advice with the numbers of whom it concerns.

The tables of errors, and the documentation, write `glmd logs N --rank R` and `hccn_tool -i D -link -g`: N is the job, R
the rank, D the device. What a user is told has the numbers.
"""

import re

_COMMAND = re.compile(r"`(?:glmd|hccn_tool) [^`]*`")
_LETTER = re.compile(r"\b[NRD]\b")


def filled_in(text: str, *, job: int | str | None = None, rank: int | None = None, device: int | None = None) -> str:
    """Return `text` with the letters in its commands replaced by what is given; the others stay."""
    of_job, of_device = {"N": job, "R": rank}, {"D": device}

    def command(found: re.Match[str]) -> str:
        numbers = of_job if found[0].startswith("`glmd") else of_device
        return _LETTER.sub(lambda letter: _number(numbers.get(letter[0]), letter[0]), found[0])

    return _COMMAND.sub(command, text)


def _number(number: int | str | None, letter: str) -> str:
    return letter if number is None else str(number)
