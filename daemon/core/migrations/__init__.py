"""The numbered steps of the store's schema: the SQL that leads from each version to the next, one file a step.

A step that a released glmd has done never changes; what is to be different is a new step, with the next number.
"""

import re
import sqlite3
from collections.abc import Iterator

VERSION = 9
"""How many steps there are: the schema that this glmd knows. To count the files would take each reader longer."""

_NAME = re.compile(r"(\d{4})_\w+\.sql", re.ASCII)


def steps() -> dict[int, str]:
    """Return the SQL of all steps by the version that each leads to, the first one first."""
    from importlib.resources import files  # noqa: PLC0415 - `glmd status` seldom needs it, and is quicker without

    found = {int(match[1]): file for file in files(__name__).iterdir() if (match := _NAME.fullmatch(file.name))}
    return {number: found[number].read_text(encoding="utf-8") for number in sorted(found)}


def statements(after: int) -> Iterator[str]:
    """Yield the statements that lead from the version `after` to this one."""
    for number, sql in steps().items():
        if number > after:
            yield from _split(sql)


def indexes() -> Iterator[str]:
    """Yield the statements that make those indexes that are missing."""
    from importlib.resources import files  # noqa: PLC0415 - as above

    yield from _split(files(__name__).joinpath("indexes.sql").read_text(encoding="utf-8"))


def _split(sql: str) -> Iterator[str]:
    """Yield each statement of `sql`; sqlite3's executescript would end the transaction."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
