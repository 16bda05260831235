"""What one check of `glmd doctor` found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    MISSING = "missing"
    """glmd cannot do its work without it."""
    NOTE = "note"
    """Worth knowing; the work can be done anyway."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""
    """What to do; empty when all is well."""
