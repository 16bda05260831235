"""Promises of docs/cli.md: a row for each command, and the exit codes as they are."""

import re
from pathlib import Path

from daemon.commands import COMMANDS
from daemon.commands.exit_codes import exit_code
from handlers.errors import BadInputError, HandlerError, RefusedError

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")


def test_every_command_has_a_row_and_every_row_a_command() -> None:
    """In the table at the top."""
    rows = re.findall(r"^\| (`glmd .*`) \|", TEXT, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`glmd ([a-z-]+)", row)}
    assert named == set(COMMANDS)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    """Failed, bad input, refused."""
    codes = {int(code): told for code, told in re.findall(r"^\| (\d+) \| (\w+)", TEXT, re.MULTILINE)}
    assert codes == {0: "done", 1: "failed", 2: "bad", 3: "refused", 130: "interrupted"}
    assert [exit_code(kind("x")) for kind in (HandlerError, BadInputError, RefusedError)] == [1, 2, 3]
