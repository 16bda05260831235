"""The one line of a log that says best why its process ended."""

import re
from pathlib import Path

from handlers.rank_log.tail import tail

LONGEST = 300
"""Characters; what is longer is cut."""

_TRACEBACK = "Traceback (most recent call last):"
_CAUSE = re.compile(
    r"\bE[A-Z]\d{4}: |Address already in use|No space left on device|[Oo]ut of [Mm]emory|Cannot allocate memory"
)
"""What says more than the exception around it: HCCL's and CANN's errors (`EI0006: Getting socket …`), and errnos."""
_MINDSPORE_PREFIX = re.compile(r"^\[[A-Z]+\] [A-Z_]+\([^)]*\):\S+ \[[^]]*\] (?:[\w()]+\] )?")
"""`[ERROR] DISTRIBUTED(9294,7fad5e472b80,python):2026-11-24-04:39:26.767.160 [mindspore/…/tcp.cc:349] Listen] `"""
_TROUBLE = re.compile(
    r"Error\b|\bERROR\b|Exception\b|\bCRITICAL\b|\bFATAL\b|\bfatal\b|Segmentation fault|[Oo]ut of memory|\bKilled\b"
)


def last_words(path: Path) -> str:
    """Return the last meaningful line of the log at `path`; empty when there is none.

    That is the exception of the last Python traceback, followed by its cause where that is printed apart; else the last
    line that looks like an error; else the last line that is not blank.
    """
    lines = [line for line in tail(path) if line.strip()]
    return _cut(_with_cause(_exception(lines), lines) or _last_trouble(lines) or _last(lines))


def last_line(path: Path) -> str:
    """Return the last line of the log at `path` that is not blank: what a process that hangs did last."""
    return _cut(_last([line for line in tail(path) if line.strip()]))


def _cut(words: str) -> str:
    words = _bare(words)
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _bare(line: str) -> str:
    """Return what a log line says, without when and where MindSpore says it."""
    return _MINDSPORE_PREFIX.sub("", line.strip())


def _last(lines: list[str]) -> str:
    return lines[-1] if lines else ""


def _exception(lines: list[str]) -> str:
    """Return the line after the frames of the last traceback: `ValueError: …`. MindSpore prints more lines after it."""
    starts = [number for number, line in enumerate(lines) if line.endswith(_TRACEBACK)]
    if not starts:
        return ""
    return next((line for line in lines[starts[-1] + 1 :] if not line.startswith((" ", "\t"))), "")


def _with_cause(exception: str, lines: list[str]) -> str:
    cause = next((_bare(line) for line in reversed(lines) if _CAUSE.search(line)), "")
    if not exception or not cause or cause in exception:
        return exception or cause
    return f"{exception} ({cause})"


def _last_trouble(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if _TROUBLE.search(line)), "")
