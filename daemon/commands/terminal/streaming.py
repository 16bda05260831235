"""Writing what may be long line by line: the first line comes at once, and nothing is kept."""

import sys
from collections.abc import Iterable, Iterator

from handlers.printable import to_json

PAGE = 1000
"""Lines between two flushes."""


def write(lines: Iterable[str]) -> None:
    """Write lines to standard output, the first one at once."""
    for number, line in enumerate(lines):
        sys.stdout.write(f"{line}\n")
        if number % PAGE == 0:
            sys.stdout.flush()
    sys.stdout.flush()


def write_at_once(lines: Iterable[str]) -> None:
    """Write lines to standard output, each as it comes."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def json_lines(document: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Yield a JSON object of these keys and values, as handlers.printable.to_json writes it.

    A value that is an iterator becomes an array, the elements of which are asked for one by one.
    """
    yield "{"
    yield from _with_commas(_member(key, value) for key, value in document)
    yield "}"


def _member(key: str, value: object) -> Iterator[str]:
    """Yield the lines of one key and its value."""
    name = f"  {to_json(key)}: "
    if not isinstance(value, Iterator):
        yield from (name + _indented(value, 2)).split("\n")
        return
    first = next(value, _NOTHING)
    if first is _NOTHING:
        yield f"{name}[]"
        return
    yield f"{name}["
    yield from _with_commas(iter([f"    {_indented(item, 4)}"]) for item in _chained(first, value))
    yield "  ]"


_NOTHING = object()


def _chained(first: object, others: Iterator[object]) -> Iterator[object]:
    yield first
    yield from others


def _with_commas(members: Iterable[Iterator[str]]) -> Iterator[str]:
    """Yield the lines of all members, with a comma behind each member but the last."""
    held: str | None = None
    for member in members:
        comma = "," if held is not None else ""
        for line in member:
            if held is not None:
                yield held + comma
            held, comma = line, ""
    if held is not None:
        yield held


def _indented(value: object, blanks: int) -> str:
    return to_json(value).replace("\n", "\n" + " " * blanks)
