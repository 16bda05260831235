"""Reads the words of a language, once."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from daemon.face.words.language import Language
from handlers.rank_log.advice import filled_in

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Advice:
    """What a known error means, and what to do about it."""

    cause: str
    remedy: str
    """In its commands N is the job, R the rank and D the device, as far as they are not filled in."""


@dataclass(frozen=True)
class Words:
    """The words of one language."""

    language: Language
    tables: Mapping[str, Mapping[str, str]]
    """By table and key, as `happened` and `job.failed`."""
    advice: Mapping[str, Advice]
    """By code; empty in the language in which glmd writes its reasons."""

    @property
    def is_of_reasons(self) -> bool:
        """Whether glmd writes its reasons in this language."""
        return self.language is Language.EN

    def say(self, table: str, key: str, **values: object) -> str:
        """Return one text with its placeholders filled in. Raises KeyError where there is none."""
        return self.tables[table][key].format(**values)

    def frame(self, key: str, **values: object) -> str:
        """Return a text that others are put into. Raises KeyError where there is none."""
        return self.say("frames", key, **values)

    def rank_at(self, rank: str, device: int | None, node: str | None = None) -> str:
        """Return where a rank runs, as far as that is known: on which device, of which of Slurm's nodes."""
        where = rank if device is None else self.frame("rank_on_device", rank=rank, device=device)
        return self.frame("on_node", where=where, node=node) if node else where

    def pair(self, label: str, value: str) -> str:
        """Return a line with its label."""
        return self.frame("pair", label=self.say("labels", label), value=value)

    def row(self, key: str) -> tuple[str, ...]:
        """Return the names of a table's columns. Raises KeyError where there are none."""
        return tuple(self.tables["headers"][key].split("|"))

    def joined(self, *parts: str) -> str:
        """Return an enumeration of those that say something."""
        return self.tables["frames"]["comma"].join(part for part in parts if part)

    def title(self, code: str) -> str:
        """Return in some words what went wrong; empty for a code that this glmd does not know."""
        return self.tables["titles"].get(code, "")

    def advice_of(self, code: str, *, job: int | None, rank: int | None, device: int | None) -> Advice | None:
        """Return what a known error means, with these numbers in its commands; None where only a record tells."""
        found = self.advice.get(code)
        if found is None:
            return None
        return Advice(found.cause, filled_in(found.remedy, job=job, rank=rank, device=device))


@cache
def read_words(language: Language) -> Words:
    """Return the words of a language."""
    loaded = {key: table for name in ("", "page_", "cli_") for key, table in _load(f"{name}{language}.toml").items()}
    tables = {name: dict(_flat(table)) for name, table in loaded.items()}
    rooms = _load("zh_errors.toml") if language is Language.ZH else {}
    advice = {f"{room}.{name}": Advice(**entry) for room, errors in rooms.items() for name, entry in errors.items()}
    return Words(language, tables, advice)


def _load(name: str) -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads((_HERE / name).read_text(encoding="utf-8"))


def _flat(table: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", str(value)
