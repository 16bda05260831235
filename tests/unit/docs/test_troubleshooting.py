"""Promises of docs/troubleshooting.md: an entry for each code, and for nothing that is none."""

import re
from pathlib import Path

import pytest

from daemon.face.troubleshooting import read_entries
from handlers.codes import Code

HOUSE = Path(__file__).parents[3]
TEXT = (HOUSE / "docs" / "troubleshooting.md").read_text()


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    """By its heading, or in the table of what ranks' logs say."""
    entries = read_entries()
    assert [code for code in Code if code not in entries] == [], "docs/troubleshooting.md has no entry for these"
    assert set(entries) == set(Code)
    headings = re.findall(r"^### `([^`]+)`", TEXT, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) <= {str(code) for code in Code}


@pytest.mark.parametrize("code", Code)
def test_an_entry_can_be_found_by_its_code_and_says_what_to_do(code: Code) -> None:
    """Who searches the file for the code finds it, too."""
    assert f"`{code}`" in TEXT, "in backticks: a heading, or for a rank's error the list below the table"
    entry = read_entries()[code]
    assert entry.summary
    assert re.search(r"\bTo do: |please report it", entry.text, re.IGNORECASE)


def test_the_families_have_their_codes_below_them() -> None:
    """Under `## merge` are those of merging, all of them."""
    for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        family = re.match(r"`([\w-]+)`", part)
        inside = {code.partition(".")[0] for code in re.findall(r"^### `([^`]+)`", part, re.MULTILINE)}
        assert inside <= ({family[1]} if family else set())


def test_links_lead_to_what_is_there() -> None:
    """Into other files of docs/."""
    for name in re.findall(r"\]\(([\w-]+\.md)", TEXT):
        assert (HOUSE / "docs" / name).exists()
