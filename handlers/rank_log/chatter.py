"""Lines of a log that say nothing of why its process ended: bars, warnings, decoration, and that all is well."""

import re
from collections.abc import Iterator, Sequence

from handlers.mindformers.log_lines import PREFIX, all_is_well

_TQDM = re.compile(r"(?:\d%\s?\|[^|]{0,200}\||\b\d\w{0,20} )[^|\[]{0,80}\[(?:\d{1,4}:)?\d\d:\d\d[<,][^\]]{0,200}\]")
"""A whole bar: `Map:  37%|███▋      | 3/8 [00:01<00:02,  2.50it/s]`, without a total `12it [00:03,  3.90it/s]`.

It has no end of line: what is printed next, a traceback say, stands behind it. Repetitions are bounded here, since a
line may be as long as all that is read of a log.
"""
_BAR = re.compile(
    r"\d%\s?\|"  # the beginning of such a one
    r"|[━╸╺▏▎▍▌▋▊▉█▮░▒▓]{3}"  # pip, rich and others
    r"|^\s*(?:\d{1,3}(?:\.\d+)?% ?)?[|\[][ .\-=#>]{5,}[|\]]"  # wget: ` 45% [=====>      ] 12,345,678`; empty ones
    r"|\b[Dd]ownload(?:ing|ed)\b.{0,200}\d ?%"
)
_WARNING = re.compile(r"(?:\S{1,500}|<[^>]{1,100}>):\d{1,9}: \w{0,80}Warning: ")
"""Of Python's warnings module: `FILE:LINE: UserWarning: …`; the code that gave it may follow, indented."""
_DECORATION = re.compile(r"[\W_]*")
_LEVEL = re.compile(r"\[(DEBUG|INFO|EVENT|WARNING|ERROR|CRITICAL)\] ")
"""How MindSpore and CANN begin a line that they log."""
_CONTINUED = re.compile(r"[\s{}\])'\"]|_\w+:|\w+:\S*$")
"""How the further lines of a record begin, on which a configuration, say, is printed: ` 'use_parallel': True}`."""


def without_chatter(lines: Sequence[str]) -> list[str]:
    """Return those of `lines` that may say something."""
    return list(_telling(lines))


def _telling(lines: Sequence[str]) -> Iterator[str]:
    behind_warning = False
    for line in lines:
        is_warning = _WARNING.match(line) is not None
        is_its_code = behind_warning and line.startswith("  ")
        behind_warning = is_warning
        if is_warning or is_its_code or all_is_well(line):
            continue
        bar = _TQDM.search(line)
        rest = line[bar.end() :] if bar is not None else line
        if not _DECORATION.fullmatch(rest) and not _BAR.search(rest):
            yield rest


def level(line: str) -> str:
    """Return how grave MindFormers, MindSpore or CANN takes what `line` says, as INFO; empty if none wrote it."""
    prefix = PREFIX.match(line)
    if prefix is not None:
        return prefix["level"]
    found = _LEVEL.match(line)
    return found[1] if found is not None else ""


def continues_a_record(line: str) -> bool:
    """Say whether `line` looks like one of the further lines of something that was logged."""
    return _CONTINUED.match(line) is not None
