"""Versions of MindFormers, as its packages and branches are called."""

import re
from dataclasses import dataclass
from typing import Self

_VERSION = re.compile(r"[rv]?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[.+-]?[a-z][a-z0-9.]*)?", re.ASCII)


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """A release, as 0.8 or 1.3.2; what is behind it (rc1, dev) does not count."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `0.8`, `1.3.2`, `r1.0` or `1.6.0rc1`; raises ValueError."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no version; write it as 0.8 or 1.3.2")
        return cls(int(match[1]), int(match[2]), int(match[3] or 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" + (f".{self.patch}" if self.patch else "")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """In which versions something is there."""

    since: Version = Version(0, 0)
    before: Version | None = None
    """The first that no longer has it; None for what is still there."""

    def holds(self, version: Version) -> bool:
        """Say whether `version` has it."""
        return self.since <= version and (self.before is None or version < self.before)

    def why_not(self, version: Version) -> str:
        """Return why `version` does not have it."""
        return f"it came with {self.since}" if version < self.since else f"it is gone from {self.before} on"


ALWAYS = Lifetime()

OF_GLM_6B = Version(0, 8)
"""The newest that glmd's rules for GLM-6B were read in."""
