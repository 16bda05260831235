"""The one line of a log that says best why its process ended."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from handlers.mindformers.log_lines import PREFIX, STARTING
from handlers.rank_log.cann_codes import CODE, INNER_CODE
from handlers.rank_log.chatter import continues_a_record, level, without_chatter
from handlers.rank_log.how_far import how_far
from handlers.rank_log.steps import is_step
from handlers.rank_log.tail import tail

LONGEST = 300
"""Characters; what is longer is cut."""

_TRACEBACK = "Traceback (most recent call last):"
_ERRNO = re.compile(r"Address already in use|No space left on device|[Oo]ut of [Mm]emory|Cannot allocate memory")
_CAUSES = ((CODE, _ERRNO), (INNER_CODE,))
"""What says more than the exception around it, the more telling first: codes of HCCL and CANN, and errnos."""
_MINDSPORE_PREFIX = re.compile(r"^\[[A-Z]+\] [A-Z_]+\([^)]*\):\S+ \[[^]]*\] (?:[\w()]+\] )?")
"""`[ERROR] DISTRIBUTED(9294,7fad5e472b80,python):2026-11-24-04:39:26.767.160 [mindspore/…/tcp.cc:349] Listen] `"""
_TROUBLE = re.compile(
    r"Error\b|\bERROR\b|Exception\b|\bCRITICAL\b|\bFATAL\b|\bfatal\b|Segmentation fault|[Oo]ut of memory|\bKilled\b"
)


def last_words(path: Path) -> str:
    """Return the last meaningful line of the log at `path`; empty when there is none.

    That is the exception of the last Python traceback, followed by its cause where that is printed apart; else the last
    line that looks like an error; else as `last_line`. What was said before the last step was survived: it is left out.
    """
    lines = tail(path)
    recent = without_chatter(_since_last_progress(lines))
    return _cut(_with_cause(_exception(recent), recent) or _last_trouble(recent) or _last(recent, lines))


def last_line(path: Path) -> str:
    """Return what the process that writes the log at `path` did last, whatever went before; empty when it wrote none.

    That is the last line that says more than that all is well; else how far the training is.
    """
    lines = tail(path)
    return _cut(_last(without_chatter(_since_last_progress(lines)), lines))


def no_words(path: Path) -> str:
    """Say, of a process of whose log at `path` nothing was read, what that tells."""
    return "it logged nothing" if os.path.lexists(path) else f"its output is not known: {path} is not there"


def _since_last_progress(lines: Sequence[str]) -> Sequence[str]:
    marks = (number for number, line in enumerate(lines) if is_step(line) or STARTING.search(line))
    return lines[max(marks, default=-1) + 1 :]


def _cut(words: str) -> str:
    words = _bare(words)
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _bare(line: str) -> str:
    """Return what a log line says, without when and where MindSpore or MindFormers says it."""
    return PREFIX.sub("", _MINDSPORE_PREFIX.sub("", line.strip()), count=1)


def _last(recent: list[str], lines: Sequence[str]) -> str:
    """Return the last of `recent` that tells; a logger's news only before the training proper; else how far it is."""
    recent = [line for line in recent if not continues_a_record(line)]
    telling = next((line for line in reversed(recent) if level(line) in {"", "ERROR", "CRITICAL"}), "")
    if telling or not any(map(str.strip, lines)):
        return telling
    began = any(is_step(line) or STARTING.search(line) for line in lines)
    news = () if began else (line for line in reversed(recent) if level(line) == "INFO")
    return next(iter(news), "") or how_far(lines)


def _exception(lines: list[str]) -> str:
    """Return the line after the frames of the last traceback: `ValueError: …`. MindSpore prints more lines after it."""
    starts = [number for number, line in enumerate(lines) if line.endswith(_TRACEBACK)]
    if not starts:
        return ""
    return next((line for line in lines[starts[-1] + 1 :] if not line.startswith((" ", "\t"))), "")


def _with_cause(exception: str, lines: list[str]) -> str:
    cause = next((_bare(line) for kind in _CAUSES for line in reversed(lines) if any(p.search(line) for p in kind)), "")
    if not exception or not cause or cause in exception:
        return exception or cause
    return f"{exception} ({cause})"


def _last_trouble(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if _TROUBLE.search(line)), "")
