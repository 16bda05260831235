"""Advice with the numbers of whom it concerns, and how a reason says it.

The tables of errors, and the documentation, write `glmd logs N --rank R` and `hccn_tool -i D -link -g`: N is the job, R
the rank, D the device. What a user is told has the numbers.
"""

import re
from dataclasses import dataclass

_CAUSE, _TO_DO = "; cause: ", "; to do: "
_LEFT = ("; not tried again: ", "; not resumed: ")
_COMMAND = re.compile(r"`(?:glmd|hccn_tool) [^`]*`")
_LETTER = re.compile(r"\b[NRD]\b")


def filled_in(text: str, *, job: int | str | None = None, rank: int | None = None, device: int | None = None) -> str:
    """Return `text` with the letters in its commands replaced by what is given; the others stay."""
    of_job, of_device = {"N": job, "R": rank}, {"D": device}

    def command(found: re.Match[str]) -> str:
        numbers = of_job if found[0].startswith("`glmd") else of_device
        return _LETTER.sub(lambda letter: _number(numbers.get(letter[0]), letter[0]), found[0])

    return _COMMAND.sub(command, text)


def advice_text(cause: str, remedy: str) -> str:
    """Return what a reason says of an error that is known, behind what happened and a `; `."""
    return f"{_CAUSE}{cause}{_TO_DO}{remedy}".removeprefix("; ")


@dataclass(frozen=True)
class Parted:
    """A reason in its parts; empty is what it does not say."""

    happened: str
    remedy: str
    left: str
    """Why glmd did not try again by itself."""


def parted(reason: str) -> Parted:
    """Return the parts of a reason, for who shows the cause beside it, or has a line for all of it."""
    left = ""
    for marker in _LEFT:
        before, found, behind = reason.rpartition(marker)
        if found:
            reason, left = before, behind
    happened, _, advice = reason.partition(_CAUSE)
    return Parted(happened, advice.partition(_TO_DO)[2], left)


def _number(number: int | str | None, letter: str) -> str:
    return letter if number is None else str(number)
