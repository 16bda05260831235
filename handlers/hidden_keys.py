"""Which values are not shown: those of keys that are called like secrets, in configurations and in any other text."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

MARK = "•••"
"""What stands in the place of a value that is not shown."""
_SECRET = re.compile(
    r"token|secret|passw|pass_?phrase|credential|authorization|(?:api|access|private)_?-?key", re.IGNORECASE
)
_OF_LANGUAGE = re.compile(
    r"""
    tokeniz(?:ers?|ation|ed?) |
    (?<![a-z])(?:bos|eos|pad|unk|g?mask|sep|cls|sop|eop|end|special|added|extra_id|image)_tokens?(?:_ids?)?(?![a-z]) |
    (?<![a-z])(?:max|min|new|num)_tokens(?![a-z]) |
    (?<![a-z])tokens?_per_[a-z]+(?![a-z]) |
    (?<![a-z])moe_token_dispatcher(?![a-z])
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What models call so: every configuration has some, and they are no secrets."""
_WORD = re.compile(r"[\w.-]+")
_ASSIGNED = re.compile(r"""\\?["']?\s*[:=]""")
_OPTION = re.compile(r"""["']?,?[ \t]+(?=[^\s-])""")
"""What stands between an option and its value, as in `--hf-token VALUE` or `['--hf-token', 'VALUE']`."""
_QUOTED = re.compile(r"""\s*(\\?["'])(?P<value>(?:(?!\1)(?:\\.|.))*)(?:\1|$)""")
_WORD_OF_ITS_OWN = re.compile(r"""\s*(?P<value>(?:(?!["'](?:[,;:\s\])}]|$))\S)+)""")
_ELEMENT = re.compile(r"""\s*(?P<value>[^,}\])]+)""")
_REST = re.compile(r"\s*(?P<value>\S.*)")
_REST_OF_JSON = re.compile(r"""\s*(?P<value>(?:[^"\\]|\\.)+)""")
_FIRST = re.compile(r"""(?:-\s+)*["']?(?P<key>[\w.-]+)["']?\s*:""")
_BLOCK = re.compile(r"(?:•••|[|>][+-]?\d?)?")
"""What stands behind a key whose value the next lines are."""
_CARET = re.compile(r"\|\s*\^")
"""What glmd's own messages have below a line."""
_NO_BLANKS = re.compile(r"\S*")
_NUMBER = re.compile(r"\s*[\d.,]+(?:e[+-]?\d+)?[,;)}\]]*(?:\s|$)", re.ASCII | re.IGNORECASE)
_LONGEST_LOGIN = 1024
_AT = ("@", "\uff20")
"""As it is, and as a message has it (daemon.face.notify.texts.harmless)."""
_AUTHORITY = re.compile(r"[^/?#]*")
_BEARER = re.compile(r"\bbearer\s+(?P<value>[\w.~+/=-]{8,})", re.IGNORECASE)
_NEAR = (
    *("token", "secret", "passw", "passphrase", "pass_phrase", "credential", "authorization", "bearer", "://"),
    *(f"{kind}{sign}key" for kind in ("api", "access", "private") for sign in ("", "_", "-", "_-")),
)
"""What has nothing of this has no secret."""


