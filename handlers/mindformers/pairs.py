"""Which MindSpore a MindFormers goes with: its own VERSION_MAP.json, from 1.3 on, which is read and never imported.

MindFormers' `run_check` holds itself against the same file: the release of MindSpore counts, whatever is behind it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from handlers.mindformers.installed import text_of
from handlers.mindformers.version import Version

NAME = "VERSION_MAP.json"


@dataclass(frozen=True)
class Pairs:
    """What fits together. MindFormers' releases are tied to MindSpore's: with another one most do not even import."""

    mindspores: Mapping[Version, tuple[Version, ...]]
    """By the version of MindFormers; what it prefers is first."""

    def of(self, mindformers: Version) -> tuple[Version, ...]:
        """Return the versions of MindSpore that `mindformers` goes with; none where the file does not say it."""
        return self.mindspores.get(mindformers, ())

    def going_with(self, mindspore: Version) -> tuple[Version, ...]:
        """Return the versions of MindFormers that go with `mindspore`, the oldest first."""
        return tuple(sorted(version for version, goes_with in self.mindspores.items() if mindspore in goes_with))


def read_pairs(package: Path) -> Pairs | None:
    """Return what the directory of a package `mindformers` says; None where there is no such file, or a damaged one."""
    try:
        content = json.loads(text_of(package / NAME))
    except (ValueError, RecursionError):
        return None
    entries = content.get("mf") if isinstance(content, dict) else None
    pairs = dict(_entries(entries)) if isinstance(entries, dict) else {}
    return Pairs(pairs) if pairs else None


def _entries(entries: dict[str, object]) -> Iterator[tuple[Version, tuple[Version, ...]]]:
    for name, entry in entries.items():
        if isinstance(entry, dict):
            supported = entry.get("support")
            texts = (entry.get("prefer"), *(supported if isinstance(supported, list) else ()))
            try:
                yield Version.parse(name), tuple(dict.fromkeys(Version.parse(text) for text in texts if text))
            except (ValueError, AttributeError):  # what is no version, or no text
                continue
