"""A MindFormers YAML with the line and column of everything in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property

from handlers.codes import Code
from handlers.hidden_keys import HiddenKeys
from handlers.validate.problem import ConfigError, Problem, visible
from handlers.validate.yaml_nodes import Data, Entry, Node, YamlProblemError, compose

MAX_BYTES = 1 << 20
"""More than a hundred times the longest stock YAML."""

_INSEPARABLE = Code.CONFIG_SECTION_INSEPARABLE
_BOM = b"\xef\xbb\xbf"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_HIDDEN = HiddenKeys()
_STARS = re.compile(r"\*+")
_SHORTEST = 4
"""Characters of a secret; a part of a word that is not one would only make a message unreadable."""
_NOT_TEXT = re.compile(
    # All but what YAML allows, and the three line breaks that PyYAML sees and newer readers do not.
    "[^\\x09\\x0A\\x0D\\x20-\\x7E\\xA0-\\u2027\\u202A-\\uD7FF\\uE000-\\uFFFD\\U00010000-\\U0010FFFF]"
)


def parse(content: bytes, name: str, max_bytes: int = MAX_BYTES) -> "Document":
    """Return the configuration in `content`, the bytes of the file `name`; what is wrong inside is in its problems.

    Raises ConfigError when there is nothing to look into: empty, too large, not UTF-8, binary, not YAML, no mapping.
    """
    text = _text(content, name, max_bytes)
    lines = tuple(line for line in _LINE.findall(text) if line)
    try:
        node, problems = compose(text)
    except YamlProblemError as error:
        raise ConfigError(name, [_with_excerpt(error.problem, lines, _shown(lines))]) from error
    if node is None:
        hint = "a configuration was expected"
        raise ConfigError(name, [Problem(1, 1, "", "the file holds only comments", hint, code=Code.YAML_EMPTY)])
    if not isinstance(node.data, dict):
        message, hint = "the file is not a mapping", "write `key: value` lines"
        problem = Problem(node.line, node.column, "", message, hint, code=Code.YAML_NOT_A_MAPPING)
        raise ConfigError(name, [_with_excerpt(problem, lines, _shown(lines))])
    shown = _shown(lines) if problems else lines
    return Document(name, content, lines, node, tuple(_with_excerpt(problem, lines, shown) for problem in problems))


def _text(content: bytes, name: str, max_bytes: int) -> str:
    if len(content) > max_bytes:
        message = f"the file has {len(content)} bytes, the limit is {max_bytes}"
        hint = "is it a data file or a checkpoint?"
        raise ConfigError(name, [Problem(1, 1, "", message, hint, code=Code.DROP_TOO_LARGE)])
    content = content.removeprefix(_BOM)
    if not content.strip():
        raise ConfigError(name, [Problem(1, 1, "", "the file is empty", code=Code.YAML_EMPTY)])
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line, column = _place(content[: error.start].decode())
        message = f"byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8"
        hint = "save the file as UTF-8, as with iconv -f GB18030 -t UTF-8"
        raise ConfigError(name, [Problem(line, column, "", message, hint, code=Code.YAML_NOT_TEXT)]) from error
    if match := _NOT_TEXT.search(text):
        line, column = _place(text[: match.start()])
        message = f"the character U+{ord(match[0]):04X} does not belong in a text file"
        hint = "is it a binary file?" if match[0] < " " or match[0] == "\x7f" else "remove it"
        raise ConfigError(name, [Problem(line, column, "", message, hint, code=Code.YAML_NOT_TEXT)])
    return text


def _place(before: str) -> tuple[int, int]:
    """Return line and column of what comes after `before`."""
    lines = [line for line in _LINE.findall(before) if line]
    if not lines or lines[-1].endswith(("\r", "\n")):
        return len(lines) + 1, 1
    return len(lines), len(lines[-1]) + 1


def _shown(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines as problems may quote them: more people are told what is wrong than can read the file."""
    return tuple(_LINE.findall(_HIDDEN.starred("".join(lines))))


def _with_excerpt(problem: Problem, lines: tuple[str, ...], shown: tuple[str, ...]) -> Problem:
    if problem.line > len(lines):
        return problem
    line, excerpt, message = lines[problem.line - 1], shown[problem.line - 1], problem.message
    for stars in _STARS.finditer(excerpt):
        secret = line[stars.start() : stars.end()].strip("*&! \"'")
        if len(secret) >= _SHORTEST and line != excerpt:
            message = message.replace(secret, "***")  # the parser's own may quote a part of the line
    return replace(problem, excerpt=excerpt.rstrip("\r\n"), message=message)


