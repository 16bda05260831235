"""Promises of docs/words.md: one word for one thing, and glmd keeps to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from tests.unit.docs.messages import HOUSE, of_code, of_words

DOCS = HOUSE / "docs"
PAGE = (DOCS / "words.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table[2:]]


THINGS = [*rows("Things"), *rows("What happens")]
PHRASES = rows("Phrases")


def pattern(word: str) -> re.Pattern[str]:
    """Return what finds a word, or its plural, as a word of its own: in no name with hyphens, dots or underscores."""
    return re.compile(rf"(?<![\w.-])(?:{re.escape(word)})s?(?![\w-])", re.IGNORECASE)


def listed(cell: str) -> list[str]:
    """Return the words of a cell."""
    return [word for word in cell.split(", ") if word]


def prose(page: Path) -> Iterator[str]:
    """Yield the lines of a page with what it says, and not what it quotes as code."""
    is_code = False
    for line in page.read_text("utf-8").splitlines():
        is_code ^= line.startswith("```")
        if not is_code and not line.startswith("    "):
            yield re.sub(r"`[^`]*`", "", line)


def met(words: str) -> list[str]:
    """Return where they are: in messages, in `--help`, on the page, and in README and docs/."""
    pages = [HOUSE / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if page.parent.name != "zh")]
    lines = [(page.name, line) for page in pages if page.name != "words.md" for line in prose(page)]
    said = [(one.where, one.text) for one in (*of_code(), *of_words())]
    return [f"{where}: {text}" for where, text in (*said, *lines) if pattern(words).search(text)]


def test_the_tables_are_whole() -> None:
    """A word is there once, with a sentence; no word is refused that is a word of the list."""
    words = [row[0] for row in THINGS]
    assert len(words) == len(set(words)) > 30
    assert [row for row in THINGS if len(row) != 4 or not row[1]] == []
    assert not set(words) & {word for row in THINGS for word in listed(row[2])}
    assert all(len(row) == 2 and all(row) for row in PHRASES)


@pytest.mark.parametrize("word", [row[0] for row in THINGS])
def test_each_word_is_used(word: str) -> None:
    """In what glmd says: a word that nobody meets needs no place in the list."""
    assert any(pattern(word).search(said.text) for said in (*of_code(), *of_words())), word


@pytest.mark.parametrize("word", [word for row in THINGS for word in listed(row[2])])
def test_what_has_a_word_has_no_other(word: str) -> None:
    """A job is a job everywhere."""
    assert met(word) == []


@pytest.mark.parametrize("phrase", [phrase for row in PHRASES for phrase in listed(row[1])])
def test_no_text_has_riddles(phrase: str) -> None:
    """A phrase that a reader has to read twice has a plain one beside it in the list."""
    assert met(phrase) == []


@pytest.mark.parametrize(("word", "chinese"), [(row[0], row[3]) for row in THINGS if row[3]])
def test_the_chinese_word_is_the_one_in_use(word: str, chinese: str) -> None:
    """In daemon/face/words/: translators look it up here."""
    words = read_words(Language.ZH)
    texts = [text for table in words.tables.values() for text in table.values()]
    texts += [text for advice in words.advice.values() for text in (advice.cause, advice.remedy)]
    assert any(chinese in text for text in texts), word
