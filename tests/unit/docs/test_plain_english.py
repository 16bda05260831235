"""Promises of what glmd says: a reader whose first language is not English takes it in at first reading."""

import re

from tests.unit.docs.messages import HOLE, of_code, of_words

MOST_WORDS = 25
"""Words without a break: thirty is the most, and what fills a placeholder may be several."""
BREAK = re.compile(r"[.!?…](?=[\s)»\"'`]|$)|;|:(?=\s|$)|\n| - ")


def longest(text: str) -> int:
    """Return how many words of a text follow each other without a break."""
    return max(sum(bool(re.search(r"\w", word) or HOLE in word) for word in part.split()) for part in BREAK.split(text))


def test_words_are_counted_between_breaks() -> None:
    """A sentence's end, a semicolon, a colon, a line's end or a dash; a path or a version has none of them."""
    assert longest("one two; three four five: six") == 3
    assert longest("see docs/merge.md of glmd 0.8.1 - then go on. Or\nnot") == 5
    assert longest(f"{HOLE} of {HOLE}") == 3


def test_the_texts_are_found() -> None:
    """A message that is raised, a reason of an f-string in two lines, help of an option, a word of the page."""
    texts = {said.text for said in (*of_code(), *of_words())}
    assert {"merging and filtering the shards", "Follow until the job ends.", "nothing waits"} <= texts
    assert any(text.startswith(f"glmd needs {HOLE} open files at least, and") for text in texts)
    assert not [text for text in texts if "SELECT" in text]
    assert len(texts) > 2000


def test_no_text_is_long_without_a_break() -> None:
    """Split it: one idea a sentence, the condition first."""
    assert {said.where: said.text for said in (*of_code(), *of_words()) if longest(said.text) > MOST_WORDS} == {}