@dataclass(frozen=True)
class Document:
    """A parsed file. Its text is kept byte for byte."""

    name: str
    content: bytes
    lines: tuple[str, ...]
    """With their line breaks; without a byte order mark."""
    node: Node
    problems: tuple[Problem, ...]
    """What is wrong though it parses: duplicate keys, tags that ask for objects."""

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The lines as problems may quote them."""
        return _shown(self.lines)

    @cached_property
    def root(self) -> "Place":
        """The whole document as a place to start from."""
        return Place(self, "", "", Entry(1, 1, self.node))

    def without(self, key: str) -> bytes:
        """Return the file's bytes without the lines of the top-level `key`; all else stays byte for byte.

        Blank lines and comments that follow the section stay. Raises ConfigError when the section cannot be cut out.
        """
        if key not in self.node.entries:
            return self.content
        start, end = self._span(key)
        kept = "".join(self.lines[: start - 1] + self.lines[end - 1 :]).encode()
        rest = kept if not self.content.startswith(_BOM) else _BOM + kept
        try:
            same = parse(rest, self.name, len(self.content)).node.data == self._data_without(key)
        except ConfigError:
            same = len(self.node.entries) == 1
        if not same:
            problem = self.root[key].key_problem(_INSEPARABLE, "cannot be cut out of this file", "move it")
            raise ConfigError(self.name, [problem])
        return rest

    def _span(self, key: str) -> tuple[int, int]:
        """Return the first line of the top-level `key`, and the line behind its last."""
        place = self.root[key]
        if self.node.flow or place.entry.merged:
            message = f"write `{key}:` at the start of a line of its own, not in braces"
            raise ConfigError(self.name, [place.key_problem(_INSEPARABLE, message)])
        start = place.entry.line
        following = [entry.line for entry in self.node.entries.values() if not entry.merged and entry.line > start]
        end = min(following, default=len(self.lines) + 1)
        while end > start + 1 and self._belongs_to_next(self.lines[end - 2], place.entry.column):
            end -= 1
        for outside in self._reached(key):
            if start <= outside.entry.node.line < end:
                message = f"an anchor in `{key}:` is used outside of it"
                problem = outside.problem(_INSEPARABLE, message, "move the anchor out")
                raise ConfigError(self.name, [problem])
        return start, end

    @staticmethod
    def _belongs_to_next(line: str, column: int) -> bool:
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        return not stripped or (stripped.startswith("#") and indent < column) or line.startswith("...")

    def _data_without(self, key: str) -> Data:
        return {name: entry.node.data for name, entry in self.node.entries.items() if name != key}

    def _reached(self, key: str) -> Iterator["Place"]:
        """Yield every place outside the top-level `key`, each node once."""
        seen: set[int] = set()
        waiting = [place for place in self.root if place.where != key]
        while waiting:
            place = waiting.pop()
            if id(place.entry.node) not in seen:
                seen.add(id(place.entry.node))
                yield place
                waiting.extend(place)


@dataclass(frozen=True)
class Place:
    """A value in a document: what it is, and where."""

    document: Document
    where: str
    """The dotted key."""
    name: str
    """The last part of it; a list's elements have their number."""
    entry: Entry

    @property
    def data(self) -> Data:
        """The value as plain data."""
        return self.entry.node.data

    @property
    def text(self) -> str:
        """A scalar as it is written, without quotes: `010` where the value is 8."""
        return self.entry.node.text

    def __getitem__(self, key: str) -> "Place":
        return self._within(key, self.entry.node.entries[key])

    def __iter__(self) -> Iterator["Place"]:
        """Yield what is in it, keys of a mapping or elements of a list, in order."""
        for key, entry in self.entry.node.entries.items():
            yield self._within(str(key), entry)
        for index, node in enumerate(self.entry.node.elements):
            yield Place(self.document, f"{self.where}[{index}]", str(index), Entry(node.line, node.column, node))

    def _within(self, key: str, entry: Entry) -> "Place":
        return Place(self.document, f"{self.where}.{key}" if self.where else key, key, entry)

    def get(self, *keys: str) -> "Place | None":
        """Return the place under `keys`, or None where there is none or its value is empty."""
        place = self
        for key in keys:
            if key not in place.entry.node.entries:
                return None
            place = place[key]
        return None if place.data is None else place

    def problem(self, code: Code, message: str, hint: str = "") -> Problem:
        """Return a problem at the value, or at the key where the value is no single thing to point at."""
        node = self.entry.node
        if node.data is None or node.entries or node.elements:
            return self.key_problem(code, message, hint)
        problem = Problem(node.line, node.column, self.where, message, hint, code=code)
        return _with_excerpt(problem, self.document.lines, self.document.shown)

    def key_problem(self, code: Code, message: str, hint: str = "") -> Problem:
        """Return a problem at the key."""
        problem = Problem(self.entry.line, self.entry.column, self.where, message, hint, code=code)
        return _with_excerpt(problem, self.document.lines, self.document.shown)

    def missing(self, key: str, hint: str = "", code: Code = Code.CONFIG_MISSING_KEY) -> Problem:
        """Return the problem that `key` is not in this mapping, or is empty; names a key that looks like it."""
        if key in self.entry.node.entries:
            return self[key].key_problem(code, "is empty", hint)
        where = f"{self.where}.{key}" if self.where else key
        close = get_close_matches(key, [str(name) for name in self.entry.node.entries], n=1, cutoff=0.8)
        if close:
            hint = f"is `{visible(close[0], 60)}` meant for it?" + (f" {hint}" if hint else "")
        problem = Problem(self.entry.line, self.entry.column, where, "is missing", hint, code=code)
        return _with_excerpt(problem, self.document.lines, self.document.shown)
