"""Which values of a configuration are not shown: those of keys that are called like secrets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MARK = "•••"
"""What stands in the place of a value that is not shown."""
_SECRET = re.compile(r"token|secret|passw|api_?key", re.IGNORECASE)
_OF_LANGUAGE = re.compile(
    r"""
    tokeniz(?:ers?|ation|ed?) |
    (?<![a-z])(?:bos|eos|pad|unk|g?mask|sep|cls|sop|eop|end|special|added|extra_id|image)_tokens?(?:_ids?)?(?![a-z]) |
    (?<![a-z])(?:max|min|new|num)_tokens(?![a-z]) |
    (?<![a-z])moe_token_dispatcher(?![a-z])
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What models call so: every configuration has some, and they are no secrets."""
_WORD = re.compile(r"[\w.-]+")
_ASSIGNED = re.compile(r"""["']?\s*[:=]""")


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
        """Return a text without what is assigned to such a key in it, as in `HF_TOKEN=…`."""
        end = self.end_of_name(text, assigned=True)
        return text if end is None else f"{text[:end]}{MARK}"


NOTHING_HIDDEN = HiddenKeys(secrets=False)
"""For people who could read the files themselves."""