@dataclass(frozen=True)
class HiddenKeys:
    """Decides by the names of keys."""

    more: tuple["re.Pattern[str]", ...] = ()
    """What the settings hide, too (`web: hide:`)."""
    secrets: bool = True

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "HiddenKeys":
        """Return what hides secrets, and keys of these patterns."""
        return cls(tuple(re.compile(pattern) for pattern in patterns))

    def hides(self, key: str) -> bool:
        """Say whether the value of a key is not shown."""
        is_secret = self.secrets and _SECRET.search(_OF_LANGUAGE.sub(" ", key)) is not None
        return is_secret or any(pattern.search(key) for pattern in self.more)

    def end_of_name(self, text: str, *, assigned: bool) -> int | None:
        """Return where the first word ends that is such a key's name; None for none.

        With `assigned` a colon or an equals sign has to follow it, which belong to it.
        """
        for word in _WORD.finditer(text):
            if self.hides(word[0]):
                sign = _ASSIGNED.match(text, word.end())
                if sign is not None or not assigned:
                    return sign.end() if sign else word.end()
        return None

    def in_text(self, text: str) -> str:
        """Return a value without anything behind such a key in it, as in `HF_TOKEN=…`, and without logins."""
        end = self.end_of_name(text, assigned=True)
        return self.in_lines(text if end is None else f"{text[:end]}{MARK}")

    def in_lines(self, text: str) -> str:
        """Return what people or programs wrote, without what each line assigns to such keys, and without logins."""
        return _without(text, self._of_lines(text), lambda _: MARK) if self._may_be_in(text) else text

    def in_json(self, value: object, key: str = "") -> object:
        """Return JSON of glmd's without secrets in its texts; its own keys are none of the settings'."""
        if isinstance(value, Mapping):
            return {name: self.in_json(member, name) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.in_json(item, key) for item in value]
        if key and value is not None and HiddenKeys().hides(key):
            return MARK
        return self.in_lines(value) if isinstance(value, str) else value

    def masked(self, lines: bytes) -> bytes:
        """Return whole lines of a log with a `*` for each byte that is not shown: every other stays where it is."""
        text = lines.decode("utf-8", "surrogateescape")
        if not self._may_be_in(text):
            return lines
        return _without(text, self._of_lines(text), _stars).encode("utf-8", "surrogateescape")

    def starred(self, text: str) -> str:
        """Return what people wrote with a `*` for each character that is not shown, so that columns stay right."""
        return _without(text, self._of_lines(text), lambda cut: "*" * len(cut)) if self._may_be_in(text) else text

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Return where a line says what is not shown, in order, none within another."""
        if not self._may_be_in(line):
            return []
        found, until = [], 0
        if self.secrets:
            found = [*_logins(line), *(match.span("value") for match in _BEARER.finditer(line))]
        for word in _WORD.finditer(line):
            if word.start() >= until and self.hides(word[0]) and (value := _value(line, word)) is not None:
                found.append(value)
                until = value[1]
        return _apart(found)

    def _goes_on(self, content: str) -> bool:
        """Say whether a hidden value may go on in the next lines: its key begins this one, or it is open at the end."""
        if not self._may_be_in(content):
            return False
        first = _FIRST.match(content)
        if first is not None and self.hides(first["key"]):
            rest = content[first.end() :].strip().removesuffix(",")
            return not (len(rest) > 1 and rest[0] in "\"'" and rest[-1] == rest[0])
        keys = [word for word in _WORD.finditer(content) if self.hides(word[0])]
        sign = _ASSIGNED.match(content, keys[-1].end()) if keys else None
        if sign is None or not sign[0].endswith(":"):
            return False
        rest = content[sign.end() :].strip()
        if _BLOCK.fullmatch(rest):
            return True
        closing = {"[": "]", "{": "}", '"': '"', "'": "'"}.get(rest[0])
        return closing is not None and rest.find(closing, 1) < 0

    def _may_be_in(self, text: str) -> bool:
        return bool(self.more) or (self.secrets and any(map(text.lower().__contains__, _NEAR)))

    def _of_lines(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of a text; behind a key that stands alone they are the lines that are indented more."""
        at, deeper = 0, None
        for line in text.splitlines(keepends=True):
            content = line.strip()
            indent = len(line) - len(line.lstrip())
            if content and deeper is not None and indent <= deeper:
                deeper = None
            if content and deeper is not None and not _CARET.match(content):
                yield at + indent, at + indent + len(content)
            elif content:
                yield from ((at + start, at + end) for start, end in self.spans(line))
                deeper = indent if self._goes_on(content) else None
            at += len(line)


def _value(line: str, word: "re.Match[str]") -> tuple[int, int] | None:
    """Return where the value of a key is; None where nothing is assigned to it.

    A quotation ends with its mark. What follows `=` or an option is a word; what follows a quoted key, an element.
    Otherwise it may have blanks, and the line's end is its end.
    """
    sign = _ASSIGNED.match(line, word.end())
    is_option = sign is None and line[max(0, word.start() - 1) : word.end()].lstrip("\"' ").startswith("-")
    if sign is None:
        sign = _OPTION.match(line, word.end()) if is_option else None
    if sign is None:
        return None
    if word[0].lower().endswith("tokens") and _NUMBER.match(line, sign.end()):
        return None  # of a text, which are counted
    forms = [_QUOTED]
    if is_option or sign[0].endswith("="):
        forms.append(_WORD_OF_ITS_OWN)
    elif sign[0].lstrip("\\")[:1] in {'"', "'"}:
        forms.append(_ELEMENT)
    else:
        forms.append(_REST_OF_JSON if line.lstrip().startswith('{"') else _REST)
    found = next((match for form in forms if (match := form.match(line, sign.end()))), None)
    return None if found is None or not found["value"].strip() else (found.start("value"), found.end("value"))


def _logins(line: str) -> Iterator[tuple[int, int]]:
    """Yield where URLs have user and password, or a token for a user (RFC 3986, 3.2.1).

    Also where a password has signs that it should not have, and where the URL is cut off behind it.
    """
    at = line.find("://")
    while at >= 0:
        start = at + 3
        word = _NO_BLANKS.match(line, start, start + _LONGEST_LOGIN)[0]  # type: ignore[index] # it matches nothing, too
        is_cut = len(word) == _LONGEST_LOGIN and not any(sign in word for sign in _AT)
        end = 0 if is_cut else _end_of_login(word)
        if end > 0:
            yield start, start + end
        at = line.find("://", start + (len(word) - 2 if is_cut else max(0, end)))


def _end_of_login(word: str) -> int:
    authority = _AUTHORITY.match(word)[0]  # type: ignore[index] # as above
    end: int = max(authority.rfind(sign) for sign in _AT)
    _, colon, port = authority.partition(":")
    if end >= 0 or not colon or (port.isdigit() and len(port) < 6):
        return end
    ends = [word.find(sign) for sign in _AT if sign in word]
    return min(ends, default=len(word.rstrip("\u2026")))


def _apart(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _without(text: str, spans: Iterable[tuple[int, int]], instead: Callable[[str], str]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], instead(text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def _stars(text: str) -> str:
    return "*" * len(text.encode("utf-8", "surrogateescape"))


NOTHING_HIDDEN = HiddenKeys(secrets=False)
"""For people who could read the files themselves."""
