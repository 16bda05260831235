"""Promises of docs/ as a whole: each page is listed, and what the code says of pages is so.

`make docs` holds each link in the pages themselves, and fails where one leads nowhere.
"""

import re
from pathlib import Path

HOUSE = Path(__file__).parents[3]
DOCS = HOUSE / "docs"


def test_every_page_is_listed_once() -> None:
    """In docs/index.md, and the decisions in a list of their own."""
    for index in (DOCS / "index.md", DOCS / "adr" / "README.md"):
        listed = re.findall(r"^- \[[^\]]*\]\(([\w-]+\.md)\)", index.read_text("utf-8"), re.MULTILINE)
        assert sorted(listed) == sorted(page.name for page in index.parent.glob("*.md") if page != index)


def test_what_code_and_settings_say_of_pages_is_there() -> None:
    """Messages, units, comments; with the heading, where they name one."""
    rooms = ("daemon", "handlers", "configs", "systemd", "monitoring", "requirements")
    files = [path for room in rooms for path in (HOUSE / room).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    named = 0
    for file in [*files, HOUSE / "Makefile", HOUSE / "Containerfile"]:
        for page in re.findall(r"\b(?:docs|doc/glmd)/([\w-]+\.md)", file.read_bytes().decode("utf-8", "replace")):
            assert (DOCS / page).is_file(), f"{file}: {page}"
            named += 1
    assert named > 40


def test_headings_that_messages_of_older_versions_name_are_still_there() -> None:
    """An older glmd that meets a newer store sends people there."""
    text = (DOCS / "operations.md").read_text("utf-8")
    for heading in ("Upgrading, and going back", "Backups", "Trees that glmd did not train", "Nightly cycles"):
        assert f"\n## {heading}\n" in text
