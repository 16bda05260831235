"""Promises of docs/merge.md: it knows every flag of `glmd merge`, and no flag that there is not."""

import re
from pathlib import Path

from tests.unit.docs.test_commands import help_of

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "merge.md").read_text("utf-8")
FLAG = r"(?<![\w-])--[a-z][a-z-]*"
COMMON = {"--help", "--root"}


def flags_in(text: str) -> set[str]:
    """Return the flags that a text names, those of the script by hand as `glmd merge` prints them."""
    return set(re.findall(FLAG, re.sub(r"(?<=[a-z])_(?=[a-z])", "-", text)))


def test_every_flag_of_the_merge_is_told() -> None:
    """Here, or in the table of what is left out in docs/cli.md."""
    told = flags_in(TEXT) | flags_in((DOCS / "cli.md").read_text("utf-8"))
    assert flags_in(help_of("merge")) - COMMON <= told


def test_every_flag_that_has_a_row_is_one() -> None:
    """Of the merge: the text speaks of flags of benchmarks, too."""
    rows = "\n".join(re.findall(r"^\| (`--.*?) \|", TEXT, re.MULTILINE))
    assert flags_in(rows)
    assert flags_in(rows) <= flags_in(help_of("merge"))
