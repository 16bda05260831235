"""The entries of docs/troubleshooting.md, by code: it is the one place that says what each means and what to do.

docs/zh/troubleshooting.md has the same entries in Chinese; tests/unit/docs/test_troubleshooting.py holds both together.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.face.words.language import Language
from handlers.codes import Code
from handlers.rank_log.error_kinds import code_of

_DOCS = Path(__file__).parents[2] / "docs"
_PLACES = {
    Language.EN: (Path(__file__).with_suffix(".md"), _DOCS / "troubleshooting.md"),
    Language.ZH: (Path(__file__).with_name("troubleshooting_zh.md"), _DOCS / "zh" / "troubleshooting.md"),
}
"""Where an installed glmd has each file, and a source tree."""
_ROW_AS_TEXT = {
    Language.EN: "{name}: {cause}.\nTo do: {remedy}.",
    Language.ZH: "{name}：{cause}。\n处理：{remedy}。",
}
"""A row of the table in the words of an entry."""

_FAMILY = "rank"
"""The family whose entries are the rows of a table, but for a few."""
_HEADING = re.compile(r"^(##|###) `([\w.-]+)`.*$", re.MULTILINE)
_END = re.compile(r"^##", re.MULTILINE)
_ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
_SENTENCE = re.compile(r".+?(?:\.(?=\s|$)|。|$)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """What there is to say of one code."""

    code: Code
    text: str

    @property
    def summary(self) -> str:
        """Its first sentence, in one line."""
        found = _SENTENCE.match(self.text)
        return " ".join(found[0].split()).rstrip(".。") if found else ""


def read_entries(language: Language) -> Mapping[Code, Entry]:
    """Return every entry, in the order of the file. Raises OSError, and ValueError for a heading that is no code."""
    text = next(place for place in _PLACES[language] if place.exists()).read_text(encoding="utf-8")
    return {entry.code: entry for entry in _entries(text, _ROW_AS_TEXT[language])}


def _entries(text: str, row: str) -> Iterator[Entry]:
    for heading in _HEADING.finditer(text):
        end = _END.search(text, heading.end())
        body = text[heading.end() : end.start() if end else len(text)].strip()
        if heading[1] == "###":
            yield Entry(Code(heading[2]), body)
        elif heading[2] == _FAMILY:
            yield from _rows(body, row)


def _rows(table: str, as_text: str) -> Iterator[Entry]:
    rows = iter(_ROW.findall(table))
    next(rows, None)  # the names of the columns
    for name, cause, remedy in rows:
        yield Entry(code_of(name), as_text.format(name=name, cause=cause, remedy=remedy))
