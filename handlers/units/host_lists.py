"""Lists of hosts as Slurm prints them: `n[1-2,7],login` is n1, n2, n7 and login; see `scontrol show hostnames`."""

import itertools
import math
import re

MOST_HOSTS = 1 << 16
_PART = re.compile(r"[^,\[\]]+|\[[^\[\]]*\]", re.ASCII)
_RANGE = re.compile(r"(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9}))?", re.ASCII)


def hosts(host_list: str) -> tuple[str, ...]:
    """Return the names that a list stands for, in its order; nothing for what is no such list, or a longer one."""
    try:
        return _hosts(host_list) if host_list else ()
    except ValueError:
        return ()


def _hosts(host_list: str) -> tuple[str, ...]:
    found: list[str] = []
    parts: list[list[str]] = []
    place = 0
    while place < len(host_list):
        if host_list[place] == ",":
            found += _names(parts, MOST_HOSTS - len(found))
            parts, place = [], place + 1
            continue
        part = _PART.match(host_list, place)
        if part is None:
            raise ValueError(host_list)
        text = part.group()
        parts.append(_numbers(text[1:-1]) if text.startswith("[") else [text])
        place = part.end()
    return (*found, *_names(parts, MOST_HOSTS - len(found)))


def _names(parts: list[list[str]], most: int) -> list[str]:
    """Return what one of the entries of a list stands for: each of its numbers with each of the others."""
    if not 0 < math.prod(map(len, parts)) <= most or not parts:
        raise ValueError(parts)
    return ["".join(chosen) for chosen in itertools.product(*parts)]


def _numbers(ranges: str) -> list[str]:
    numbers: list[str] = []
    for one in ranges.split(","):
        found = _RANGE.fullmatch(one)
        if found is None:
            raise ValueError(ranges)
        first, last = int(found["first"]), int(found["last"] or found["first"])
        if not 0 <= last - first < MOST_HOSTS:
            raise ValueError(ranges)
        numbers += [f"{number:0{len(found['first'])}}" for number in range(first, last + 1)]
    return numbers
