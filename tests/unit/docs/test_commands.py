"""Promises of all pages of docs/, and of README.md: each command that they name is one, with these options."""

import re
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.commands import COMMANDS, COMMON
from daemon.commands.app import app

HOUSE = Path(__file__).parents[3]
PAGES = [HOUSE / "README.md", HOUSE / "SECURITY.md", *sorted((HOUSE / "docs").glob("*.md"))]
WITH_COMMANDS = {"notify", "rank-table"}
"""Commands whose first word is a command again."""
PRINTED = {"runs"}
"""`glmd runs at …` is what `glmd status` prints."""


@cache
def help_of(*words: str) -> str:
    """Return what a command says of itself."""
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, (words, done.output)
    return done.output


def commands_of(text: str) -> list[tuple[str, str]]:
    """Return the commands in blocks and in `…`: each with all that is behind it."""
    text = re.sub(r"Says: .*?(?=^To do:)", "", text, flags=re.MULTILINE | re.DOTALL)  # messages, no commands
    blocks = "\n".join(re.findall(r"^ {4}.*", text, re.MULTILINE))
    lines = re.findall(r"(?:^ +|sudo (?:-u [\w-]+ )?|&& |\|\| )glmd ([a-z][a-z-]*)(.*)", blocks, re.MULTILINE)
    inline = re.findall(r"`(?:sudo |make \w+ )?glmd ([a-z][a-z-]*)([^`\n]*)`", text)
    cut = [(name, re.split(r" #| && | \|\| ", rest)[0]) for name, rest in [*lines, *inline]]
    return [(name, rest) for name, rest in cut if name not in PRINTED]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_and_every_option_is_its_own(page: Path) -> None:
    """By what `--help` says of it."""
    for name, rest in commands_of(page.read_text("utf-8")):
        assert name in COMMANDS, f"glmd {name}{rest}"
        within = re.match(r" ([a-z]+)(?![\w|\\])", rest)
        told = help_of(name, within[1]) if name in WITH_COMMANDS and within else help_of(name)
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", rest):
            dashed = option.replace("_", "-")  # as `glmd merge` takes them, too
            known = dashed in COMMON or re.search(rf"(?<![\w-]){dashed}(?![\w-])", told)
            assert known, f"glmd {name}{rest}: {option}"


def test_commands_are_found_in_blocks_and_in_the_text() -> None:
    """Else the test above could say nothing."""
    text = "See `glmd status 42 --json`.\n\n    sudo glmd backup --to DIR  # --not this\n    glmd runs at /var/glm\n"
    assert commands_of(text) == [("backup", " --to DIR "), ("status", " 42 --json")]
