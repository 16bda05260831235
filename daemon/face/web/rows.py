"""Rows of what changes while it is looked at: the same texts for the page as it comes, and for what follows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A row of a list; a browser that looks at it adds, changes and removes it by its key."""

    key: str
    href: str
    state: str
    """What style sheets tell it by."""
    cells: Mapping[str, str]
    """By name; those that end in _at are moments, in ISO 8601."""

    def as_json(self) -> dict[str, object]:
        """Return it for the script."""
        return {"key": self.key, "href": self.href, "state": self.state, "cells": dict(self.cells)}

    def masked_by(self, mask: Callable[[str], str]) -> "Row":
        """Return it with its texts as `mask` makes them."""
        return replace(self, cells={name: mask(text) for name, text in self.cells.items()})


@dataclass(frozen=True)
class Live:
    """What a page shows that may change."""

    cells: Mapping[str, str]
    lists: Mapping[str, tuple[Row, ...]]
    revision: str = ""
    """Another one says that the page is to be asked for again: it has other parts."""
    made_of: tuple[Path, ...] = ()
    """The files, besides the store, of which one is written before this changes, but for what time alone does."""

    def as_json(self) -> dict[str, object]:
        """Return it for the script."""
        lists = {name: [row.as_json() for row in rows] for name, rows in self.lists.items()}
        return {"cells": dict(self.cells), "lists": lists, "revision": self.revision}

    def masked_by(self, mask: Callable[[str], str]) -> "Live":
        """Return it with its texts as `mask` makes them."""
        lists = {name: tuple(row.masked_by(mask) for row in rows) for name, rows in self.lists.items()}
        cells = {name: mask(text) for name, text in self.cells.items()}
        return replace(self, cells=cells, lists=lists, revision=mask(self.revision))
