"""Placeholders in a night's template, as `{date}` and `{newest:/data/*.mindrecord}`: filled in where a YAML has values.

Only these very forms count, and only in values: keys, comments and all other braces (of format strings, Jinja, JSON,
`${…}`, doubled ones) stay as they are, and so does every byte around what is filled in.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from itertools import pairwise

from ruamel.yaml import YAML
from ruamel.yaml.tokens import AnchorToken, FlowMappingEndToken, FlowMappingStartToken, KeyToken, ScalarToken, TagToken
from ruamel.yaml.tokens import Token as YamlToken

from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.printable import printable


class Word(StrEnum):
    """What may stand in braces."""

    DATE = "date"
    """The day of the night, by the clocks of the cycle's zone: 2026-11-28."""
    NIGHT = "night"
    """The name of the run: glm-6b-20261127T180000Z."""
    NEWEST = "newest"
    """The newest whole file of a pattern, by its modification time."""
    NEWEST_BY_NAME = "newest-by-name"
    """The last one by name, numbers in it counted as numbers."""

    @property
    def takes_pattern(self) -> bool:
        """Whether a pattern stands behind it."""
        return self in {Word.NEWEST, Word.NEWEST_BY_NAME}


Answer = Callable[[Word, str], str]
"""Returns what a placeholder stands for; gets its word, and its pattern, empty where it takes none."""

_BRACES = re.compile(
    r"(?<![{$])\{(?P<before>\s*)(?P<word>[A-Za-z][\w-]*)(?P<after>\s*)(?::(?P<what>[^{}\n]*))?\}(?!\})"
)
_MAYBE = re.compile(r"\{\s*(?:date|night|newest[\w-]*)\s*[:}]|\{[A-Za-z][\w-]*:/")
"""In a text without it there is nothing to do."""
_BLOCK = frozenset("|>")


@dataclass(frozen=True)
class _Place:
    """Where something stands in a template, for people."""

    template: str
    line: int
    column: int

    def wrong(self, text: str, why: str) -> BadInputError:
        return BadInputError(
            f"{self.template}:{self.line}:{self.column}: {printable(text)}: {why}", Code.NIGHT_PLACEHOLDER
        )


def fill(text: str, answer: Answer, template: str) -> str:
    """Return `text`, a YAML from the file `template`, with its placeholders filled in by `answer`.

    Each value with one is text, quoted as YAML wants it. A text without any is returned as it is, be it YAML or not.
    Raises BadInputError for what was meant for a placeholder and is none, ruamel's YAMLError for what is no YAML, and
    what `answer` raises.
    """
    if _MAYBE.search(text) is None:
        return text
    pieces, done = [], 0
    for start, end, filled in _replacements(text, answer, template):
        pieces += [text[done:start], filled]
        done = end
    return "".join((*pieces, text[done:]))


def _replacements(text: str, answer: Answer, template: str) -> Iterator[tuple[int, int, str]]:
    """Yield where the text of a value is another one once it is filled in, and which."""
    for first, last in _values(text):
        start, end, mark = first.start_mark.index, last.end_mark.index, first.start_mark
        place = _Place(template, mark.line + 1, mark.column + 1)
        if not isinstance(first, ScalarToken):  # `key: {date}` without quotes is a mapping to YAML
            match = _BRACES.fullmatch(text, start, end)
            if match and (filled := _filled(match, answer, place)) != match[0]:
                yield start, end, _quoted(filled)
        elif first.style in _BLOCK:
            head, line_break, body = text[start:end].partition("\n")
            if (filled := _substituted(body, answer, place)) != body:
                yield start, end, f"{head}{line_break}{filled}"
        elif (filled := _substituted(first.value, answer, place)) != first.value:
            yield start, end, _quoted(filled)


def _values(text: str) -> Iterator[tuple[YamlToken, YamlToken]]:
    """Yield the first and the last token of each scalar that is no key, and of each flow mapping."""
    tokens = [
        token for token in YAML(typ="safe", pure=True).scan(text) if not isinstance(token, AnchorToken | TagToken)
    ]
    opened: list[tuple[YamlToken, bool]] = []
    for before, token in pairwise(tokens):
        is_key = isinstance(before, KeyToken)
        if isinstance(token, FlowMappingStartToken):
            opened.append((token, is_key))
        elif isinstance(token, FlowMappingEndToken) and opened:
            start, was_key = opened.pop()
            if not was_key:
                yield start, token
        elif isinstance(token, ScalarToken) and not is_key:
            yield token, token


def _substituted(text: str, answer: Answer, place: _Place) -> str:
    return _BRACES.sub(lambda match: _filled(match, answer, place), text)


def _filled(match: re.Match[str], answer: Answer, place: _Place) -> str:
    """Return what stands for braces: what they mean, or themselves where they are none of ours."""
    name, what = match["word"], match["what"]
    is_exact = not match["before"] and not match["after"]
    word = Word(name) if name in set(Word) else None
    if word is not None and word.takes_pattern:
        if is_exact and what is not None and what.startswith("/"):
            return answer(word, what)
        raise place.wrong(match[0], f"write '{{{word}:/…}}' in quotes, without blanks, with a path from the root")
    if word is not None and is_exact and what is None:
        return answer(word, "")
    if what is not None and what.startswith("/"):
        close = get_close_matches(name, list(Word), 1, cutoff=0.5)
        hint = f"is {close[0]} meant?" if close else f"there are {', '.join(Word)};"
        raise place.wrong(match[0], f"no placeholder of glmd; {hint} text in double braces stays unchanged")
    return match[0]


def _quoted(text: str) -> str:
    """Return `text` as one line of YAML that is read as this very text, whatever is in it."""
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in {'"', "\\"}:
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
