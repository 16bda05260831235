"""Promises of the pictures in docs/."""

import re
from pathlib import Path

from tests.browser.showcase.screenshots import DOCS, MOST, PICTURES

TEXTS = [DOCS.parent / "README.md", *DOCS.glob("*.md")]


def test_each_is_there_small_and_shown() -> None:
    """What `make screenshots` makes and nothing else, each on some page, in the format that it is called by."""
    shown = {path.name for text in TEXTS for path in _pictures_of(text)}
    assert shown == {picture.file.name for picture in PICTURES} == {path.name for path in DOCS.glob("*.webp")}
    for picture in PICTURES:
        content = picture.file.read_bytes()
        assert len(content) <= MOST, picture.name
        assert (content[:4], content[8:12]) == (b"RIFF", b"WEBP"), picture.name


def test_no_page_shows_one_that_is_not_there() -> None:
    """By its path from that page, which is how people's browsers find it; with words for who does not see it."""
    for text in TEXTS:
        for path in _pictures_of(text):
            assert path.is_file(), f"{text.name}: {path}"
        assert "![](" not in text.read_text()


def _pictures_of(text: Path) -> list[Path]:
    return [text.parent / found for found in re.findall(r'(?:\]\(|src=")([^)"\s]+\.webp)', text.read_text())]
